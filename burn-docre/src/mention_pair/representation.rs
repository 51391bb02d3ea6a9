//! The representation of mention pairs, and a linear layer on it (eqs. 4–8 of KMGRE).

use burn::{nn::Linear, tensor::Tensor};

use crate::{
    DocReBackend,
    batch::MentionPairIndex,
    entity::MentionEncoding,
    ops::{self, matmul},
};

/// Computes `W x + b` for each mention pair with `x = [h_head; h_tail; c]` (eqs. 4–6): the hidden
/// states of both mentions and their [context](mention_pair_context).
///
/// `W` has three parts. The first two are multiplied once per mention. As the context is linear in
/// the hidden states, the third is multiplied once per token, and neither `x` nor `c` is stored.
///
/// # Shapes
/// - `layer`: `3 d` inputs, `r` outputs
/// - output: `[q, r]`
///
/// # Panics
/// If there is no mention pair.
pub fn mention_pair_linear<B: DocReBackend>(
    layer: &Linear<B>,
    encoding: &MentionEncoding<B>,
    index: &MentionPairIndex<B>,
) -> Tensor<B, 2> {
    let [b, l, d] = encoding.hidden.dims();
    let weight = layer.weight.val();
    let r = weight.dims()[1];
    let part = |i: usize| weight.clone().slice([i * d..(i + 1) * d, 0..r]);
    let mut head = matmul(encoding.mentions.clone(), part(0));
    if let Some(bias) = &layer.bias {
        head = head + bias.val().reshape([1, r]);
    }
    let tail = matmul(encoding.mentions.clone(), part(1));
    let tokens = matmul(encoding.hidden.clone().reshape([b * l, d]), part(2));
    let attention = encoding.attention.clone();
    let context = ops::mention_pair_context(attention, tokens.reshape([b, l, r]), &index.rows);
    context + head.select(0, index.head.clone()) + tail.select(0, index.tail.clone())
}

/// Computes the localized context of each mention pair (eq. 4):
/// `c = H^T sum_k (a_head,k ∘ a_tail,k) / sum(a_head,k ∘ a_tail,k)`
///
/// with the sum over attention heads `k`, the mentions' attention `a` and the hidden states `H`.
/// Each attention head is normalised alone. The context is 0 if no token has the attention of both
/// mentions, as for mentions of different windows.
///
/// # Shapes
/// - output: `[q, d]`
///
/// # Panics
/// If there is no mention pair.
pub fn mention_pair_context<B: DocReBackend>(
    encoding: &MentionEncoding<B>,
    index: &MentionPairIndex<B>,
) -> Tensor<B, 2> {
    ops::mention_pair_context(encoding.attention.clone(), encoding.hidden.clone(), &index.rows)
}

/// The floating-point operations of the matrix products of [`mention_pair_linear`] on a document,
/// for the hidden size `d` and `r` outputs.
pub fn mention_pair_flops(
    [d, r]: [usize; 2],
    n_tokens: usize,
    n_mentions: usize,
    n_mention_pairs: usize,
) -> u64 {
    let parts = (2 * n_mentions + n_tokens) * d + n_mention_pairs * n_tokens;
    2 * (parts * r) as u64
}

#[cfg(test)]
mod tests {
    use burn::{
        module::Param,
        tensor::{Int, Tolerance},
    };

    use super::*;
    use crate::{
        backend::TestBackend,
        batch::{DocReBatch, mention_pair_testing::mention_pairs, packing::float_tensor, testing},
        ops::Draws,
    };

    #[test]
    fn the_context_of_a_mention_pair_equals_a_calculation_by_hand() {
        // Two mentions, two attention heads, three tokens, hidden size 1.
        let device = Default::default();
        let attention = vec![
            0.5, 0.5, 0.0, /**/ 1.0, 0.0, 0.0, // mention 0
            0.5, 0.0, 0.5, /**/ 0.25, 0.75, 0.0, // mention 1
        ];
        let encoding = MentionEncoding::<TestBackend> {
            hidden: float_tensor(vec![1.0, 2.0, 4.0], [1, 3, 1], &device),
            mentions: float_tensor(vec![0.0, 0.0], [2, 1], &device),
            attention: float_tensor(attention, [2, 2, 3], &device),
        };
        // Both attention heads have token 0 alone in common, so each contributes its value 1.
        let context = mention_pair_context(&encoding, &mention_pairs(&[1, 1], &device));
        let context: Vec<f32> = context.into_data().to_vec().unwrap();
        assert_eq!(context, [2.0, 2.0]);
    }

    #[test]
    fn the_three_parts_equal_one_product_with_the_concatenated_representation() {
        let device = Default::default();
        let [n_heads, l, d, r] = [2, 7, 3, 4];
        let documents = [
            testing::document(l as u32, &[&[1, 2], &[4]]),
            testing::document(5, &[&[2], &[1], &[3]]),
        ];
        let documents: Vec<_> = documents.iter().collect();
        let index = DocReBatch::<TestBackend>::new(&documents, testing::INPUT, &device);
        let index = index.mention_pairs();
        let mut draws = Draws::new();
        let encoding = MentionEncoding {
            hidden: draws.rows([2 * l, d]).reshape([2, l, d]),
            mentions: draws.rows([6, d]),
            attention: draws.rows([6, n_heads * l]).abs().reshape([6, n_heads, l]),
        };
        let layer = Linear {
            weight: Param::from_tensor(draws.rows([3 * d, r])),
            bias: Some(Param::from_tensor(draws.rows([1, r]).reshape([r]))),
        };
        let mention =
            |rows: &Tensor<TestBackend, 1, Int>| encoding.mentions.clone().select(0, rows.clone());
        let context = mention_pair_context(&encoding, &index);
        let x = Tensor::cat(vec![mention(&index.head), mention(&index.tail), context], 1);
        let ours = mention_pair_linear(&layer, &encoding, &index);
        let tolerance = Tolerance::rel_abs(1e-5, 1e-5);
        ours.into_data().assert_approx_eq::<f32>(&layer.forward(x).into_data(), tolerance);
    }
}
