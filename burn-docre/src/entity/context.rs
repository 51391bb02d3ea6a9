//! Localized context: the tokens that both entities of a pair attend to.

use burn::tensor::{Tensor, backend::Backend};

use super::DocumentEncoding;
use crate::batch::PairIndex;

/// The localized context of every cell of the pair grid.
#[derive(Clone, Debug)]
pub struct PairContext<B: Backend> {
    /// The products `q` of both entities' attention, summed over attention heads, `[b, l, e * e]`.
    pub weights: Tensor<B, 3>,
    /// The sum of `weights` over tokens, plus epsilon, `[b, e * e]`.
    pub divisor: Tensor<B, 2>,
    /// The context vectors, `[b * e * e, d]`.
    pub vectors: Tensor<B, 2>,
}

impl<B: Backend> PairContext<B> {
    /// The weights divided by the divisor: a distribution over tokens for each pair.
    ///
    /// # Shapes
    /// - output: `[b, e * e, l]`
    pub fn distribution(&self) -> Tensor<B, 3> {
        let [b, n_cells] = self.divisor.dims();
        (self.weights.clone() / self.divisor.clone().reshape([b, 1, n_cells])).swap_dims(1, 2)
    }

    /// The context vectors by pair row, without the weights.
    ///
    /// # Shapes
    /// - output: `[pairs, d]`
    pub fn into_rows(self, pairs: &PairIndex<B>) -> Tensor<B, 2> {
        pairs.packing.to_rows(self.vectors)
    }
}

/// Computes the localized context of each pair (eqs. 3 and 4 of KD-DocRE):
///
/// `q = sum_i a_head[i] ∘ a_tail[i]`, `c = H^T q / (sum q + epsilon)`
///
/// with the sum over attention heads `i`, the entities' attention `a` and the hidden states `H`.
/// The paper prints no division.
///
/// KD-DocRE's code sums over attention heads with `epsilon` 1e-10. ATLOP's averages over them with
/// 1e-5, which equals a sum with `epsilon = n_heads * 1e-5`.
pub fn localized_context<B: Backend>(
    encoding: &DocumentEncoding<B>,
    epsilon: f64,
) -> PairContext<B> {
    let [b, _, d] = encoding.hidden.dims();
    let [_, e, _, _] = encoding.entity_attention.dims();
    let weights = pair_attention(encoding.entity_attention.clone());
    let divisor = weights.clone().sum_dim(1).reshape([b, e * e]) + epsilon;
    let context = weights.clone().swap_dims(1, 2).matmul(encoding.hidden.clone());
    let vectors = context.reshape([b * e * e, d]) / divisor.clone().reshape([b * e * e, 1]);
    PairContext { weights, divisor, vectors }
}

/// Computes `q` of [`localized_context`] as one Gram matrix per token, so that no tensor
/// `[pairs, n_heads, l]` is stored.
///
/// # Shapes
/// - `entity_attention`: `[b, e, n_heads, l]` → `[b, l, e * e]`
fn pair_attention<B: Backend>(entity_attention: Tensor<B, 4>) -> Tensor<B, 3> {
    let [b, e, n_heads, l] = entity_attention.dims();
    let by_token = entity_attention.permute([0, 3, 1, 2]).reshape([b * l, e, n_heads]);
    let gram = by_token.clone().matmul(by_token.swap_dims(1, 2));
    gram.reshape([b, l, e * e])
}

/// The floating-point operations of the matrix product `H^T q` of a document.
pub fn context_flops(d: usize, n_tokens: usize, n_entities: usize) -> u64 {
    2 * (n_entities * n_entities) as u64 * (n_tokens * d) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{backend::TestBackend, batch::packing::float_tensor};

    fn values<const D: usize>(tensor: Tensor<TestBackend, D>) -> Vec<f32> {
        tensor.into_data().convert::<f32>().to_vec().unwrap()
    }

    #[test]
    fn the_context_of_two_entities_equals_a_calculation_by_hand() {
        // Two entities, two attention heads, three tokens, hidden size 1. One row per entity, one
        // block per attention head.
        let device = Default::default();
        let attention = vec![
            0.5, 0.5, 0.0, /**/ 1.0, 0.0, 0.0, // entity 0
            0.5, 0.0, 0.5, /**/ 0.5, 0.5, 0.0, // entity 1
        ];
        let encoding = DocumentEncoding::<TestBackend> {
            hidden: float_tensor(vec![1.0, 2.0, 4.0], [1, 3, 1], &device),
            entities: float_tensor(vec![0.0, 0.0], [2, 1], &device),
            entity_attention: float_tensor(attention, [1, 2, 2, 3], &device),
        };
        let context = localized_context(&encoding, 0.25);
        // One block per token, with the cells (0,0), (0,1), (1,0), (1,1).
        let weights =
            [1.25, 0.75, 0.75, 0.5, /**/ 0.25, 0.0, 0.0, 0.25, /**/ 0.0, 0.0, 0.0, 0.25];
        assert_eq!(values(context.weights.clone()), weights);
        assert_eq!(values(context.divisor.clone()), [1.75, 1.0, 1.0, 1.25]);
        assert_eq!(values(context.distribution())[3..6], [0.75, 0.0, 0.0]);
        let expected = [1.75 / 1.75, 0.75, 0.75, 2.0 / 1.25];
        assert_eq!(values(context.vectors), expected);
    }
}
