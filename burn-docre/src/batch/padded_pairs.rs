//! Pairs whose grids are padded without a mask, as in the KD-DocRE authors' code.
//!
//! That code fills the pair grid of every document up to 42 entities. The pads, cells whose head
//! or tail is no entity, are queries, keys and values like all other pairs.
//!
//! All pads start as the same vector, so those that share a head or a tail stay equal in every
//! layer. One *pad entity* therefore stands for all entities that the code adds: as a key, its
//! weight is their number. `n` entities need `(n + 1)²` rows instead of 42².

use burn::tensor::{Int, Tensor, backend::Backend};

use super::{
    packing::{MASKED, float_tensor, index_tensor},
    pairs::PairIndex,
};
use crate::data::pair::PairSet;

/// The pairs of a batch with the pad entity of each document.
#[derive(Clone, Debug)]
pub struct PaddedPairIndex<B: Backend> {
    /// The pairs with the pad entity behind the entities of each document. Documents with `pad_to`
    /// or more entities have none, nor have documents without entities.
    ///
    /// `entity_bias` is always present: 0 at entities, -1e30 at padding of the batch. At a pad
    /// entity, it is the logarithm of the number of entities that the pad entity stands for. It
    /// must be added to the attention scores of the keys.
    pub pairs: PairIndex<B>,
    /// The row of each padded pair among the pairs without pads, `[padded pairs]`. At a pad, it is
    /// the row behind them, where [`add_pads`](Self::add_pads) appends the pad's vector.
    source: Tensor<B, 1, Int>,
    /// The rows of `pairs` that are no pads, `[pairs]`.
    real: Tensor<B, 1, Int>,
}

impl<B: Backend> PaddedPairIndex<B> {
    /// Pads documents of `n_entities` entities to `pad_to` entities each.
    pub fn new(n_entities: &[usize], pad_to: usize, device: &B::Device) -> Self {
        let has_pad = |n: usize| (1..pad_to).contains(&n);
        let with_pad: Vec<usize> =
            n_entities.iter().map(|&n| n + usize::from(has_pad(n))).collect();
        let pairs = PairIndex::new(&with_pad, PairSet::OffDiagonal, device);
        let [b, e] = pairs.shape;
        let n_pairs: usize = n_entities.iter().map(|n| n * n).sum();

        let mut bias = vec![MASKED; b * e];
        let (mut source, mut real) = (Vec::new(), Vec::new());
        let mut n_real = 0;
        for (document, (&n, &n_padded)) in n_entities.iter().zip(&with_pad).enumerate() {
            let bias = &mut bias[document * e..(document + 1) * e];
            bias[..n].fill(0.0);
            if has_pad(n) {
                bias[n] = ((pad_to - n) as f32).ln();
            }
            for cell in 0..n_padded * n_padded {
                let is_real = cell / n_padded < n && cell % n_padded < n;
                if is_real {
                    real.push(source.len() as i32);
                    source.push(n_real);
                    n_real += 1;
                } else {
                    source.push(n_pairs as i32);
                }
            }
        }
        Self {
            pairs: PairIndex { entity_bias: Some(float_tensor(bias, [b, e], device)), ..pairs },
            source: index_tensor(source, device),
            real: index_tensor(real, device),
        }
    }

    /// Inserts the vector `pad` at the row of each pad.
    ///
    /// # Shapes
    /// - rows `[pairs, d]`, `pad` `[1, d]` → `[padded pairs, d]`
    pub fn add_pads(&self, rows: Tensor<B, 2>, pad: Tensor<B, 2>) -> Tensor<B, 2> {
        Tensor::cat(vec![rows, pad], 0).select(0, self.source.clone())
    }

    /// Removes the rows of pads.
    ///
    /// # Shapes
    /// - `[padded pairs, d]` → `[pairs, d]`
    pub fn drop_pads(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        rows.select(0, self.real.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{backend::TestBackend, batch::testing::indices};

    #[test]
    fn a_document_below_the_padded_size_has_one_pad_entity() {
        let device = Default::default();
        let padded = PaddedPairIndex::<TestBackend>::new(&[2, 0, 4, 1], 4, &device);
        assert_eq!(padded.pairs.n_entities, [3, 0, 4, 2]);
        let real: Vec<i64> = [0, 1, 3, 4].into_iter().chain(9..26).collect();
        assert_eq!(indices(padded.real), real);
        let source = indices(padded.source);
        assert_eq!(source[..9], [0, 1, 21, 2, 3, 21, 21, 21, 21]);
        assert_eq!(source[9..25], (4..20).collect::<Vec<_>>());
        assert_eq!(source[25..], [20, 21, 21, 21]);
    }

    #[test]
    fn the_bias_is_the_logarithm_of_the_number_of_pads() {
        let padded = PaddedPairIndex::<TestBackend>::new(&[1, 3, 0], 3, &Default::default());
        let bias = padded.pairs.entity_bias.expect("a bias").into_data().to_vec::<f32>().unwrap();
        assert_eq!(bias[..3], [0.0, 2f32.ln(), MASKED]);
        assert_eq!(bias[3..6], [0.0; 3]);
        assert_eq!(bias[6..], [MASKED; 3]);
    }

    #[test]
    fn rows_keep_their_values_when_pads_are_added_and_dropped() {
        let device = Default::default();
        let padded = PaddedPairIndex::<TestBackend>::new(&[2, 1], 42, &device);
        let rows = float_tensor(vec![1.0, 2.0, 3.0, 4.0, 5.0], [5, 1], &device);
        let with_pads = padded.add_pads(rows.clone(), float_tensor(vec![9.0], [1, 1], &device));
        let values = with_pads.clone().into_data().to_vec::<f32>().unwrap();
        assert_eq!(values[..9], [1.0, 2.0, 9.0, 3.0, 4.0, 9.0, 9.0, 9.0, 9.0]);
        assert_eq!(values[9..], [5.0, 9.0, 9.0, 9.0]);
        padded.drop_pads(with_pads).into_data().assert_eq(&rows.into_data(), true);
    }
}
