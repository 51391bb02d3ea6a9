//! The systems of a report: the best models of the runs' stages, with their dev predictions.

use std::{path::PathBuf, sync::Arc};

use burn_docre::{data::relation::RelationVocab, eval::Report, inference::decode::Prediction};

use super::chart::Series;
use crate::run::corpora::DevCorpus;

/// The best model of a finished stage with its predictions for the dev documents.
pub struct System {
    /// The position among the stages of the report, which selects its colour.
    pub index: usize,
    /// The short key in charts and tables, unique in the report: `A`, `B`, …
    pub key: String,
    /// The name, unique in the report: `demo: teacher`.
    pub name: String,
    /// The model directory.
    pub model: PathBuf,
    /// The model's relations with their names. Those of the corpus can lack names.
    pub vocab: RelationVocab,
    /// The dev documents of its run. Systems whose runs have equal `data` share them.
    pub corpus: Arc<DevCorpus>,
    /// The predictions for each dev document, in the order of [`DevCorpus::documents`].
    pub predictions: Vec<Vec<Prediction>>,
    /// The metrics of the predictions.
    pub report: Report,
}

impl System {
    /// The system as a series of charts.
    pub(super) fn series(&self) -> Series {
        Series { index: self.index, key: self.key.clone(), name: self.name.clone() }
    }
}
