//! Labels of the classified pairs of a batch.

use burn::tensor::{Tensor, backend::Backend};

use super::packing::float_tensor;
use crate::{data::relation::THRESHOLD_CLASS, text::encoded::EncodedDocument};

/// The facts of a batch, with the row of each fact's pair.
#[derive(Clone, Debug)]
pub(super) struct LabelIndex {
    positives: Vec<Positive>,
    n_pairs: usize,
}

/// A relation that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Positive {
    /// The row of the pair among the classified pairs of the batch.
    pair: usize,
    /// The class of the relation.
    class: usize,
}

impl LabelIndex {
    pub(super) fn new(documents: &[&EncodedDocument]) -> Self {
        let mut index = Self { positives: Vec::new(), n_pairs: 0 };
        for document in documents {
            for fact in &document.facts {
                let pair = index.n_pairs + document.row(fact.pair);
                index.positives.push(Positive { pair, class: fact.relation });
            }
            index.n_pairs += document.n_pairs();
        }
        index
    }

    /// See [`DocReBatch::labels`](super::DocReBatch::labels).
    pub(super) fn tensor<B: Backend>(&self, n_classes: usize, device: &B::Device) -> Tensor<B, 2> {
        let mut labels = vec![0.0; self.n_pairs * n_classes];
        for row in labels.chunks_exact_mut(n_classes) {
            row[THRESHOLD_CLASS] = 1.0;
        }
        for Positive { pair, class } in &self.positives {
            assert!(*class < n_classes, "class {class} is out of range for {n_classes} classes");
            let row = &mut labels[pair * n_classes..(pair + 1) * n_classes];
            row[THRESHOLD_CLASS] = 0.0;
            row[*class] = 1.0;
        }
        float_tensor(labels, [self.n_pairs, n_classes], device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::TestBackend,
        batch::testing::document,
        data::{
            document::RelationFact,
            pair::{EntityPair, PairSet},
        },
    };

    fn with_facts(n_entities: usize, facts: &[[usize; 3]]) -> EncodedDocument {
        let fact = |&[head, tail, relation]: &[usize; 3]| RelationFact {
            pair: EntityPair { head, tail },
            relation,
            evidence: Vec::new(),
        };
        let facts = facts.iter().map(fact).collect();
        EncodedDocument { facts, ..document(5, &vec![&[1][..]; n_entities]) }
    }

    #[test]
    fn a_pair_without_a_fact_is_labelled_with_the_threshold_class() {
        let documents = [with_facts(2, &[[1, 0, 1], [1, 0, 2]]), with_facts(2, &[[0, 1, 2]])];
        let labels = LabelIndex::new(&documents.iter().collect::<Vec<_>>());
        let labels = labels.tensor::<TestBackend>(3, &Default::default());
        assert_eq!(labels.dims(), [4, 3]);
        #[rustfmt::skip]
        let expected = [
            1.0, 0.0, 0.0,
            0.0, 1.0, 1.0,
            0.0, 0.0, 1.0,
            1.0, 0.0, 0.0,
        ];
        assert_eq!(labels.into_data().to_vec::<f32>().unwrap(), expected);
    }

    #[test]
    fn the_diagonal_has_labels_where_it_is_classified() {
        let document =
            EncodedDocument { pair_set: PairSet::All, ..with_facts(2, &[[1, 1, 2], [0, 1, 1]]) };
        let labels = LabelIndex::new(&[&document]).tensor::<TestBackend>(3, &Default::default());
        #[rustfmt::skip]
        let expected = [
            1.0, 0.0, 0.0,
            0.0, 1.0, 0.0,
            1.0, 0.0, 0.0,
            0.0, 0.0, 1.0,
        ];
        assert_eq!(labels.into_data().to_vec::<f32>().unwrap(), expected);
    }

    #[test]
    #[should_panic(expected = "class 3 is out of range for 3 classes")]
    fn a_class_out_of_range_panics() {
        let document = with_facts(2, &[[0, 1, 3]]);
        LabelIndex::new(&[&document]).tensor::<TestBackend>(3, &Default::default());
    }
}
