//! The scored models of a report: the best models of the runs' stages, with their dev predictions.

use std::{path::PathBuf, sync::Arc};

use burn_docre::{
    data::relation::RelationVocab, eval::Report, inference::decode::Prediction,
    io::model_directory::ModelId, model::SystemConfig,
};

use super::chart::Series;
use crate::run::corpora::DevCorpus;

/// The best model of a stage, which may be in progress, with its predictions for the dev documents.
pub struct ScoredModel {
    /// The position among the stages of the report, which selects its colour.
    pub index: usize,
    /// The short key in charts and tables, unique in the report: `A`, `B`, …
    pub key: String,
    /// The name, unique in the report: `demo: teacher`.
    pub name: String,
    /// The model directory.
    pub directory: PathBuf,
    /// The identity of the model that has predicted. A run in progress can replace it.
    pub id: ModelId,
    /// The configuration of the model's system.
    pub system: SystemConfig,
    /// The model's relations with their names. Those of the corpus can lack names.
    pub vocab: RelationVocab,
    /// The dev documents of its run. Models whose runs have equal `data` share them.
    pub corpus: Arc<DevCorpus>,
    /// The predictions for each dev document, in the order of [`DevCorpus::documents`].
    pub predictions: Vec<Vec<Prediction>>,
    /// The metrics of the predictions.
    pub report: Report,
}

impl ScoredModel {
    /// The model as a series of charts.
    pub(super) fn series(&self) -> Series {
        Series { index: self.index, key: self.key.clone(), name: self.name.clone() }
    }
}
