//! From logits to relations.

use crate::{
    Error, Result,
    data::{
        document::{EntityPair, RelationFact},
        relation::THRESHOLD_CLASS,
    },
    text::encoded::EncodedDocument,
};

/// A predicted relation with its margin.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// What was predicted; without evidence.
    pub fact: RelationFact,
    /// How far its logit lies above the threshold class's, above 0.
    pub score: f32,
}

/// The relations of one document: for each pair those above TH, at most `max_relations_per_pair` of them, best first.
///
/// A relation is also refused if TH or too many relations tie with it: it must be strictly above.
///
/// # Shapes
/// - `logits`: `[p, r]`, row-major, the off-diagonal pairs of the document's entities
///
/// # Errors
/// [`Error::NotANumber`] on a logit that is NaN: it lies above and below nothing, so that a broken model would seem to
/// find no relation.
///
/// # Panics
/// If the number of logits is not the document's number of pairs times `n_classes`.
pub fn predict(
    document: &EncodedDocument,
    logits: &[f32],
    n_classes: usize,
    max_relations_per_pair: usize,
) -> Result<Vec<Prediction>> {
    let n_pairs = document.n_pairs();
    assert_eq!(logits.len(), n_pairs * n_classes, "{n_pairs} pairs of {n_classes} classes");
    let mut predictions = Vec::new();
    for (row, logits) in logits.chunks_exact(n_classes).enumerate() {
        let pair = EntityPair::from_off_diagonal_row(row, document.n_entities());
        if let Some(class) = logits.iter().position(|logit| logit.is_nan()) {
            return Err(Error::NotANumber { title: document.title.clone(), pair, class });
        }
        let threshold = logits[THRESHOLD_CLASS];
        let mut above: Vec<usize> =
            (0..n_classes).filter(|c| *c != THRESHOLD_CLASS && logits[*c] > threshold).collect();
        // Stable, so equal logits keep the order of their classes.
        above.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
        above.truncate(max_relations_per_pair);
        predictions.extend(above.into_iter().map(|relation| Prediction {
            fact: RelationFact { pair, relation, evidence: Vec::new() },
            score: logits[relation] - threshold,
        }));
    }
    Ok(predictions)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The predictions for a document of `n_entities`, at most two relations for a pair.
    fn predictions(logits: &[f32], n_entities: usize, n_classes: usize) -> Result<Vec<Prediction>> {
        let document = EncodedDocument {
            title: "Anna".into(),
            token_ids: Vec::new(),
            mentions: vec![Vec::new(); n_entities],
            sentences: Vec::new(),
            facts: Vec::new(),
        };
        predict(&document, logits, n_classes, 2)
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
    fn a_document_of_no_or_one_entity_has_no_relation() {
        assert!(predictions(&[], 0, 5).unwrap().is_empty());
        assert!(predictions(&[], 1, 5).unwrap().is_empty());
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

    #[test]
    fn rows_and_pairs_correspond() {
        for n in 2..6 {
            for row in 0..n * (n - 1) {
                let pair = EntityPair::from_off_diagonal_row(row, n);
                assert_ne!(pair.head, pair.tail);
                assert_eq!(pair.off_diagonal_row(n), row);
            }
        }
    }
}
