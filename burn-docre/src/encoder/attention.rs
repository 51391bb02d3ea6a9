//! Multi-head self-attention that returns its probabilities.

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Tensor, backend::Backend},
};

use super::EncoderConfig;
use crate::{
    DocReBackend,
    batch::TokenGrid,
    nn::{dropout::Dropout, linear::linear},
    ops::{self, AttentionLayout, SegmentAttention},
};

/// `softmax(q k^T / sqrt(d / n_heads)) v`, dropout after the softmax as in BERT.
#[derive(Module, Debug)]
pub struct SelfAttention<B: Backend> {
    query: Linear<B>,
    key: Linear<B>,
    value: Linear<B>,
    output: Linear<B>,
    dropout: Dropout,
    n_heads: usize,
}

/// The output of self-attention.
pub struct AttentionOutput<B: Backend> {
    /// The projected context, `[rows, d]`.
    pub rows: Tensor<B, 2>,
    /// The probabilities that were applied, `[windows, n_heads, l, l]`; in training after dropout,
    /// as Hugging Face's BERT returns them and the authors' localized context reads them.
    pub probabilities: Tensor<B, 4>,
}

impl<B: Backend> SelfAttention<B> {
    pub(super) fn new(config: &EncoderConfig, device: &B::Device) -> Self {
        let linear = || LinearConfig::new(config.hidden_size, config.hidden_size).init(device);
        Self {
            query: linear(),
            key: linear(),
            value: linear(),
            output: linear(),
            dropout: Dropout::new(config.attention_probs_dropout_prob),
            n_heads: config.num_attention_heads,
        }
    }
}

impl<B: DocReBackend> SelfAttention<B> {
    /// Computes the projected context.
    ///
    /// # Shapes
    /// - `[rows, d]` → `[rows, d]`
    pub(super) fn forward(&self, rows: Tensor<B, 2>, grid: &TokenGrid<B>) -> Tensor<B, 2> {
        let device = rows.device();
        if B::attention_layout(&device) == AttentionLayout::PaddedGrid {
            return self.forward_with_probabilities(rows, grid).rows;
        }
        let head_dim = rows.dims()[1] / self.n_heads;
        let attention = SegmentAttention {
            segments: grid.segments.clone(),
            n_heads: self.n_heads,
            scale: 1.0 / (head_dim as f64).sqrt(),
            dropout: self.dropout.draw::<B>(&device),
        };
        let query = linear(&self.query, rows.clone());
        let key_value = [&self.key, &self.value].map(|layer| linear(layer, rows.clone()));
        let key_value = Tensor::cat(key_value.to_vec(), 1);
        linear(&self.output, ops::segment_attention(query, key_value, &attention))
    }

    /// Computes the projected context with its probabilities.
    ///
    /// # Shapes
    /// - `rows`: `[rows, d]`
    pub(super) fn forward_with_probabilities(
        &self,
        rows: Tensor<B, 2>,
        grid: &TokenGrid<B>,
    ) -> AttentionOutput<B> {
        let d = rows.dims()[1];
        let [windows, l] = grid.shape;
        let head_dim = d / self.n_heads;
        let split = |rows: Tensor<B, 2>| {
            grid.packing.to_grid(rows).reshape([windows, l, self.n_heads, head_dim]).swap_dims(1, 2)
        };
        let [query, key, value] =
            [&self.query, &self.key, &self.value].map(|layer| split(linear(layer, rows.clone())));

        let scores = query.matmul(key.swap_dims(2, 3)) / (head_dim as f64).sqrt();
        let probabilities = ops::masked_softmax(scores, grid.key_bias.clone());
        let probabilities = self.dropout.forward(probabilities);

        let context = probabilities.clone().matmul(value).swap_dims(1, 2);
        let context = grid.packing.to_rows(context.reshape([windows * l, d]));
        AttentionOutput { rows: linear(&self.output, context), probabilities }
    }
}
