//! Multi-head self-attention, with or without its probabilities as a second output.

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

/// Multi-head self-attention: `softmax(q k^T / sqrt(d / n_heads)) v`, with dropout on the
/// probabilities as in BERT.
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
    /// The weighted sums of values after the output projection, `[rows, d]`.
    pub rows: Tensor<B, 2>,
    /// The attention probabilities, `[windows, n_heads, l, l]`; in training, after dropout.
    ///
    /// Hugging Face's BERT also returns them after dropout, so the authors' localized context does
    /// too.
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
    /// Attends within each window, in the layout that is fastest on the device.
    ///
    /// # Shapes
    /// - `[rows, d]` → `[rows, d]`
    pub(super) fn forward(&self, rows: Tensor<B, 2>, grid: &TokenGrid<B>) -> Tensor<B, 2> {
        match B::attention_layout(&rows.device()) {
            AttentionLayout::Segments => self.forward_in_segments(rows, grid),
            AttentionLayout::PaddedGrid => self.forward_with_probabilities(rows, grid).rows,
        }
    }

    /// Computes [`forward`](Self::forward) on the packed rows, without padding.
    fn forward_in_segments(&self, rows: Tensor<B, 2>, grid: &TokenGrid<B>) -> Tensor<B, 2> {
        let head_dim = rows.dims()[1] / self.n_heads;
        let attention = SegmentAttention {
            segments: grid.segments.clone(),
            n_heads: self.n_heads,
            scale: 1.0 / (head_dim as f64).sqrt(),
            dropout: self.dropout.draw::<B>(&rows.device()),
        };
        let query = linear(&self.query, rows.clone());
        let key_value = [&self.key, &self.value].map(|layer| linear(layer, rows.clone()));
        let key_value = Tensor::cat(key_value.to_vec(), 1);
        linear(&self.output, ops::segment_attention(query, key_value, &attention))
    }

    /// Computes [`forward`](Self::forward) on the padded grid and returns the probabilities too.
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

#[cfg(test)]
mod tests {
    use burn::{backend::Autodiff, module::Param, tensor::Tolerance};

    use super::*;
    use crate::{backend::TestBackend, batch::testing::INPUT, ops::Draws};

    type Diff = Autodiff<TestBackend>;

    #[test]
    fn the_padded_grid_equals_the_segments_forward_and_backward() {
        let device = Default::default();
        let mut draws = Draws::new();
        let mut linear = || Linear {
            weight: Param::from_tensor(draws.rows::<Diff>([6, 6]) * 0.4),
            bias: Some(Param::from_tensor(draws.rows([1, 6]).reshape([6]))),
        };
        let attention = SelfAttention {
            query: linear(),
            key: linear(),
            value: linear(),
            output: linear(),
            dropout: Dropout::new(0.0),
            n_heads: 2,
        };
        let long: Vec<u32> = (10..21).collect();
        let grid = TokenGrid::new(&[&[1, 2, 3], &long], &INPUT, &device);
        assert!(grid.key_bias.is_some(), "there is padding");
        let shape = [grid.segments.n_rows(), 6];
        let rows = draws.rows::<Diff>(shape).require_grad();
        let on_grid = attention.forward_with_probabilities(rows.clone(), &grid).rows;
        let in_segments = attention.forward_in_segments(rows.clone(), &grid);
        let weights = in_segments.clone().detach().sin();
        let results = [on_grid, in_segments].map(|output| {
            let gradients = (output.clone() * weights.clone()).sum().backward();
            let gradient = |rows: &Tensor<Diff, 2>| rows.grad(&gradients).expect("tracked");
            let weight = |layer: &Linear<Diff>| gradient(&layer.weight.val()).into_data();
            let inputs = [&attention.query, &attention.key, &attention.value].map(weight);
            let [query, key, value] = inputs;
            [output.into_data(), gradient(&rows).into_data(), query, key, value]
        });
        let [on_grid, in_segments] = results;
        for (on_grid, in_segments) in on_grid.iter().zip(&in_segments) {
            let tolerance = Tolerance::rel_abs(1e-4, 1e-5);
            in_segments.assert_approx_eq::<f32>(on_grid, tolerance);
        }
    }
}
