//! Decoding of logits to relations.

use crate::{
    Error, Result,
    data::{
        document::RelationFact,
        pair::{EntityPair, MentionPair},
        relation::{RelationVocab, THRESHOLD_CLASS},
        submission::SubmittedFact,
    },
    model::ModelConfig,
    text::encoded::EncodedDocument,
};

/// A predicted relation with its margin.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The predicted fact. Its evidence is the sentences of the key mention pairs.
    pub fact: RelationFact,
    /// The margin of the relation's logit over `threshold`, greater than 0.
    pub score: f32,
    /// The logit of the threshold class for this pair.
    pub threshold: f32,
    /// The key mention pairs of the pair, by mention of the head, then by mention of the tail.
    /// Empty if the system names none.
    pub key_mention_pairs: Vec<MentionPair>,
}

impl Prediction {
    /// The submission's record of this prediction for the document `title`, with its score.
    ///
    /// # Panics
    /// If the relation is not a class of `vocab`.
    pub fn submitted(&self, title: &str, vocab: &RelationVocab) -> SubmittedFact {
        SubmittedFact { score: Some(self.score), ..SubmittedFact::new(title, &self.fact, vocab) }
    }
}

/// Decodes logits to relations by ATLOP's adaptive thresholding.
///
/// The relations of a pair are the classes whose logits are strictly greater than the logit of the
/// threshold class. Only the best `max_relations_per_pair` are kept, best first; of equal logits
/// the lower class comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoder {
    /// Number of classes, the threshold class included.
    pub n_classes: usize,
    /// Maximum number of relations per pair.
    pub max_relations_per_pair: usize,
}

impl Decoder {
    /// The decoder of a model with this configuration.
    pub fn of(config: &ModelConfig) -> Self {
        let max_relations_per_pair = config.decoding.max_relations_per_pair;
        Self { n_classes: config.n_classes, max_relations_per_pair }
    }

    /// Decodes the logits of one document. Predictions are ordered by the rows of their pairs and
    /// have no evidence.
    ///
    /// # Shapes
    /// - `logits`: `[p, r]`, row-major; rows as in [`EncodedDocument::row`]
    ///
    /// # Errors
    /// [`Error::NotANumber`] if a logit is NaN. Comparisons with NaN are false, so a damaged model
    /// would silently predict no relation.
    ///
    /// # Panics
    /// If the number of logits is not the document's number of pairs times `n_classes`.
    pub fn decode(&self, document: &EncodedDocument, logits: &[f32]) -> Result<Vec<Prediction>> {
        let Self { n_classes, .. } = *self;
        let n_pairs = document.n_pairs();
        assert_eq!(logits.len(), n_pairs * n_classes, "{n_pairs} pairs of {n_classes} classes");
        let mut predictions = Vec::new();
        for (pair, logits) in document.pairs().zip(logits.chunks_exact(n_classes)) {
            if let Some(class) = logits.iter().position(|logit| logit.is_nan()) {
                let (title, EntityPair { head, tail }) = (document.title.clone(), pair);
                return Err(Error::NotANumber { title, head, tail, class });
            }
            predictions.extend(self.decode_pair(pair, logits));
        }
        Ok(predictions)
    }

    fn decode_pair(&self, pair: EntityPair, logits: &[f32]) -> impl Iterator<Item = Prediction> {
        let threshold = logits[THRESHOLD_CLASS];
        let mut above: Vec<usize> = (0..self.n_classes)
            .filter(|class| *class != THRESHOLD_CLASS && logits[*class] > threshold)
            .collect();
        // The sort is stable, so equal logits keep the order of their classes.
        above.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
        above.truncate(self.max_relations_per_pair);
        above.into_iter().map(move |relation| Prediction {
            fact: RelationFact { pair, relation, evidence: Vec::new() },
            score: logits[relation] - threshold,
            threshold,
            key_mention_pairs: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::pair::PairSet;

    /// The predictions for a document of `n_entities`, at most two relations per pair.
    fn predictions(logits: &[f32], n_entities: usize, n_classes: usize) -> Result<Vec<Prediction>> {
        predictions_among(PairSet::OffDiagonal, logits, n_entities, n_classes)
    }

    fn predictions_among(
        pair_set: PairSet,
        logits: &[f32],
        n_entities: usize,
        n_classes: usize,
    ) -> Result<Vec<Prediction>> {
        let document = EncodedDocument {
            title: "Anna".into(),
            token_ids: Vec::new(),
            mentions: vec![Vec::new(); n_entities],
            sentences: Vec::new(),
            facts: Vec::new(),
            pair_set,
        };
        Decoder { n_classes, max_relations_per_pair: 2 }.decode(&document, logits)
    }

    fn classes(predictions: &[Prediction]) -> Vec<(usize, usize, usize)> {
        predictions.iter().map(|p| (p.fact.pair.head, p.fact.pair.tail, p.fact.relation)).collect()
    }

    #[test]
    fn only_relations_above_the_threshold_class_are_predicted() {
        let logits = [0.0, 1.0, -1.0, /* pair (1, 0) */ 2.0, 2.0, 3.0];
        assert_eq!(classes(&predictions(&logits, 2, 3).unwrap()), [(0, 1, 1), (1, 0, 2)]);
    }

    #[test]
    fn a_pair_keeps_its_best_relations() {
        let logits = [0.0, 1.0, 3.0, 2.0, /* pair (1, 0) */ 0.0, -1.0, -1.0, -1.0];
        assert_eq!(classes(&predictions(&logits, 2, 4).unwrap()), [(0, 1, 2), (0, 1, 3)]);
    }

    #[test]
    fn a_document_with_fewer_than_two_entities_has_no_relations() {
        assert!(predictions(&[], 0, 5).unwrap().is_empty());
        assert!(predictions(&[], 1, 5).unwrap().is_empty());
    }

    #[test]
    fn an_entity_is_related_to_itself_only_where_the_diagonal_is_classified() {
        let logits = [0.0, 1.0, /* (0, 1) */ 0.0, -1.0, /* (1, 0) */ 0.0, -1.0, 0.0, 2.0];
        let found = predictions_among(PairSet::All, &logits, 2, 2).unwrap();
        assert_eq!(classes(&found), [(0, 0, 1), (1, 1, 1)]);
        let one_entity = predictions_among(PairSet::All, &[0.0, 1.0], 1, 2).unwrap();
        assert_eq!(classes(&one_entity), [(0, 0, 1)]);
    }

    #[test]
    fn a_logit_that_is_not_a_number_is_an_error_with_document_pair_and_class() {
        for class in 0..3 {
            let mut logits = [0.0, 1.0, -1.0, /* pair (1, 0) */ 0.0, -1.0, -1.0];
            logits[3 + class] = f32::NAN;
            let error = predictions(&logits, 2, 3).unwrap_err().to_string();
            let expected = format!("\"Anna\": the logit of class {class} for head 1 and tail 0");
            assert!(error.contains(&expected), "{error}");
        }
    }
}
