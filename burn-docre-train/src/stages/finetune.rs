//! Fine-tuning: the student, continued on the human-annotated documents.

use anyhow::Result;
use burn_docre::ops::DocReBackend;

use super::{
    Pipeline,
    fit::{Start, fit},
};
use crate::cli::StageName;

/// Fine-tunes the student, unless that is finished.
pub fn run<B: DocReBackend>(pipeline: &Pipeline, device: &B::Device) -> Result<()> {
    let student = pipeline.finished_model(StageName::Student)?;
    let start = Start::Model(student);
    fit::<B>(pipeline, StageName::Finetune, &pipeline.corpora.train, None, start, device)
}
