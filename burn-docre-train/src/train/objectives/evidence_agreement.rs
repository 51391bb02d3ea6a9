//! The agreement of KMGRE's pseudo labels with the annotated evidence.

use std::collections::{BTreeSet, HashMap};

use burn_docre::{data::pair::EntityPair, text::encoded::EncodedDocument};

/// The support of each mention pair of a batch by annotated evidence.
///
/// The value is `None` if no fact of the entity pair has annotated evidence. Otherwise it tells
/// whether both mentions are in sentences of that evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Support(Vec<Option<bool>>);

/// A mention of a batch.
struct BatchMention {
    document: usize,
    entity: usize,
    /// The index of the sentence; `None` if the mention is in no sentence.
    sentence: Option<usize>,
}

impl Support {
    /// The support of the mention pairs of `documents`, given the mention row of each head and
    /// tail.
    pub(super) fn new(documents: &[&EncodedDocument], head: &[i32], tail: &[i32]) -> Self {
        let evidence: Vec<_> = documents.iter().map(|document| evidence_of(document)).collect();
        let mentions: Vec<BatchMention> =
            documents.iter().copied().enumerate().flat_map(mentions).collect();
        let support = head.iter().zip(tail).map(|(&head, &tail)| {
            let (head, tail) = (&mentions[head as usize], &mentions[tail as usize]);
            let pair = EntityPair { head: head.entity, tail: tail.entity };
            let sentences = evidence[head.document].get(&pair)?;
            let is_inside = |mention: &BatchMention| {
                mention.sentence.is_some_and(|sentence| sentences.contains(&sentence))
            };
            Some(is_inside(head) && is_inside(tail))
        });
        Self(support.collect())
    }

    /// The fraction of supported mention pairs among those with the pseudo label 1, in `[0, 1]`.
    /// Only entity pairs with annotated evidence count; `None` if there are none.
    pub(super) fn agreement(&self, pseudo_labels: &[f32]) -> Option<f64> {
        let of_key_pairs = self.0.iter().zip(pseudo_labels).filter(|(_, label)| **label > 0.5);
        share_of_supported(of_key_pairs.map(|(support, _)| *support))
    }

    /// The fraction of supported mention pairs among those that belong to an entity pair with
    /// annotated evidence, in `[0, 1]`. It is the expected agreement of random pseudo labels.
    /// `None` if there are none.
    pub(super) fn share(&self) -> Option<f64> {
        share_of_supported(self.0.iter().copied())
    }
}

/// The fraction of `true` among the values; `None` if there are none.
fn share_of_supported(support: impl Iterator<Item = Option<bool>>) -> Option<f64> {
    let (mut n, mut n_supported) = (0_usize, 0_usize);
    for is_supported in support.flatten() {
        n += 1;
        n_supported += usize::from(is_supported);
    }
    (n > 0).then(|| n_supported as f64 / n as f64)
}

/// The evidence sentences of each pair with annotated evidence, over all its facts.
fn evidence_of(document: &EncodedDocument) -> HashMap<EntityPair, BTreeSet<usize>> {
    let mut evidence: HashMap<EntityPair, BTreeSet<usize>> = HashMap::new();
    for fact in document.facts.iter().filter(|fact| !fact.evidence.is_empty()) {
        evidence.entry(fact.pair).or_default().extend(&fact.evidence);
    }
    evidence
}

/// The mentions of a document, entity by entity.
fn mentions((document, encoded): (usize, &EncodedDocument)) -> impl Iterator<Item = BatchMention> {
    encoded.mentions.iter().enumerate().flat_map(move |(entity, tokens)| {
        tokens.iter().map(move |&token| BatchMention {
            document,
            entity,
            sentence: encoded.sentence_of(token),
        })
    })
}

#[cfg(test)]
mod tests {
    use burn_docre::{PairSet, data::document::RelationFact};

    use super::*;

    /// Two entities: the first has mentions in sentences 0 and 1, the second in sentences 1 and 2.
    fn document(facts: &[(usize, usize, &[usize])]) -> EncodedDocument {
        let fact = |&(head, tail, evidence): &(usize, usize, &[usize])| RelationFact {
            pair: EntityPair { head, tail },
            relation: 1,
            evidence: evidence.to_vec(),
        };
        EncodedDocument {
            title: String::new(),
            token_ids: vec![0; 12],
            mentions: vec![vec![1, 5], vec![6, 9]],
            sentences: vec![0..4, 4..8, 8..12],
            facts: facts.iter().map(fact).collect(),
            pair_set: PairSet::OffDiagonal,
        }
    }

    /// The mention rows of a pair of entities with two mentions each, from row `first`.
    fn rows(first: i32) -> ([i32; 8], [i32; 8]) {
        let head = [0, 0, 1, 1, 2, 2, 3, 3].map(|row| first + row);
        let tail = [2, 3, 2, 3, 0, 1, 0, 1].map(|row| first + row);
        (head, tail)
    }

    #[test]
    fn a_mention_pair_is_supported_if_both_mentions_are_in_evidence_sentences_of_its_pair() {
        let unannotated = document(&[(0, 1, &[])]);
        let annotated = document(&[(0, 1, &[0]), (0, 1, &[1])]);
        let (first, second) = (rows(0), rows(4));
        let head = [first.0, second.0].concat();
        let tail = [first.1, second.1].concat();
        let support = Support::new(&[&unannotated, &annotated], &head, &tail);
        let mut expected = vec![None; 16];
        expected[8..12].copy_from_slice(&[Some(true), Some(false), Some(true), Some(false)]);
        assert_eq!(support, Support(expected));
    }

    #[test]
    fn agreement_and_share_are_fractions_of_mention_pairs_with_annotated_evidence() {
        let support = Support(vec![None, Some(true), Some(false), Some(true), Some(true)]);
        assert_eq!(support.agreement(&[1.0, 1.0, 1.0, 1.0, 0.0]), Some(2.0 / 3.0));
        assert_eq!(support.agreement(&[1.0, 0.0, 0.0, 0.0, 0.0]), None);
        assert_eq!(support.share(), Some(3.0 / 4.0));
        assert_eq!(Support(vec![None]).share(), None);
    }
}
