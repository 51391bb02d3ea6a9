//! Labels against the threshold class: the terms that the losses share.

use burn::tensor::{Tensor, activation::log_sigmoid, backend::Backend};

use crate::{
    batch::packing::{MASKED, float_tensor},
    data::relation::THRESHOLD_CLASS,
};

/// The labels, split for the losses.
pub(super) struct Targets<B: Backend> {
    /// 1 at relations that hold, 0 elsewhere and at TH, `[p, r]`.
    pub(super) positive: Tensor<B, 2>,
    /// 1 at TH, `[1, r]`.
    pub(super) threshold: Tensor<B, 2>,
}

impl<B: Backend> Targets<B> {
    pub(super) fn new(labels: Tensor<B, 2>) -> Self {
        let [_, r] = labels.dims();
        let mut threshold = vec![0.0; r];
        threshold[THRESHOLD_CLASS] = 1.0;
        let threshold = float_tensor(threshold, [1, r], &labels.device());
        Self { positive: labels * (1.0 - threshold.clone()), threshold }
    }

    /// `log P(TH)` among TH and the relations that do not hold, `[p, 1]` (eq. 10 of KD-DocRE).
    pub(super) fn threshold_log_probability(&self, logits: Tensor<B, 2>) -> Tensor<B, 2> {
        let among = logits + self.positive.clone() * MASKED;
        self.at_threshold(log_softmax(among))
    }

    /// The column of TH, `[p, 1]`.
    pub(super) fn at_threshold(&self, values: Tensor<B, 2>) -> Tensor<B, 2> {
        values.slice([0..self.positive.dims()[0], THRESHOLD_CLASS..THRESHOLD_CLASS + 1])
    }
}

/// `log softmax` over classes; the maximum is a constant, its gradient cancels.
pub(super) fn log_softmax<B: Backend>(logits: Tensor<B, 2>) -> Tensor<B, 2> {
    let shifted = logits.clone() - logits.detach().max_dim(1);
    let log_sum = shifted.clone().exp().sum_dim(1).log();
    shifted - log_sum
}

/// `log P(r)` and `log (1 - P(r))` of each relation against TH alone, `[p, r]` each (eq. 9 of
/// KD-DocRE): `P(r) = exp(l_r) / (exp(l_r) + exp(l_TH)) = sigmoid(l_r - l_TH)`.
pub(super) fn against_threshold<B: Backend>(
    logits: &Tensor<B, 2>,
    targets: &Targets<B>,
) -> (Tensor<B, 2>, Tensor<B, 2>) {
    let margin = logits.clone() - targets.at_threshold(logits.clone());
    (log_sigmoid(margin.clone()), log_sigmoid(-margin))
}

/// The mean over pairs of the sum over classes.
pub(super) fn mean_over_pairs<B: Backend>(by_class: Tensor<B, 2>) -> Tensor<B, 1> {
    let p = by_class.dims()[0];
    by_class.sum() / p as f64
}
