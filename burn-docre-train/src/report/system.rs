//! The systems of a report: the best models of the runs' stages, with their dev predictions.

use std::{path::PathBuf, sync::Arc};

use burn_docre::{eval::Report, inference::decode::Prediction};

use crate::run::corpora::DevCorpus;

/// The best model of a finished stage with its predictions for the dev documents.
pub struct System {
    /// The short key in charts and tables, unique in the report: `A`, `B`, …
    pub key: String,
    /// The name, unique in the report: `demo: teacher`.
    pub name: String,
    /// The model directory.
    pub model: PathBuf,
    /// The dev documents of its run. Systems whose runs have equal `data` share them.
    pub corpus: Arc<DevCorpus>,
    /// The predictions for each dev document, in the order of [`DevCorpus::documents`].
    pub predictions: Vec<Vec<Prediction>>,
    /// The metrics of the predictions.
    pub report: Report,
}
