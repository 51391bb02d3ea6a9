//! The dev documents and the scores of a model on them.

use std::sync::Arc;

use burn::data::dataloader::Progress;
use burn_docre::{
    DocReBackend, Error, Result,
    data::document::RelationFact,
    eval::{PredictionSet, Scorer, Scores},
    inference::Inference,
    text::encoded::EncodedDocument,
};

/// The dev documents with their gold facts.
pub struct DevSet {
    documents: Vec<Arc<EncodedDocument>>,
    scorer: Arc<Scorer>,
}

impl DevSet {
    /// A dev set of `documents`, in the order of the scorer's gold corpus.
    pub fn new(documents: Vec<Arc<EncodedDocument>>, scorer: Arc<Scorer>) -> Self {
        Self { documents, scorer }
    }

    /// Scores a model on all documents.
    ///
    /// Calls `go_on` after each document and returns `None` as soon as it returns false.
    ///
    /// # Errors
    /// If a logit is NaN.
    pub fn score<B: DocReBackend>(
        &self,
        inference: &Inference<B>,
        go_on: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<Option<Scores>> {
        let Some(predictions) = self.predict(inference, go_on)? else { return Ok(None) };
        Ok(Some(self.scorer.score(&predictions)))
    }

    /// Predicts the facts of all documents.
    ///
    /// Calls `go_on` after each document and returns `None` as soon as it returns false.
    ///
    /// # Errors
    /// If a logit is NaN.
    pub fn predict<B: DocReBackend>(
        &self,
        inference: &Inference<B>,
        go_on: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<Option<PredictionSet>> {
        let documents = self.documents.iter().cloned().map(Ok::<_, Error>);
        let mut facts: Vec<(usize, RelationFact)> = Vec::new();
        for (index, found) in inference.run(documents).enumerate() {
            let predictions = found?.predictions()?;
            facts.extend(predictions.into_iter().map(|prediction| (index, prediction.fact)));
            if !go_on(Progress::new(index + 1, self.documents.len())) {
                return Ok(None);
            }
        }
        Ok(Some(PredictionSet::new(facts.iter().map(|(document, fact)| (*document, fact)))))
    }
}
