//! The teacher: trained from the start on the human-annotated documents.

use anyhow::Result;
use burn_docre::ops::DocReBackend;

use super::{
    Pipeline,
    fit::{Start, fit},
};
use crate::cli::StageName;

/// Trains the teacher, unless it is finished.
pub fn run<B: DocReBackend>(pipeline: &Pipeline, device: &B::Device) -> Result<()> {
    fit::<B>(pipeline, StageName::Teacher, &pipeline.corpora.train, None, Start::Fresh, device)
}
