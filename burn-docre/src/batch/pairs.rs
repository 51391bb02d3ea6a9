//! Pairs of entities of a batch.
//!
//! A document of `n` entities has `n * n` pair rows, the diagonal (head = tail) included. Its
//! classified pairs are those of its [`PairSet`].

use burn::tensor::{Int, Tensor, backend::Backend};

use super::packing::{Packing, index_tensor, key_bias};
use crate::{
    data::pair::{EntityPair, PairSet},
    ops::{Segment, Segments},
};

/// The pairs of entities of a batch.
#[derive(Clone, Debug)]
pub struct PairIndex<B: Backend> {
    /// The shape of the entity grid, `[b, e]`; `e` is the largest number of entities. The pair grid
    /// is `[b, e, e]`, head before tail.
    pub shape: [usize; 2],
    /// The number of entities of each document.
    pub n_entities: Vec<usize>,
    /// The mapping between pair rows and cells of the pair grid.
    pub packing: Packing<B>,
    /// The entity row of each pair's head, `[pairs]`.
    pub head: Tensor<B, 1, Int>,
    /// The entity row of each pair's tail, `[pairs]`.
    pub tail: Tensor<B, 1, Int>,
    /// The pairs of each head: the rows of the pair grid.
    pub row_segments: Segments,
    /// The pairs of each tail: the columns of the pair grid.
    pub column_segments: Segments,
    /// The mask of the entity grid, `[b, e]`: 0 at entities, -1e30 at padding. `None` if every
    /// document has `e` entities.
    pub entity_bias: Option<Tensor<B, 2>>,
    /// The pair rows of the classified pairs, in row order, `[p]`.
    pub classified: Tensor<B, 1, Int>,
}

impl<B: Backend> PairIndex<B> {
    /// Indexes the pairs of documents; `n_entities` is the number of entities of each. The pairs of
    /// `pair_set` are classified.
    pub fn new(n_entities: &[usize], pair_set: PairSet, device: &B::Device) -> Self {
        let e = n_entities.iter().copied().max().unwrap_or(0);
        let shape = [n_entities.len(), e];
        let mut is_entity = vec![false; shape[0] * e];
        let mut is_pair = vec![false; shape[0] * e * e];
        let (mut heads, mut tails, mut classified) = (Vec::new(), Vec::new(), Vec::new());
        let (mut rows, mut columns) = (Vec::new(), Vec::new());
        let mut first_entity = 0;
        for (d, &n) in n_entities.iter().enumerate() {
            let first = heads.len();
            rows.extend((0..n).map(|head| Segment { first: first + head * n, stride: 1, len: n }));
            columns.extend((0..n).map(|tail| Segment { first: first + tail, stride: n, len: n }));
            is_entity[d * e..d * e + n].fill(true);
            for head in 0..n {
                is_pair[(d * e + head) * e..(d * e + head) * e + n].fill(true);
                for tail in 0..n {
                    if pair_set.contains(EntityPair { head, tail }) {
                        classified.push(heads.len() as i32);
                    }
                    heads.push((first_entity + head) as i32);
                    tails.push((first_entity + tail) as i32);
                }
            }
            first_entity += n;
        }
        Self {
            shape,
            n_entities: n_entities.to_vec(),
            packing: Packing::new(&is_pair, device),
            head: index_tensor(heads, device),
            tail: index_tensor(tails, device),
            row_segments: Segments::new(rows),
            column_segments: Segments::new(columns),
            entity_bias: key_bias(&is_entity, shape, device),
            classified: index_tensor(classified, device),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::TestBackend,
        batch::{
            packing::{MASKED, float_tensor},
            testing::indices,
        },
    };

    #[test]
    fn pair_and_entity_rows_continue_across_documents() {
        let device = Default::default();
        let pairs = PairIndex::<TestBackend>::new(&[2, 0, 1], PairSet::OffDiagonal, &device);
        assert_eq!(pairs.shape, [3, 2]);
        assert_eq!(indices(pairs.head), [0, 0, 1, 1, 2]);
        assert_eq!(indices(pairs.tail), [0, 1, 0, 1, 2]);
        assert_eq!(indices(pairs.classified), [1, 2]);
        let all = PairIndex::<TestBackend>::new(&[2, 0, 1], PairSet::All, &device);
        assert_eq!(indices(all.classified), [0, 1, 2, 3, 4]);
        let bias: Vec<f32> = pairs.entity_bias.expect("padding").into_data().to_vec().unwrap();
        assert_eq!(bias, [0.0, 0.0, MASKED, MASKED, 0.0, MASKED]);
        // The third document's only pair has cell (2, 0, 0) of [3, 2, 2].
        let rows = float_tensor((1..6).map(|i| i as f32).collect(), [5, 1], &device);
        let grid = pairs.packing.to_grid(rows).into_data().to_vec::<f32>().unwrap();
        assert_eq!((&grid[..4], grid[8]), (&[1.0, 2.0, 3.0, 4.0][..], 5.0));
    }

    #[test]
    fn segments_are_the_rows_and_columns_of_each_grid() {
        let pairs =
            PairIndex::<TestBackend>::new(&[2, 1], PairSet::OffDiagonal, &Default::default());
        let segment = |first, stride, len| Segment { first, stride, len };
        let rows: Vec<_> = pairs.row_segments.iter().copied().collect();
        assert_eq!(rows, [segment(0, 1, 2), segment(2, 1, 2), segment(4, 1, 1)]);
        let columns: Vec<_> = pairs.column_segments.iter().copied().collect();
        assert_eq!(columns, [segment(0, 2, 2), segment(1, 2, 2), segment(4, 1, 1)]);
    }

    #[test]
    fn documents_of_equal_size_have_no_padding() {
        let pairs =
            PairIndex::<TestBackend>::new(&[2, 2], PairSet::OffDiagonal, &Default::default());
        assert!(pairs.entity_bias.is_none());
    }
}
