//! The evidence of predictions: key mention pairs and the sentences that they stand in.

use std::{collections::BTreeSet, vec};

use burn::tensor::backend::Backend;

use crate::{
    data::pair::{EntityPair, MentionPair},
    inference::decode::Prediction,
    model::Evidence,
    text::encoded::EncodedDocument,
};

/// The evidence of one document on the CPU.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DocumentEvidence {
    /// `true` for each key mention pair, one value for every mention pair of the document. The
    /// order is that of [`Evidence::KeyMentionPairs`].
    KeyMentionPairs(Vec<bool>),
}

impl DocumentEvidence {
    /// Adds to each prediction the key mention pairs of its pair, and to its fact the sentences
    /// that these mentions stand in.
    ///
    /// # Panics
    /// If the evidence or a prediction does not fit the numbers of entities and mentions of the
    /// document.
    pub(super) fn add_to(&self, predictions: &mut [Prediction], document: &EncodedDocument) {
        let Self::KeyMentionPairs(is_key) = self;
        // The mention pairs of a classified pair begin at the entry of its row.
        let first: Vec<usize> = document
            .pairs()
            .scan(0, |end, pair| {
                let first = *end;
                *end += document.n_mention_pairs_of(pair);
                Some(first)
            })
            .collect();
        for prediction in predictions {
            let pair = prediction.fact.pair;
            let first = first[document.row(pair)];
            let is_key = &is_key[first..first + document.n_mention_pairs_of(pair)];
            let n_tail_mentions = document.mentions[pair.tail].len();
            prediction.key_mention_pairs = key_mention_pairs(is_key, n_tail_mentions);
            prediction.fact.evidence = sentences(document, pair, &prediction.key_mention_pairs);
        }
    }
}

/// The key mention pairs of one pair, by mention of the head, then by mention of the tail.
fn key_mention_pairs(is_key: &[bool], n_tail_mentions: usize) -> Vec<MentionPair> {
    let pairs = is_key.iter().enumerate().filter(|(_, is_key)| **is_key);
    pairs
        .map(|(i, _)| MentionPair { head: i / n_tail_mentions, tail: i % n_tail_mentions })
        .collect()
}

/// The sentences of both mentions of every mention pair, in ascending order.
fn sentences(
    document: &EncodedDocument,
    pair: EntityPair,
    mention_pairs: &[MentionPair],
) -> Vec<usize> {
    let positions = mention_pairs.iter().flat_map(|mentions| {
        [document.mentions[pair.head][mentions.head], document.mentions[pair.tail][mentions.tail]]
    });
    let sentences = positions.filter_map(|position| document.sentence_of(position));
    sentences.collect::<BTreeSet<usize>>().into_iter().collect()
}

/// The evidence of a batch on the CPU. It is taken document by document.
pub(super) enum BatchEvidence {
    KeyMentionPairs(vec::IntoIter<bool>),
}

impl BatchEvidence {
    /// Copies the evidence to the CPU.
    pub(super) fn new<B: Backend>(evidence: Evidence<B>) -> Self {
        match evidence {
            Evidence::KeyMentionPairs(is_key) => {
                let is_key: Vec<bool> =
                    is_key.into_data().iter::<f32>().map(|value| value > 0.5).collect();
                Self::KeyMentionPairs(is_key.into_iter())
            }
        }
    }

    /// Takes the evidence of the next document of the batch.
    ///
    /// # Panics
    /// If less is left than the document has.
    pub(super) fn take(&mut self, document: &EncodedDocument) -> DocumentEvidence {
        let Self::KeyMentionPairs(rest) = self;
        let n = document.n_mention_pairs();
        let is_key: Vec<bool> = rest.take(n).collect();
        assert_eq!(is_key.len(), n, "the evidence covers every mention pair of the batch");
        DocumentEvidence::KeyMentionPairs(is_key)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Tensor;

    use super::*;
    use crate::{
        backend::TestBackend,
        data::{document::RelationFact, pair::PairSet},
    };

    /// Entities with one, two and one mentions in three sentences, the second of them empty.
    fn document() -> EncodedDocument {
        EncodedDocument {
            title: String::new(),
            token_ids: vec![0; 12],
            mentions: vec![vec![1], vec![2, 8], vec![9]],
            sentences: vec![1..5, 5..5, 5..11],
            facts: Vec::new(),
            pair_set: PairSet::OffDiagonal,
        }
    }

    fn prediction(head: usize, tail: usize) -> Prediction {
        let pair = EntityPair { head, tail };
        let fact = RelationFact { pair, relation: 1, evidence: Vec::new() };
        Prediction { fact, score: 1.0, threshold: 0.0, key_mention_pairs: Vec::new() }
    }

    /// The key mention pairs and the sentences of a prediction for each pair in turn.
    type Found = (Vec<(usize, usize)>, Vec<usize>);

    fn found(evidence: &DocumentEvidence, pairs: &[(usize, usize)]) -> Vec<Found> {
        let mut predictions: Vec<_> = pairs.iter().map(|&(h, t)| prediction(h, t)).collect();
        evidence.add_to(&mut predictions, &document());
        let of = |prediction: Prediction| {
            let pairs = prediction.key_mention_pairs.iter().map(|pair| (pair.head, pair.tail));
            (pairs.collect(), prediction.fact.evidence)
        };
        predictions.into_iter().map(of).collect()
    }

    /// The mention pairs of [`document`]: (0, 1) has two, (0, 2) one, (1, 0) two, (1, 2) two,
    /// (2, 0) one and (2, 1) two.
    const N_MENTION_PAIRS: [usize; 6] = [2, 1, 2, 2, 1, 2];

    #[test]
    fn a_prediction_names_its_key_mention_pairs_and_their_sentences() {
        #[rustfmt::skip]
        let is_key = [
            false, true,  // (0, 1): the second mention of 1, in the last sentence
            true,         // (0, 2)
            true, false,  // (1, 0): the first mention of 1, in the first sentence
            true, true,   // (1, 2)
            false,        // (2, 0)
            false, true,  // (2, 1): both mentions in the last sentence
        ];
        let evidence = DocumentEvidence::KeyMentionPairs(is_key.to_vec());
        assert_eq!(
            found(&evidence, &[(0, 1), (0, 1), (1, 0), (1, 2), (2, 1)]),
            [
                (vec![(0, 1)], vec![0, 2]),
                (vec![(0, 1)], vec![0, 2]),
                (vec![(0, 0)], vec![0]),
                (vec![(0, 0), (1, 0)], vec![0, 2]),
                (vec![(0, 1)], vec![2]),
            ]
        );
    }

    #[test]
    fn a_self_relation_has_the_mention_pairs_of_its_entity() {
        let all = EncodedDocument { pair_set: PairSet::All, ..document() };
        // The pairs (0, 0), (0, 1), (0, 2) and (1, 0) come before (1, 1).
        let mut is_key = vec![false; all.n_mention_pairs()];
        is_key[1 + 2 + 1 + 2 + 1] = true;
        let mut predictions = [prediction(1, 1)];
        DocumentEvidence::KeyMentionPairs(is_key).add_to(&mut predictions, &all);
        assert_eq!(predictions[0].key_mention_pairs, [MentionPair { head: 0, tail: 1 }]);
        assert_eq!(predictions[0].fact.evidence, [0, 2]);
    }

    #[test]
    fn a_mention_outside_all_sentences_gives_no_sentence() {
        let without_sentences = EncodedDocument { sentences: Vec::new(), ..document() };
        let evidence = DocumentEvidence::KeyMentionPairs(vec![true; 10]);
        let mut predictions = [prediction(0, 2)];
        evidence.add_to(&mut predictions, &without_sentences);
        assert_eq!(predictions[0].key_mention_pairs, [MentionPair { head: 0, tail: 0 }]);
        assert!(predictions[0].fact.evidence.is_empty());
    }

    #[test]
    fn the_evidence_of_a_batch_is_divided_among_its_documents() {
        assert_eq!(document().n_mention_pairs(), N_MENTION_PAIRS.iter().sum::<usize>());
        let one_entity = EncodedDocument { mentions: vec![vec![1]], ..document() };
        let two = EncodedDocument { mentions: vec![vec![1], vec![2]], ..document() };
        let mut values = [0.0; 12];
        (values[9], values[11]) = (1.0, 1.0);
        let tensor = Tensor::<TestBackend, 1>::from_floats(values, &Default::default());
        let mut batch = BatchEvidence::new(Evidence::KeyMentionPairs(tensor));
        let taken = [&document(), &one_entity, &two].map(|document| batch.take(document));
        let mut first = vec![false; 10];
        first[9] = true;
        let expected = [first, Vec::new(), vec![false, true]];
        assert_eq!(taken, expected.map(DocumentEvidence::KeyMentionPairs));
    }

    #[test]
    #[should_panic(expected = "covers every mention pair")]
    fn too_little_evidence_panics() {
        let tensor = Tensor::<TestBackend, 1>::from_floats([1.0; 9], &Default::default());
        BatchEvidence::new(Evidence::KeyMentionPairs(tensor)).take(&document());
    }
}
