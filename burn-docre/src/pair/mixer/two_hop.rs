//! Two-hop attention as in the paper (eq. 7 of KD-DocRE).

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Tensor, backend::Backend},
};
use serde::{Deserialize, Serialize};

use super::axial::{Axis, AxisAttention, AxisInput, axes_flops};
use crate::{
    DocReBackend,
    batch::PairIndex,
    nn::{linear::linear, observer::Observer},
};

/// The configuration of two-hop attention, which has no sizes of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TwoHopConfig {}

/// Two-hop attention: the pair `(h, t)` attends to `(p, t)` and to `(h, p)` for all entities `p`.
///
/// ```text
/// r_(h,t) = g_(h,t) + sum_p softmax_p(q_(h,t)^T k_(p,t)) v_(p,t)
///                   + sum_p softmax_p(q_(h,t)^T k_(h,p)) v_(h,p)
/// ```
///
/// It has one layer and one attention head, and does not scale the scores.
#[derive(Module, Debug)]
pub struct TwoHopAttention<B: Backend> {
    q: Linear<B>,
    k: Linear<B>,
    v: Linear<B>,
}

impl TwoHopConfig {
    /// Initialises the attention for pair vectors of size `d`.
    pub fn init<B: Backend>(&self, d: usize, device: &B::Device) -> TwoHopAttention<B> {
        let linear = || LinearConfig::new(d, d).with_bias(false).init(device);
        TwoHopAttention { q: linear(), k: linear(), v: linear() }
    }

    /// The floating-point operations of the matrix products on the pair grid of `n_entities`
    /// entities.
    pub fn flops(&self, d: usize, n_entities: u64) -> u64 {
        // Query, key and value for each of the two axes.
        let projections = 6 * n_entities * n_entities * (d * d) as u64;
        2 * projections + axes_flops(d, n_entities)
    }
}

impl<B: DocReBackend> TwoHopAttention<B> {
    /// Adds attention along the columns and along the rows to the pair vectors.
    ///
    /// # Shapes
    /// - `[pairs, d]` → `[pairs, d]`
    pub fn forward(
        &self,
        input: Tensor<B, 2>,
        pairs: &PairIndex<B>,
        observer: &mut impl Observer<B>,
    ) -> Tensor<B, 2> {
        let mut along = |axis| {
            let (key, value) = (linear(&self.k, input.clone()), linear(&self.v, input.clone()));
            let projected = AxisInput {
                query: linear(&self.q, input.clone()),
                key_value: Tensor::cat(vec![key, value], 1),
            };
            let attention = AxisAttention { axis, n_heads: 1, scale: 1.0, pairs };
            attention.observe(&projected, 0, observer);
            attention.attend(projected)
        };
        input.clone() + along(Axis::Column) + along(Axis::Row)
    }
}
