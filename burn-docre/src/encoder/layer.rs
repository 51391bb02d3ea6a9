//! One post-norm transformer layer.

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Tensor, backend::Backend},
};

use super::{EncoderConfig, attention::SelfAttention};
use crate::{
    DocReBackend,
    batch::TokenGrid,
    nn::{dropout::Dropout, layer_norm::LayerNorm, linear::linear},
    ops,
};

/// Attention and feed-forward, each followed by dropout, the residual and layer normalisation.
#[derive(Module, Debug)]
pub struct EncoderLayer<B: Backend> {
    attention: SelfAttention<B>,
    attention_norm: LayerNorm<B>,
    intermediate: Linear<B>,
    output: Linear<B>,
    output_norm: LayerNorm<B>,
    dropout: Dropout,
}

/// The output of a layer.
pub struct LayerOutput<B: Backend> {
    /// Hidden states, `[rows, d]`.
    pub rows: Tensor<B, 2>,
    /// Attention probabilities, `[windows, n_heads, l, l]`.
    pub probabilities: Tensor<B, 4>,
}

impl<B: Backend> EncoderLayer<B> {
    pub(super) fn new(config: &EncoderConfig, device: &B::Device) -> Self {
        let norm = || LayerNorm::new(config.hidden_size, config.layer_norm_eps, device);
        let (d, inner) = (config.hidden_size, config.intermediate_size);
        Self {
            attention: SelfAttention::new(config, device),
            attention_norm: norm(),
            intermediate: LinearConfig::new(d, inner).init(device),
            output: LinearConfig::new(inner, d).init(device),
            output_norm: norm(),
            dropout: Dropout::new(config.hidden_dropout_prob),
        }
    }
}

impl<B: DocReBackend> EncoderLayer<B> {
    /// Computes the hidden states of this layer from those of the layer before.
    ///
    /// # Shapes
    /// - `[rows, d]` → `[rows, d]`
    pub(super) fn forward(&self, rows: Tensor<B, 2>, grid: &TokenGrid<B>) -> Tensor<B, 2> {
        let context = self.attention.forward(rows.clone(), grid);
        self.after_attention(rows, context)
    }

    /// Computes [`forward`](Self::forward) and returns the attention probabilities too.
    pub(super) fn forward_with_probabilities(
        &self,
        rows: Tensor<B, 2>,
        grid: &TokenGrid<B>,
    ) -> LayerOutput<B> {
        let attention = self.attention.forward_with_probabilities(rows.clone(), grid);
        LayerOutput {
            rows: self.after_attention(rows, attention.rows),
            probabilities: attention.probabilities,
        }
    }

    /// The layer without its attention, whose output is `context`.
    fn after_attention(&self, rows: Tensor<B, 2>, context: Tensor<B, 2>) -> Tensor<B, 2> {
        let rows = self.attention_norm.forward(self.dropout.forward(context) + rows);
        let inner = ops::gelu(linear(&self.intermediate, rows.clone()));
        let output = self.dropout.forward(linear(&self.output, inner));
        self.output_norm.forward(output + rows)
    }
}
