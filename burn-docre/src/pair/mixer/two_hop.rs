//! Two-hop attention as the paper prints it (eq. 7 of KD-DocRE).

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Tensor, backend::Backend},
};

use super::axial::{Axis, AxisInput, attend_along};
use crate::{batch::PairIndex, nn::precision::linear, ops::DocReBackend};

/// `r = g + sum_p softmax_p(q_(s,o)^T k_(p,o)) v_(p,o) + sum_p softmax_p(q_(s,o)^T k_(s,p)) v_(s,p)`: one layer, one
/// head, no scale, both axes from `g`.
#[derive(Module, Debug)]
pub struct TwoHopAttention<B: Backend> {
    q: Linear<B>,
    k: Linear<B>,
    v: Linear<B>,
}

impl<B: Backend> TwoHopAttention<B> {
    /// Fresh attention of width `d`.
    pub fn new(d: usize, device: &B::Device) -> Self {
        let fresh = || LinearConfig::new(d, d).with_bias(false).init(device);
        Self { q: fresh(), k: fresh(), v: fresh() }
    }
}

impl<B: DocReBackend> TwoHopAttention<B> {
    /// # Shapes
    /// - `[pairs, d]` → `[pairs, d]`
    pub fn forward(&self, input: Tensor<B, 2>, pairs: &PairIndex<B>) -> Tensor<B, 2> {
        let along = |axis| {
            let (key, value) = (linear(&self.k, input.clone()), linear(&self.v, input.clone()));
            let projected = AxisInput {
                query: linear(&self.q, input.clone()),
                key_value: Tensor::cat(vec![key, value], 1),
            };
            attend_along(axis, projected, 1, 1.0, pairs)
        };
        input.clone() + along(Axis::Column) + along(Axis::Row)
    }
}
