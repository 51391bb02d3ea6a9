//! Labels and the threshold class TH: the terms that several losses use.

use burn::tensor::{Tensor, activation::log_sigmoid, backend::Backend};

use crate::{
    batch::packing::{MASKED, float_tensor},
    data::relation::THRESHOLD_CLASS,
};

/// The labels, split into relations and TH.
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

/// Computes `log softmax` over classes. The maximum is detached, because its gradient cancels.
pub(super) fn log_softmax<B: Backend>(logits: Tensor<B, 2>) -> Tensor<B, 2> {
    let shifted = logits.clone() - logits.detach().max_dim(1);
    let log_sum = shifted.clone().exp().sum_dim(1).log();
    shifted - log_sum
}

/// The probability `P(r)` of each relation against TH alone, as logarithms.
pub(super) struct AgainstThreshold<B: Backend> {
    /// `log P(r)`, `[p, r]`.
    pub(super) log_p: Tensor<B, 2>,
    /// `log (1 - P(r))`, `[p, r]`.
    pub(super) log_not_p: Tensor<B, 2>,
}

/// Computes `P(r) = exp(l_r) / (exp(l_r) + exp(l_TH)) = sigmoid(l_r - l_TH)` (eq. 9 of KD-DocRE).
pub(super) fn against_threshold<B: Backend>(
    logits: &Tensor<B, 2>,
    targets: &Targets<B>,
) -> AgainstThreshold<B> {
    let margin = logits.clone() - targets.at_threshold(logits.clone());
    AgainstThreshold { log_p: log_sigmoid(margin.clone()), log_not_p: log_sigmoid(-margin) }
}

/// The mean over pairs of the sum over classes.
pub(super) fn mean_over_pairs<B: Backend>(by_class: Tensor<B, 2>) -> Tensor<B, 1> {
    let p = by_class.dims()[0];
    by_class.sum() / p as f64
}
