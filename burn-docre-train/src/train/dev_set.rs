//! The dev scores of a model.

use std::sync::Arc;

use burn_docre::{
    Error, Result,
    data::document::RelationFact,
    eval::{PredictionSet, Scorer},
    inference::Inference,
    ops::DocReBackend,
    text::encoded::EncodedDocument,
};
use serde::{Deserialize, Serialize};

/// Dev scores, as fractions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DevScores {
    /// F1.
    pub f1: f64,
    /// F1 without credit for facts of the annotated training documents.
    pub ign_f1: f64,
    /// Precision.
    pub precision: f64,
    /// Recall.
    pub recall: f64,
}

/// The dev documents with their gold facts.
pub struct DevSet {
    documents: Vec<Arc<EncodedDocument>>,
    scorer: Scorer,
}

impl DevSet {
    /// `documents` in the order of the scorer's gold corpus.
    pub fn new(documents: Vec<Arc<EncodedDocument>>, scorer: Scorer) -> Self {
        Self { documents, scorer }
    }

    /// Number of documents.
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// The documents.
    pub fn documents(&self) -> &[Arc<EncodedDocument>] {
        &self.documents
    }

    /// The scores of a model; `None` when `go_on`, told the number of documents done, says no.
    ///
    /// # Errors
    /// If a logit is not a number.
    pub fn score<B: DocReBackend>(
        &self,
        inference: &Inference<B>,
        mut go_on: impl FnMut(usize) -> bool,
    ) -> Result<Option<DevScores>> {
        let documents = self.documents.iter().cloned().map(Ok::<_, Error>);
        let mut facts: Vec<(usize, RelationFact)> = Vec::new();
        for (index, found) in inference.run(documents).enumerate() {
            let predictions = found?.predictions()?;
            facts.extend(predictions.into_iter().map(|prediction| (index, prediction.fact)));
            if !go_on(index + 1) {
                return Ok(None);
            }
        }
        let predictions =
            PredictionSet::new(facts.iter().map(|(document, fact)| (*document, fact)));
        let scores = self.scorer.score(&predictions);
        Ok(Some(DevScores {
            f1: scores.f1,
            ign_f1: scores.ign_f1,
            precision: scores.precision,
            recall: scores.recall,
        }))
    }
}
