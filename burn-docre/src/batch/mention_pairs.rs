//! Mention pairs of a batch: a mention of the head with a mention of the tail, for each classified
//! pair.
//!
//! Pairs differ in their number of mention pairs. A [`MentionPairGroup`] is a padded grid of pairs
//! whose numbers of mention pairs round up to the same power of two. Padding therefore at most
//! doubles the grids.

use std::collections::BTreeMap;

use burn::tensor::{Int, Tensor, backend::Backend};

use super::packing::{float_tensor, index_tensor};
use crate::{data::pair::EntityPair, ops::MentionPairRows, text::encoded::EncodedDocument};

/// The mention pairs of the classified pairs of a batch.
///
/// They are ordered by classified pair, then by the mention of its head, then by that of its tail.
#[derive(Clone, Debug)]
pub struct MentionPairIndex<B: Backend> {
    /// The mention row of each mention pair's head, `[q]`.
    pub head: Tensor<B, 1, Int>,
    /// The mention row of each mention pair's tail, `[q]`.
    pub tail: Tensor<B, 1, Int>,
    /// `head` and `tail` on the CPU, with the range of each document's mention pairs.
    pub rows: MentionPairRows,
    /// The classified pairs, grouped by their number of mention pairs.
    pub groups: Vec<MentionPairGroup<B>>,
    /// The index of each mention pair in the concatenated slots of all groups, `[q]`.
    slot: Tensor<B, 1, Int>,
    /// The index of each classified pair in the concatenated pairs of all groups, `[p]`.
    place: Tensor<B, 1, Int>,
}

/// Pairs with similar numbers of mention pairs, as a padded grid.
#[derive(Clone, Debug)]
pub struct MentionPairGroup<B: Backend> {
    /// The shape of the grid, `[n, size]`: the pairs and the slots of each. `size` is a power of
    /// two, and more than half of each pair's slots have a mention pair.
    pub shape: [usize; 2],
    /// The row of each pair among the classified pairs, `[n]`.
    pub pairs: Tensor<B, 1, Int>,
    /// The mention pair of each slot, `[n * size]`. The mention pairs of a pair come first. Padding
    /// repeats the first.
    pub slots: Tensor<B, 1, Int>,
    /// 1 at mention pairs and 0 at padding, `[n, size]`.
    pub mask: Tensor<B, 2>,
}

impl<B: Backend> MentionPairIndex<B> {
    /// Concatenates the values of all groups in the order of mention pairs, without padding.
    ///
    /// # Shapes
    /// - `grids`: the grid `[n, size]` of each group
    /// - output: `[q]`
    pub fn in_order(&self, grids: Vec<Tensor<B, 2>>) -> Tensor<B, 1> {
        let flat = grids.into_iter().map(|grid| {
            let [n, size] = grid.dims();
            grid.reshape([n * size])
        });
        Tensor::cat(flat.collect(), 0).select(0, self.slot.clone())
    }

    /// Concatenates the rows of all groups in the order of classified pairs.
    ///
    /// # Shapes
    /// - `rows`: the rows `[n, r]` of each group
    /// - output: `[p, r]`
    pub fn pairs_in_order(&self, rows: Vec<Tensor<B, 2>>) -> Tensor<B, 2> {
        Tensor::cat(rows, 0).select(0, self.place.clone())
    }
}

impl<B: Backend> MentionPairGroup<B> {
    /// Arranges rows of mention pairs by pair.
    ///
    /// # Shapes
    /// - `rows`: `[q, r]`, of all mention pairs
    /// - output: `[n, size, r]`
    pub fn rows(&self, rows: Tensor<B, 2>) -> Tensor<B, 3> {
        let [n, size] = self.shape;
        let r = rows.dims()[1];
        rows.select(0, self.slots.clone()).reshape([n, size, r])
    }

    /// Arranges values of mention pairs by pair.
    ///
    /// # Shapes
    /// - `values`: `[q]`, of all mention pairs
    /// - output: `[n, size]`
    pub fn values(&self, values: Tensor<B, 1>) -> Tensor<B, 2> {
        values.select(0, self.slots.clone()).reshape(self.shape)
    }
}

/// The classified pairs of a batch's documents, of which [`index`](Self::index) makes the mention
/// pairs.
#[derive(Clone, Debug)]
pub(super) struct MentionPairSource(Vec<DocumentMentions>);

/// The mentions and the classified pairs of a document.
#[derive(Clone, Debug)]
struct DocumentMentions {
    /// The number of mentions of each entity.
    n_mentions: Vec<usize>,
    pairs: Vec<EntityPair>,
}

/// Collects the pairs of a group.
#[derive(Default)]
struct GroupList {
    pairs: Vec<i32>,
    slots: Vec<i32>,
    mask: Vec<f32>,
}

impl MentionPairSource {
    pub(super) fn new(documents: &[&EncodedDocument]) -> Self {
        let documents = documents.iter().map(|document| DocumentMentions {
            n_mentions: document.mentions.iter().map(Vec::len).collect(),
            pairs: document.pairs().collect(),
        });
        Self(documents.collect())
    }

    /// See [`DocReBatch::mention_pairs`](super::DocReBatch::mention_pairs).
    pub(super) fn index<B: Backend>(&self, device: &B::Device) -> MentionPairIndex<B> {
        let (mut heads, mut tails, mut of_document) = (Vec::new(), Vec::new(), Vec::new());
        let mut groups = Groups::default();
        let mut first_mention = 0;
        for (d, document) in self.0.iter().enumerate() {
            let start = heads.len();
            // The mention rows of each entity.
            let mentions: Vec<_> = document
                .n_mentions
                .iter()
                .enumerate()
                .map(|(entity, &n)| {
                    assert!(n > 0, "document {d}: entity {entity} has no mention");
                    let rows = first_mention..first_mention + n as i32;
                    first_mention = rows.end;
                    rows
                })
                .collect();
            for pair in &document.pairs {
                let (head, tail) = (&mentions[pair.head], &mentions[pair.tail]);
                groups.add(heads.len(), head.len() * tail.len());
                for mention in head.clone() {
                    heads.extend(std::iter::repeat_n(mention, tail.len()));
                    tails.extend(tail.clone());
                }
            }
            of_document.push(start..heads.len());
        }
        let OrderedGroups { groups, slot, place } = groups.tensors(heads.len(), device);
        MentionPairIndex {
            head: index_tensor(heads.clone(), device),
            tail: index_tensor(tails.clone(), device),
            rows: MentionPairRows::new(heads, tails, of_document),
            groups,
            slot,
            place,
        }
    }
}

/// The groups of a batch while they are collected on the CPU, by their number of slots.
#[derive(Default)]
struct Groups {
    by_size: BTreeMap<usize, GroupList>,
    n_pairs: usize,
}

/// The groups with the places of their mention pairs and pairs.
struct OrderedGroups<B: Backend> {
    groups: Vec<MentionPairGroup<B>>,
    /// See [`MentionPairIndex`].
    slot: Tensor<B, 1, Int>,
    /// See [`MentionPairIndex`].
    place: Tensor<B, 1, Int>,
}

impl Groups {
    /// Adds the next classified pair, whose `n` mention pairs begin at `first`.
    fn add(&mut self, first: usize, n: usize) {
        let size = n.next_power_of_two();
        let group = self.by_size.entry(size).or_default();
        group.pairs.push(self.n_pairs as i32);
        group.slots.extend((0..size).map(|i| (first + if i < n { i } else { 0 }) as i32));
        group.mask.extend((0..size).map(|i| if i < n { 1.0 } else { 0.0 }));
        self.n_pairs += 1;
    }

    /// Copies the groups to the device; `q` is the number of mention pairs.
    fn tensors<B: Backend>(self, q: usize, device: &B::Device) -> OrderedGroups<B> {
        let (mut slot, mut place) = (vec![0; q], vec![0; self.n_pairs]);
        let (mut n_slots, mut n_places) = (0, 0);
        for group in self.by_size.values() {
            for (mention_pair, mask) in group.slots.iter().zip(&group.mask) {
                if *mask > 0.0 {
                    slot[*mention_pair as usize] = n_slots;
                }
                n_slots += 1;
            }
            for pair in &group.pairs {
                place[*pair as usize] = n_places;
                n_places += 1;
            }
        }
        let groups = self.by_size.into_iter().map(|(size, group)| {
            let shape = [group.pairs.len(), size];
            MentionPairGroup {
                shape,
                pairs: index_tensor(group.pairs, device),
                slots: index_tensor(group.slots, device),
                mask: float_tensor(group.mask, shape, device),
            }
        });
        OrderedGroups {
            groups: groups.collect(),
            slot: index_tensor(slot, device),
            place: index_tensor(place, device),
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! The mention pairs of one document.

    use burn::tensor::backend::Backend;

    use super::MentionPairIndex;
    use crate::batch::{DocReBatch, testing};

    /// The mention pairs of a document whose entities have these numbers of mentions.
    pub(crate) fn mention_pairs<B: Backend>(
        n_mentions: &[usize],
        device: &B::Device,
    ) -> MentionPairIndex<B> {
        let mentions: Vec<Vec<usize>> = n_mentions.iter().map(|n| vec![1; *n]).collect();
        let mentions: Vec<&[usize]> = mentions.iter().map(Vec::as_slice).collect();
        DocReBatch::new(&[&testing::document(5, &mentions)], testing::INPUT, device).mention_pairs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::TestBackend,
        batch::{
            DocReBatch,
            testing::{INPUT, document, indices},
        },
    };

    fn index(documents: &[EncodedDocument]) -> MentionPairIndex<TestBackend> {
        let documents: Vec<_> = documents.iter().collect();
        DocReBatch::new(&documents, INPUT, &Default::default()).mention_pairs()
    }

    #[test]
    fn mention_pairs_are_ordered_by_pair_and_continue_across_documents() {
        let documents = [document(6, &[&[1], &[2, 4]]), document(4, &[&[2], &[1]])];
        let index = index(&documents);
        assert_eq!(indices(index.head), [0, 0, 1, 2, 3, 4]);
        assert_eq!(indices(index.tail), [1, 2, 0, 0, 4, 3]);
        assert_eq!(documents.map(|document| document.n_mention_pairs()), [4, 2]);
    }

    #[test]
    fn pairs_are_grouped_by_the_next_power_of_two_of_their_number_of_mention_pairs() {
        // The pairs have 3, 1, 3, 3, 1 and 3 mention pairs.
        let index = index(&[document(6, &[&[1], &[2, 3, 4], &[5]])]);
        let shapes: Vec<_> = index.groups.iter().map(|group| group.shape).collect();
        assert_eq!(shapes, [[2, 1], [4, 4]]);
        let [single, padded] = &index.groups[..] else { panic!("two groups") };
        assert_eq!(indices(single.pairs.clone()), [1, 4]);
        assert_eq!(indices(single.slots.clone()), [3, 10]);
        assert_eq!(indices(padded.pairs.clone()), [0, 2, 3, 5]);
        assert_eq!(indices(padded.slots.clone())[..8], [0, 1, 2, 0, 4, 5, 6, 4]);
        let mask: Vec<f32> = padded.mask.clone().into_data().to_vec().unwrap();
        assert_eq!(mask[..8], [1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0]);
    }

    #[test]
    fn values_that_are_grouped_come_back_in_order() {
        let index = index(&[document(6, &[&[1], &[2, 3, 4], &[5]])]);
        let values = float_tensor((0..14).map(|i| i as f32).collect(), [14], &Default::default());
        let grids = index.groups.iter().map(|group| group.values(values.clone())).collect();
        index.in_order(grids).into_data().assert_eq(&values.into_data(), true);
        let pairs = index.groups.iter().map(|group| group.pairs.clone().float().unsqueeze_dim(1));
        let pairs: Vec<f32> = index.pairs_in_order(pairs.collect()).into_data().to_vec().unwrap();
        assert_eq!(pairs, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    }

    #[test]
    #[should_panic(expected = "document 1: entity 0 has no mention")]
    fn an_entity_without_mentions_panics() {
        index(&[document(3, &[&[1]]), document(3, &[&[], &[1]])]);
    }
}
