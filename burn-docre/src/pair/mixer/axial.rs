//! Attention along the rows and columns of the pair grid.

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Tensor, backend::Backend},
};
use serde::{Deserialize, Serialize};

use crate::{
    DocReBackend, Error, Result,
    batch::{PaddedPairIndex, PairIndex},
    nn::{layer_norm::LayerNorm, linear::linear, observer::Observer},
    ops::{self, AttentionLayout, SegmentAttention},
};

/// Epsilon of layer normalisation: PyTorch's default, which the authors' code keeps.
const NORM_EPSILON: f64 = 1e-5;
/// The maximum number of layers. A damaged configuration could otherwise ask for any number.
const MAX_LAYERS: usize = 1_000;

/// The direction in which the pair `(head, tail)` attends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// To all pairs of the same tail, `(*, tail)`.
    Column,
    /// To all pairs of the same head, `(head, *)`.
    Row,
}

/// Queries, keys and values of attention along an axis.
pub struct AxisInput<B: Backend> {
    /// The queries, `[pairs, d]`.
    pub query: Tensor<B, 2>,
    /// The keys, then the values, `[pairs, 2 d]`.
    pub key_value: Tensor<B, 2>,
}

impl<B: Backend> AxisInput<B> {
    /// The keys, `[pairs, d]`.
    fn key(&self) -> Tensor<B, 2> {
        let [n, d] = self.query.dims();
        self.key_value.clone().slice([0..n, 0..d])
    }

    /// The values, `[pairs, d]`.
    fn value(&self) -> Tensor<B, 2> {
        let [n, d] = self.query.dims();
        self.key_value.clone().slice([0..n, d..2 * d])
    }
}

/// Attention along one axis of the pair grid: `softmax(scale * q k^T) v`.
///
/// Padding is masked. The diagonal is among keys and values, as in the authors' code.
///
/// Each layer of a mixer passes its probabilities to the observer of the forward pass, as
/// `column_attention` and `row_attention`, `[b, e, e, n_heads, e]`. The value at
/// `[document, head, tail, attention head, k]` is the weight of the pair `(k, tail)` in the column,
/// or `(head, k)` in the row. The weights of a pair sum to 1, and those of padding are 0. At a
/// padding head or tail the values are unspecified. With [`pad_to`](AxialStackConfig::pad_to), `e`
/// counts the pad entity, which stands behind the entities of its document.
#[derive(Clone, Copy, Debug)]
pub struct AxisAttention<'a, B: Backend> {
    /// The direction.
    pub axis: Axis,
    /// Number of attention heads; divides `d`.
    pub n_heads: usize,
    /// The factor of the scores.
    pub scale: f64,
    /// The pairs that attend to each other.
    pub pairs: &'a PairIndex<B>,
}

impl<B: DocReBackend> AxisAttention<'_, B> {
    /// Computes the attention.
    ///
    /// # Shapes
    /// - rows `[pairs, d]` → `[pairs, d]`
    pub fn attend(&self, input: AxisInput<B>) -> Tensor<B, 2> {
        match B::attention_layout(&input.query.device()) {
            AttentionLayout::Segments => self.in_segments(input),
            AttentionLayout::PaddedGrid => self.on_grid(input),
        }
    }

    /// Passes the probabilities of layer `layer` to the observer.
    pub fn observe(&self, input: &AxisInput<B>, layer: usize, observer: &mut impl Observer<B>) {
        let name = match self.axis {
            Axis::Column => "column_attention",
            Axis::Row => "row_attention",
        };
        observer.observe_layer(layer, name, || {
            self.to_pair_grid(self.probabilities(input.query.clone(), input.key()))
        });
    }

    /// [`attend`](Self::attend) on the packed rows, without padding.
    fn in_segments(&self, input: AxisInput<B>) -> Tensor<B, 2> {
        let Self { axis, n_heads, scale, pairs } = *self;
        let segments = match axis {
            Axis::Column => pairs.column_segments.clone(),
            Axis::Row => pairs.row_segments.clone(),
        };
        let attention = SegmentAttention { segments, n_heads, scale, dropout: None };
        ops::segment_attention(input.query, input.key_value, &attention)
    }

    /// [`attend`](Self::attend) on the padded grid, in few large products.
    fn on_grid(&self, input: AxisInput<B>) -> Tensor<B, 2> {
        let [b, e] = self.pairs.shape;
        let d = input.query.dims()[1];
        let (key, value) = (input.key(), self.to_segments(input.value()));
        let context = self.probabilities(input.query, key).matmul(value);
        self.pairs.packing.to_rows(self.to_pair_grid(context).reshape([b * e * e, d]))
    }

    /// Computes `softmax(scale * q k^T)` on the padded grid.
    ///
    /// # Shapes
    /// - rows `[pairs, d]` → `[b * e, n_heads, e, e]`
    fn probabilities(&self, query: Tensor<B, 2>, key: Tensor<B, 2>) -> Tensor<B, 4> {
        let [b, e] = self.pairs.shape;
        let bias = self.pairs.entity_bias.clone();
        let bias = bias.map(|bias| bias.reshape([b, 1, e]).expand([b, e, e]).reshape([b * e, e]));
        let (key, query) = (self.to_segments(key), self.to_segments(query));
        ops::masked_softmax(query.matmul(key.swap_dims(2, 3)) * self.scale, bias)
    }

    /// Copies rows to segments along the axis, `[pairs, d]` → `[b * e, n_heads, e, head_dim]`.
    fn to_segments(&self, rows: Tensor<B, 2>) -> Tensor<B, 4> {
        let Self { axis, n_heads, pairs, .. } = *self;
        let [b, e] = pairs.shape;
        let head_dim = rows.dims()[1] / n_heads;
        let grid = pairs.packing.to_grid(rows).reshape([b, e, e, n_heads, head_dim]);
        let order = match axis {
            Axis::Row => [0, 1, 3, 2, 4],
            Axis::Column => [0, 2, 3, 1, 4],
        };
        grid.permute(order).reshape([b * e, n_heads, e, head_dim])
    }

    /// Arranges segments along the axis by head and tail, `[b * e, n_heads, e, n]` →
    /// `[b, e, e, n_heads, n]`.
    fn to_pair_grid(&self, segments: Tensor<B, 4>) -> Tensor<B, 5> {
        let [b, e] = self.pairs.shape;
        let [_, n_heads, _, n] = segments.dims();
        let order = match self.axis {
            Axis::Row => [0, 1, 3, 2, 4],
            Axis::Column => [0, 3, 1, 2, 4],
        };
        segments.reshape([b, e, n_heads, e, n]).permute(order)
    }
}

/// Multi-head attention along one axis of the pair grid.
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
    /// Projects pair vectors to queries, keys and values, `[pairs, d]`.
    fn project(&self, rows: Tensor<B, 2>) -> AxisInput<B> {
        AxisInput { query: linear(&self.to_q, rows.clone()), key_value: linear(&self.to_kv, rows) }
    }
}

/// The sizes of an axial stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AxialStackConfig {
    /// Number of layers, at least 1.
    pub layers: usize,
    /// Number of attention heads, at least 1; divides the size of the pair vectors.
    pub heads: usize,
    /// The number of entities up to which each document's grid is padded without a mask, at least
    /// 1. The authors' checkpoints were trained with 42. `None` masks all padding.
    ///
    /// Documents with more entities are not padded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad_to: Option<usize>,
}

/// The axial stack of the authors' code. Each layer computes
/// `x ← LayerNorm(W (x + column(x) + row(x)) + b)`; at the end, the stack's input is added.
///
/// As in the authors' code, both axes read the same input, and the linear layer has neither
/// activation nor residual (`docs/parity.md`). With `pad_to`, their unmasked padding is computed by
/// one pad entity for each document, see [`PaddedPairIndex`].
#[derive(Module, Debug)]
pub struct AxialStack<B: Backend> {
    col: Vec<AxialAttention<B>>,
    row: Vec<AxialAttention<B>>,
    ffn: Vec<Linear<B>>,
    ln: Vec<LayerNorm<B>>,
    n_heads: usize,
    pad_to: Option<usize>,
}

impl AxialStackConfig {
    /// Checks the numbers of layers and attention heads.
    ///
    /// # Errors
    /// If either number is 0, or `pad_to` is. If there are more than 1,000 layers.
    pub fn validate(&self) -> Result<()> {
        for (name, value) in [("layers", self.layers), ("heads", self.heads)] {
            if value == 0 {
                return Err(Error::config(format!("model: `mixer.{name}` must be at least 1")));
            }
        }
        if self.layers > MAX_LAYERS {
            let layers = self.layers;
            return Err(Error::config(format!(
                "model: `mixer.layers` {layers} is above {MAX_LAYERS}"
            )));
        }
        if self.pad_to == Some(0) {
            return Err(Error::config(
                "model: `mixer.pad_to` must be at least 1; leave it out to mask all padding",
            ));
        }
        Ok(())
    }

    /// Checks that the number of attention heads divides `d`, the size of the pair vectors.
    ///
    /// # Errors
    /// If it does not.
    pub fn validate_for(&self, d: usize) -> Result<()> {
        if self.heads == 0 || !d.is_multiple_of(self.heads) {
            return Err(Error::config(format!(
                "model: `mixer.heads` {} does not divide the encoder's hidden size {d}",
                self.heads
            )));
        }
        Ok(())
    }

    /// Initialises the stack for pair vectors of size `d`.
    ///
    /// # Panics
    /// If `heads` does not divide `d`.
    pub fn init<B: Backend>(&self, d: usize, device: &B::Device) -> AxialStack<B> {
        assert_eq!(
            d % self.heads,
            0,
            "the number of attention heads must divide the size {d} of pair vectors"
        );
        let attention = || (0..self.layers).map(|_| AxialAttention::new(d, device)).collect();
        AxialStack {
            col: attention(),
            row: attention(),
            ffn: (0..self.layers).map(|_| LinearConfig::new(d, d).init(device)).collect(),
            ln: (0..self.layers).map(|_| LayerNorm::new(d, NORM_EPSILON, device)).collect(),
            n_heads: self.heads,
            pad_to: self.pad_to,
        }
    }

    /// Reports whether a document of `n_entities` entities has a pad entity.
    pub(super) fn has_pad(&self, n_entities: u64) -> bool {
        self.pad_to.is_some_and(|pad_to| n_entities < pad_to as u64)
    }

    /// The floating-point operations of the matrix products on the pair grid of `n_entities`
    /// entities and the pad entity.
    pub fn flops(&self, d: usize, n_entities: u64) -> u64 {
        let n_entities = n_entities + u64::from(self.has_pad(n_entities));
        // Query, key, value and output of two axes, and the linear layer.
        let projections = 9 * n_entities * n_entities * (d * d) as u64;
        self.layers as u64 * (2 * projections + axes_flops(d, n_entities))
    }
}

/// The floating-point operations of attention along both axes: scores and weighted sums.
pub(super) fn axes_flops(d: usize, n_entities: u64) -> u64 {
    let n_pairs = n_entities * n_entities;
    // Two axes, two products each, and two operations per multiply-add.
    2 * 2 * 2 * n_pairs * n_entities * d as u64
}

impl<B: DocReBackend> AxialStack<B> {
    /// Applies all layers and adds the input. `pad` computes the vector of pads, `[1, d]`; it is
    /// called only if the stack pads without a mask.
    ///
    /// Each layer passes its attention to the observer, see [`AxisAttention`].
    ///
    /// # Shapes
    /// - `[pairs, d]` → `[pairs, d]`
    pub fn forward(
        &self,
        input: Tensor<B, 2>,
        pad: impl FnOnce() -> Tensor<B, 2>,
        pairs: &PairIndex<B>,
        observer: &mut impl Observer<B>,
    ) -> Tensor<B, 2> {
        let Some(pad_to) = self.pad_to else {
            let mixed = self.layers(input.clone(), pairs, AxisAttention::attend, observer);
            return mixed + input;
        };
        let padded = PaddedPairIndex::new(&pairs.n_entities, pad_to, &input.device());
        let rows = padded.add_pads(input.clone(), pad());
        // Only the grid has the bias that gives a pad entity its weight.
        let mixed = self.layers(rows, &padded.pairs, AxisAttention::on_grid, observer);
        padded.drop_pads(mixed) + input
    }

    fn layers<'a>(
        &self,
        mut x: Tensor<B, 2>,
        pairs: &'a PairIndex<B>,
        attend: fn(&AxisAttention<'a, B>, AxisInput<B>) -> Tensor<B, 2>,
        observer: &mut impl Observer<B>,
    ) -> Tensor<B, 2> {
        let n_heads = self.n_heads;
        let scale = 1.0 / ((x.dims()[1] / n_heads) as f64).sqrt();
        for (layer, (col, row)) in self.col.iter().zip(&self.row).enumerate() {
            let mut along = |axis, module: &AxialAttention<B>| {
                let attention = AxisAttention { axis, n_heads, scale, pairs };
                let input = module.project(x.clone());
                attention.observe(&input, layer, observer);
                linear(&module.to_out, attend(&attention, input))
            };
            let column = along(Axis::Column, col);
            let row = along(Axis::Row, row);
            x = self.ln[layer].forward(linear(&self.ffn[layer], x + column + row));
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use burn::{backend::Autodiff, tensor::Tolerance};

    use super::*;
    use crate::{
        backend::TestBackend,
        batch::packing::index_tensor,
        data::pair::PairSet,
        nn::observer::Intermediates,
        ops::{Draws, seeded},
    };

    type Diff = Autodiff<TestBackend>;

    #[test]
    fn the_padded_grid_equals_the_segments_forward_and_backward() {
        let device = Default::default();
        let pairs = PairIndex::<Diff>::new(&[5, 2, 0, 3], PairSet::OffDiagonal, &device);
        assert!(pairs.entity_bias.is_some(), "there is padding");
        let n = pairs.row_segments.n_rows();
        let mut draws = Draws::new();
        for axis in [Axis::Row, Axis::Column] {
            let [query, key_value] = [6, 12].map(|d| draws.rows::<Diff>([n, d]).require_grad());
            let input = || AxisInput { query: query.clone(), key_value: key_value.clone() };
            let attention = AxisAttention { axis, n_heads: 2, scale: 0.7, pairs: &pairs };
            let (on_grid, in_segments) =
                (attention.on_grid(input()), attention.in_segments(input()));
            let weights = in_segments.clone().detach().sin();
            let [on_grid, in_segments] = [on_grid, in_segments].map(|output| {
                let gradients = (output.clone() * weights.clone()).sum().backward();
                let gradient = |rows: &Tensor<Diff, 2>| rows.grad(&gradients).expect("tracked");
                let [query, key_value] =
                    [&query, &key_value].map(|rows| gradient(rows).into_data());
                [output.into_data(), query, key_value]
            });
            for (on_grid, in_segments) in on_grid.iter().zip(&in_segments) {
                let tolerance = Tolerance::rel_abs(1e-4, 1e-5);
                in_segments.assert_approx_eq::<f32>(on_grid, tolerance);
            }
        }
    }

    #[test]
    fn the_observed_weights_are_those_of_the_values_of_the_column_and_of_the_row() {
        let device = Default::default();
        let n_entities = [3, 1, 2];
        let pairs = PairIndex::<TestBackend>::new(&n_entities, PairSet::OffDiagonal, &device);
        let (n_pairs, d, e) = (14, 4, 3);
        let mut draws = Draws::new();
        let [query, key_value] = [d, 2 * d].map(|d| draws.rows::<TestBackend>([n_pairs, d]));
        let input = || AxisInput { query: query.clone(), key_value: key_value.clone() };
        let values: Vec<f32> = input().value().into_data().to_vec().unwrap();
        for (axis, name) in [(Axis::Column, "column_attention"), (Axis::Row, "row_attention")] {
            let attention = AxisAttention { axis, n_heads: 2, scale: 3.0, pairs: &pairs };
            let mut intermediates = Intermediates::default();
            attention.observe(&input(), 7, &mut intermediates);
            let weights = intermediates.layer(name, 7).expect("the weights of the layer");
            assert_eq!(weights.shape, [3, e, e, 2, e].into());
            let weights: Vec<f32> = weights.to_vec().unwrap();
            let output: Vec<f32> = attention.in_segments(input()).into_data().to_vec().unwrap();
            let mut first = 0;
            for (document, n) in n_entities.into_iter().enumerate() {
                for (head, tail, column) in (0..n * n * d).map(|i| (i / d / n, i / d % n, i % d)) {
                    let cell = ((document * e + head) * e + tail) * 2 + column / (d / 2);
                    let weights = &weights[cell * e..][..e];
                    let sum = |(k, weight): (usize, &f32)| {
                        let (head, tail) = if axis == Axis::Column { (k, tail) } else { (head, k) };
                        weight * values[(first + head * n + tail) * d + column]
                    };
                    let expected: f32 = weights[..n].iter().enumerate().map(sum).sum();
                    let found = output[(first + head * n + tail) * d + column];
                    assert!((found - expected).abs() < 1e-5, "{name}: {found} and {expected}");
                    assert!(weights[n..].iter().all(|weight| *weight == 0.0), "{weights:?}");
                }
                first += n * n;
            }
        }
    }

    /// For each pair row of documents of `n_entities[i]` entities on grids of `on_grid[i]`: its row
    /// among the pairs, or the number of pairs at a pad. The inverse is the second list.
    fn written_out(n_entities: &[usize], on_grid: &[usize]) -> [Vec<i32>; 2] {
        let n_pairs: usize = n_entities.iter().map(|n| n * n).sum();
        let (mut source, mut real) = (Vec::new(), Vec::new());
        for (&n, &n_grid) in n_entities.iter().zip(on_grid) {
            for (head, tail) in (0..n_grid).flat_map(|head| (0..n_grid).map(move |t| (head, t))) {
                let is_real = head < n && tail < n;
                source.push(if is_real { real.len() as i32 } else { n_pairs as i32 });
                real.extend(is_real.then_some(source.len() as i32 - 1));
            }
        }
        [source, real]
    }

    #[test]
    fn one_pad_entity_equals_all_pads_written_out_forward_and_backward() {
        let device = Default::default();
        let (n_entities, on_grid) = ([3, 5, 1, 0, 4], [4, 5, 4, 0, 4]);
        let config = |pad_to| AxialStackConfig { layers: 3, heads: 2, pad_to };
        // Clones of an initialised module draw weights of their own until they are first read.
        let stack = seeded::<Diff, _>(0, &device, || {
            config(Some(4)).init::<Diff>(6, &device).fork(&device)
        });
        let masked = AxialStack { pad_to: None, ..stack.clone() };

        let mut draws = Draws::new();
        let [rows, pad] = [51, 1].map(|n| draws.rows::<Diff>([n, 6]).require_grad());
        let pairs = PairIndex::new(&n_entities, PairSet::OffDiagonal, &device);
        let compact = stack.forward(rows.clone(), || pad.clone(), &pairs, &mut ());

        let [source, real] =
            written_out(&n_entities, &on_grid).map(|rows| index_tensor(rows, &device));
        let grid = Tensor::cat(vec![rows.clone(), pad.clone()], 0).select(0, source);
        let no_pad = || -> Tensor<Diff, 2> { panic!("a stack that masks padding needs no pad") };
        let on_grid = PairIndex::new(&on_grid, PairSet::OffDiagonal, &device);
        let full = masked.forward(grid, no_pad, &on_grid, &mut ());
        let full = full.select(0, real);

        let unpadded = masked.forward(rows.clone(), no_pad, &pairs, &mut ());
        let change = (unpadded - full.clone()).abs().max().into_scalar();
        assert!(change > 0.01, "the pads change the result by {change} only");
        let weights = full.clone().detach().sin();
        let [compact, full] = [compact, full].map(|output| {
            let gradients = (output.clone() * weights.clone()).sum().backward();
            let gradient = |rows: &Tensor<Diff, 2>| rows.grad(&gradients).expect("tracked");
            [output.into_data(), gradient(&rows).into_data(), gradient(&pad).into_data()]
        });
        for (compact, full) in compact.iter().zip(&full) {
            compact.assert_approx_eq::<f32>(full, Tolerance::rel_abs(1e-3, 1e-4));
        }
    }
}
