//! Attention along the rows and columns of the pair grid.

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Tensor, backend::Backend},
};

use crate::{
    batch::PairIndex,
    nn::{layer_norm::LayerNorm, precision::linear},
    ops::{self, DocReBackend, LineAttention},
};

/// PyTorch's default, which the authors leave in place.
const NORM_EPSILON: f64 = 1e-5;

/// The direction in which a pair attends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// To the pairs of the same tail, `(p, tail)`.
    Column,
    /// To the pairs of the same head, `(head, p)`.
    Row,
}

/// Query, key and value rows.
pub struct AxisInput<B: Backend> {
    /// What asks, `[pairs, d]`.
    pub query: Tensor<B, 2>,
    /// What is asked, then what answers, `[pairs, 2 d]`.
    pub key_value: Tensor<B, 2>,
}

/// Attention along one axis of the pair grid: `softmax(scale * q k^T) v`, missing entities masked.
///
/// The diagonal takes part as key and value, as in the authors' code.
///
/// # Shapes
/// - rows `[pairs, d]` → `[pairs, d]`
pub fn attend_along<B: DocReBackend>(
    axis: Axis,
    input: AxisInput<B>,
    n_heads: usize,
    scale: f64,
    pairs: &PairIndex<B>,
) -> Tensor<B, 2> {
    if !B::has_host_loops(&input.query.device()) {
        return attend_on_the_grid(axis, input, n_heads, scale, pairs);
    }
    let lines = match axis {
        Axis::Column => pairs.column_lines.clone(),
        Axis::Row => pairs.row_lines.clone(),
    };
    let attention = LineAttention { lines, n_heads, scale, dropout: None };
    ops::line_attention(input.query, input.key_value, &attention)
}

/// [`attend_along`] in few large products, on the padded grid.
fn attend_on_the_grid<B: DocReBackend>(
    axis: Axis,
    input: AxisInput<B>,
    n_heads: usize,
    scale: f64,
    pairs: &PairIndex<B>,
) -> Tensor<B, 2> {
    let [n, d] = input.query.dims();
    let [b, e] = pairs.shape;
    let head_width = d / n_heads;
    // [b, head entity, tail entity, n_heads, w] → lines of the axis [b * e, n_heads, e, w], and back.
    let (lines, back) = match axis {
        Axis::Row => ([0, 1, 3, 2, 4], [0, 1, 3, 2, 4]),
        Axis::Column => ([0, 2, 3, 1, 4], [0, 3, 1, 2, 4]),
    };
    let to_lines = |rows: Tensor<B, 2>| {
        pairs
            .packing
            .to_grid(rows)
            .reshape([b, e, e, n_heads, head_width])
            .permute(lines)
            .reshape([b * e, n_heads, e, head_width])
    };
    let key = to_lines(input.key_value.clone().slice([0..n, 0..d]));
    let value = to_lines(input.key_value.slice([0..n, d..2 * d]));
    let query = to_lines(input.query);
    let bias = pairs
        .entity_bias
        .clone()
        .map(|bias| bias.reshape([b, 1, e]).expand([b, e, e]).reshape([b * e, e]));
    let scores = query.matmul(key.swap_dims(2, 3)) * scale;
    let context = ops::masked_softmax(scores, bias).matmul(value);
    let grid = context.reshape([b, e, n_heads, e, head_width]).permute(back);
    pairs.packing.to_rows(grid.reshape([b * e * e, d]))
}

/// Multi-head attention along one axis, with its own weights.
#[derive(Module, Debug)]
pub struct AxialAttention<B: Backend> {
    to_q: Linear<B>,
    /// Keys, then values.
    to_kv: Linear<B>,
    to_out: Linear<B>,
}

impl<B: Backend> AxialAttention<B> {
    fn new(d: usize, device: &B::Device) -> Self {
        let without_bias = |d_out| LinearConfig::new(d, d_out).with_bias(false).init(device);
        Self {
            to_q: without_bias(d),
            to_kv: without_bias(2 * d),
            to_out: LinearConfig::new(d, d).init(device),
        }
    }
}

impl<B: DocReBackend> AxialAttention<B> {
    fn forward(
        &self,
        axis: Axis,
        rows: Tensor<B, 2>,
        n_heads: usize,
        pairs: &PairIndex<B>,
    ) -> Tensor<B, 2> {
        let d = rows.dims()[1];
        let input = AxisInput {
            query: linear(&self.to_q, rows.clone()),
            key_value: linear(&self.to_kv, rows),
        };
        let scale = 1.0 / ((d / n_heads) as f64).sqrt();
        linear(&self.to_out, attend_along(axis, input, n_heads, scale, pairs))
    }
}

/// How deep and wide an axial stack is.
#[derive(Clone, Copy, Debug)]
pub struct AxialStackConfig {
    /// Width.
    pub d: usize,
    /// Layers.
    pub n_layers: usize,
    /// Attention heads; divides `d`.
    pub n_heads: usize,
}

/// The authors' stack: `x ← LayerNorm(W (x + column(x) + row(x)) + b)` in each layer, then the stack's input is added.
///
/// The two axes are summed in parallel, and the linear layer has neither activation nor residual: so in the authors'
/// code, see `docs/parity.md`.
#[derive(Module, Debug)]
pub struct AxialStack<B: Backend> {
    col: Vec<AxialAttention<B>>,
    row: Vec<AxialAttention<B>>,
    ffn: Vec<Linear<B>>,
    ln: Vec<LayerNorm<B>>,
    n_heads: usize,
}

impl AxialStackConfig {
    /// A fresh stack.
    ///
    /// # Panics
    /// If `n_heads` does not divide `d`.
    pub fn init<B: Backend>(&self, device: &B::Device) -> AxialStack<B> {
        assert_eq!(self.d % self.n_heads, 0, "axial_heads must divide the width {}", self.d);
        let attention =
            || (0..self.n_layers).map(|_| AxialAttention::new(self.d, device)).collect();
        AxialStack {
            col: attention(),
            row: attention(),
            ffn: (0..self.n_layers)
                .map(|_| LinearConfig::new(self.d, self.d).init(device))
                .collect(),
            ln: (0..self.n_layers).map(|_| LayerNorm::new(self.d, NORM_EPSILON, device)).collect(),
            n_heads: self.n_heads,
        }
    }
}

impl<B: DocReBackend> AxialStack<B> {
    /// # Shapes
    /// - `[pairs, d]` → `[pairs, d]`
    pub fn forward(&self, input: Tensor<B, 2>, pairs: &PairIndex<B>) -> Tensor<B, 2> {
        let mut x = input.clone();
        for (i, (col, row)) in self.col.iter().zip(&self.row).enumerate() {
            let column = col.forward(Axis::Column, x.clone(), self.n_heads, pairs);
            let row = row.forward(Axis::Row, x.clone(), self.n_heads, pairs);
            x = self.ln[i].forward(linear(&self.ffn[i], x + column + row));
        }
        x + input
    }
}
