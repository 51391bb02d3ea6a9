//! The student: trained from the start on the distant documents, by their labels and the teacher's logits.

use std::sync::Arc;

use anyhow::{Result, ensure};
use burn_docre::{
    io::{model_directory, soft_labels::SoftLabelStore},
    ops::DocReBackend,
};

use super::{
    Pipeline,
    fit::{Start, fit},
    label::check_documents,
};
use crate::cli::StageName;

/// Trains the student, unless it is finished.
pub fn run<B: DocReBackend>(pipeline: &Pipeline, device: &B::Device) -> Result<()> {
    let distant = &pipeline.corpora.distant;
    ensure!(!distant.is_empty(), "there are no distant documents; give `data.distant`");
    let teacher = match pipeline.distillation() {
        Some(_) => Some(Arc::new(open_labels(pipeline)?)),
        None => None,
    };
    fit::<B>(pipeline, StageName::Student, distant, teacher, Start::Fresh, device)
}

/// The teacher's logits, after checking that no document lacks them.
fn open_labels(pipeline: &Pipeline) -> Result<SoftLabelStore> {
    let teacher = model_directory::identity(&pipeline.finished_model(StageName::Teacher)?)?;
    let n_classes = pipeline.corpora.parts.config.n_classes;
    let store = SoftLabelStore::open(&pipeline.run.labels(), &teacher, n_classes)?;
    let documents = pipeline.corpora.distant.iter().cloned().map(Ok);
    check_documents(&store, &pipeline.run.labels(), documents)?;
    Ok(store)
}
