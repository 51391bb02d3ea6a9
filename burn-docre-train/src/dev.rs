//! Inference over encoded documents, and the dev scores of a model.

use std::sync::Arc;

use burn::tensor::ElementConversion;
use burn_docre::{
    batch::DocReBatch,
    document::RelationFact,
    eval::{PredictionSet, Scorer},
    features::EncodedDocument,
    model::{DocReModel, ModelConfig},
    ops::DocReBackend,
    predict::predict,
};
use serde::{Deserialize, Serialize};

/// Documents of one forward pass at most; padding eats the gain of larger batches on a processor.
const MAX_DOCUMENTS: usize = 4;
/// Tokens of one forward pass at most, padding included, unless one document alone has more.
const MAX_TOKENS: usize = 2048;
/// Entity pairs of one forward pass at most, padding included, unless one document alone has more.
const MAX_PAIRS: usize = 8192;

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

    /// The scores of `model`; `None` when `go_on`, told the number of documents done, says no.
    pub fn score<B: DocReBackend>(
        &self,
        model: &DocReModel<B>,
        config: &ModelConfig,
        device: &B::Device,
        mut go_on: impl FnMut(usize) -> bool,
    ) -> Option<DevScores> {
        let mut facts: Vec<(usize, RelationFact)> = Vec::new();
        for range in batches(&self.documents) {
            let documents = &self.documents[range.clone()];
            let logits = infer(model, config, documents, device);
            for (offset, (document, logits)) in documents.iter().zip(logits).enumerate() {
                let predicted = predict(
                    &logits,
                    document.n_entities(),
                    config.n_classes,
                    config.max_relations_per_pair,
                );
                facts.extend(predicted.into_iter().map(|found| (range.start + offset, found.fact)));
            }
            if !go_on(range.end) {
                return None;
            }
        }
        let predictions =
            PredictionSet::new(facts.iter().map(|(document, fact)| (*document, fact)));
        let scores = self.scorer.score(&predictions);
        Some(DevScores {
            f1: scores.f1,
            ign_f1: scores.ign_f1,
            precision: scores.precision,
            recall: scores.recall,
        })
    }
}

/// The logits of each document, `[pairs, classes]` in row order; empty where a document has no pairs.
pub fn infer<B: DocReBackend>(
    model: &DocReModel<B>,
    config: &ModelConfig,
    documents: &[Arc<EncodedDocument>],
    device: &B::Device,
) -> Vec<Vec<f32>> {
    let with_pairs: Vec<&EncodedDocument> =
        documents.iter().filter(|document| document.n_pairs() > 0).map(AsRef::as_ref).collect();
    let mut values = Vec::new();
    if !with_pairs.is_empty() {
        let batch = DocReBatch::new(&with_pairs, &config.encoder, device);
        let logits = model.forward(&batch).logits;
        values = logits.into_data().iter::<f32>().collect();
    }
    let mut rest = values.as_slice();
    let split = |document: &Arc<EncodedDocument>| {
        let (own, others) = rest.split_at(document.n_pairs() * config.n_classes);
        rest = others;
        own.to_vec()
    };
    documents.iter().map(split).collect()
}

/// Consecutive documents that go through the model together.
pub fn batches(documents: &[Arc<EncodedDocument>]) -> Vec<std::ops::Range<usize>> {
    let mut batches = Vec::new();
    let mut start = 0;
    let (mut tokens, mut entities) = (0, 0);
    for (index, document) in documents.iter().enumerate() {
        tokens = tokens.max(document.token_ids.len());
        entities = entities.max(document.n_entities());
        let count = index - start + 1;
        let too_many = count > MAX_DOCUMENTS
            || count * tokens > MAX_TOKENS
            || count * entities * entities > MAX_PAIRS;
        if too_many && count > 1 {
            batches.push(start..index);
            start = index;
            (tokens, entities) = (document.token_ids.len(), document.n_entities());
        }
    }
    if start < documents.len() {
        batches.push(start..documents.len());
    }
    batches
}

/// A scalar tensor's value.
pub fn scalar<B: burn::tensor::backend::Backend>(tensor: burn::tensor::Tensor<B, 1>) -> f64 {
    tensor.into_scalar().elem()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(n_tokens: usize, n_entities: usize) -> Arc<EncodedDocument> {
        Arc::new(EncodedDocument {
            title: String::new(),
            token_ids: vec![0; n_tokens],
            mentions: vec![vec![0]; n_entities],
            facts: Vec::new(),
        })
    }

    #[test]
    fn batches_cover_every_document_once_and_keep_the_limits() {
        let sizes = [(100, 5), (600, 9), (700, 3), (5000, 2), (10, 200), (10, 3), (10, 3)];
        let documents: Vec<_> = sizes.map(|(tokens, entities)| document(tokens, entities)).into();
        assert_eq!(batches(&documents), [0..2, 2..3, 3..4, 4..5, 5..7]);
        assert!(batches(&[]).is_empty());
    }

    #[test]
    fn short_documents_share_a_batch_of_limited_size() {
        let documents = vec![document(10, 2); MAX_DOCUMENTS + 1];
        assert_eq!(batches(&documents), [0..MAX_DOCUMENTS, MAX_DOCUMENTS..MAX_DOCUMENTS + 1]);
    }
}
