//! Losses: pure functions of logits, labels and hyper-parameters; each the mean over pairs.
//!
//! The enums [`RelationLoss`] and [`DistillationLoss`] are the losses as a configuration names
//! them.

mod adaptive_focal;
mod adaptive_threshold;
mod distillation;
mod kl_divergence;
mod mse;

use burn::tensor::{Tensor, activation::log_sigmoid, backend::Backend};
use serde::{Deserialize, Serialize};

pub use adaptive_focal::{adaptive_focal_loss, reference_adaptive_focal_loss};
pub use adaptive_threshold::adaptive_threshold_loss;
pub use distillation::{Distillation, DistillationLoss};
pub use kl_divergence::kl_distillation_loss;
pub use mse::mse_distillation_loss;

use crate::{
    Error, Result,
    batch::packing::{MASKED, float_tensor},
    data::relation::THRESHOLD_CLASS,
};

/// The loss of logits against labels, tagged by `kind`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RelationLoss {
    /// Adaptive threshold loss: [`adaptive_threshold_loss`].
    Atl {},
    /// Adaptive focal loss as the paper prints it: [`adaptive_focal_loss`].
    AflPaper {
        /// The focusing exponent, finite and at least 0.
        gamma: f64,
    },
    /// Adaptive focal loss as in the authors' code: [`reference_adaptive_focal_loss`].
    AflAuthors {
        /// The focusing exponent, finite and at least 0.
        gamma: f64,
    },
}

impl RelationLoss {
    /// Checks the range of every value.
    ///
    /// # Errors
    /// If `gamma` is negative or not finite.
    pub fn validate(&self) -> Result<()> {
        match *self {
            Self::Atl {} => Ok(()),
            Self::AflPaper { gamma } | Self::AflAuthors { gamma } => {
                if gamma.is_finite() && gamma >= 0.0 {
                    return Ok(());
                }
                Err(Error::config("`loss.gamma` must not be negative"))
            }
        }
    }

    /// Computes the loss, `[1]`.
    ///
    /// # Shapes
    /// - `logits`, `labels`: `[p, r]`
    pub fn forward<B: Backend>(&self, logits: Tensor<B, 2>, labels: Tensor<B, 2>) -> Tensor<B, 1> {
        match *self {
            Self::Atl {} => adaptive_threshold_loss(logits, labels),
            Self::AflPaper { gamma } => adaptive_focal_loss(logits, labels, gamma),
            Self::AflAuthors { gamma } => reference_adaptive_focal_loss(logits, labels, gamma),
        }
    }
}

/// The labels, split for the losses.
struct Targets<B: Backend> {
    /// 1 at relations that hold, 0 elsewhere and at TH, `[p, r]`.
    positive: Tensor<B, 2>,
    /// 1 at TH, `[1, r]`.
    threshold: Tensor<B, 2>,
}

impl<B: Backend> Targets<B> {
    fn new(labels: Tensor<B, 2>) -> Self {
        let [_, r] = labels.dims();
        let mut threshold = vec![0.0; r];
        threshold[THRESHOLD_CLASS] = 1.0;
        let threshold = float_tensor(threshold, [1, r], &labels.device());
        Self { positive: labels * (1.0 - threshold.clone()), threshold }
    }

    /// `log P(TH)` among TH and the relations that do not hold, `[p, 1]` (eq. 10 of KD-DocRE).
    fn threshold_log_probability(&self, logits: Tensor<B, 2>) -> Tensor<B, 2> {
        let among = logits + self.positive.clone() * MASKED;
        self.at_threshold(log_softmax(among))
    }

    /// The column of TH, `[p, 1]`.
    fn at_threshold(&self, values: Tensor<B, 2>) -> Tensor<B, 2> {
        values.slice([0..self.positive.dims()[0], THRESHOLD_CLASS..THRESHOLD_CLASS + 1])
    }
}

/// `log softmax` over classes; the maximum is a constant, its gradient cancels.
fn log_softmax<B: Backend>(logits: Tensor<B, 2>) -> Tensor<B, 2> {
    let shifted = logits.clone() - logits.detach().max_dim(1);
    let log_sum = shifted.clone().exp().sum_dim(1).log();
    shifted - log_sum
}

/// `log P(r)` and `log (1 - P(r))` of each relation against TH alone, `[p, r]` each (eq. 9 of
/// KD-DocRE): `P(r) = exp(l_r) / (exp(l_r) + exp(l_TH)) = sigmoid(l_r - l_TH)`.
fn against_threshold<B: Backend>(
    logits: &Tensor<B, 2>,
    targets: &Targets<B>,
) -> (Tensor<B, 2>, Tensor<B, 2>) {
    let margin = logits.clone() - targets.at_threshold(logits.clone());
    (log_sigmoid(margin.clone()), log_sigmoid(-margin))
}

/// The mean over pairs of the sum over classes.
fn mean_over_pairs<B: Backend>(by_class: Tensor<B, 2>) -> Tensor<B, 1> {
    let p = by_class.dims()[0];
    by_class.sum() / p as f64
}

#[cfg(test)]
mod testing {
    //! Helpers of the losses' tests.

    use burn::tensor::{Tensor, backend::Backend};
    use burn_autodiff::Autodiff;

    use crate::backend::TestBackend;

    pub(super) type Diff = Autodiff<TestBackend>;
    pub(super) type Loss<'a> = &'a dyn Fn(Tensor<Diff, 2>) -> Tensor<Diff, 1>;

    pub(super) fn tensor<B: Backend, const R: usize>(rows: &[[f32; R]]) -> Tensor<B, 2> {
        let values = rows.iter().flatten().copied().collect();
        crate::batch::packing::float_tensor(values, [rows.len(), R], &Default::default())
    }

    pub(super) fn value(loss: Tensor<Diff, 1>) -> f64 {
        f64::from(loss.into_data().convert::<f32>().into_vec::<f32>().expect("floats")[0])
    }

    pub(super) fn gradient(loss: Loss<'_>, logits: Tensor<Diff, 2>) -> Vec<f32> {
        let logits = logits.require_grad();
        let gradients = loss(logits.clone()).backward();
        let gradient = logits.grad(&gradients).expect("logits were tracked");
        gradient.into_data().convert::<f32>().into_vec().expect("floats")
    }

    /// Compares the gradient with central differences.
    pub(super) fn assert_gradient_matches_differences<const R: usize>(
        loss: Loss<'_>,
        rows: &[[f32; R]],
    ) {
        const STEP: f32 = 1e-2;
        let analytic = gradient(loss, tensor(rows));
        for i in 0..rows.len() * R {
            let moved = |by: f32| {
                let mut rows = rows.to_vec();
                rows[i / R][i % R] += by;
                value(loss(tensor(&rows)))
            };
            let numeric = (moved(STEP) - moved(-STEP)) / f64::from(2.0 * STEP);
            let difference = (numeric - f64::from(analytic[i])).abs();
            assert!(difference < 2e-3, "logit {i}: {numeric} against {}", analytic[i]);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_that_a_loss_does_not_use_is_refused_by_name() {
        for value in [
            json!({ "kind": "atl", "gamma": 1.0 }),
            json!({ "kind": "afl-paper", "gamma": 1.0, "gama": 1.0 }),
        ] {
            let error = serde_json::from_value::<RelationLoss>(value).unwrap_err().to_string();
            assert!(error.contains("`gam"), "{error}");
        }
    }

    #[test]
    fn a_gamma_out_of_range_is_refused() {
        assert!(RelationLoss::AflPaper { gamma: 0.0 }.validate().is_ok());
        for gamma in [-0.1, f64::NAN, f64::INFINITY] {
            let error = RelationLoss::AflAuthors { gamma }.validate().unwrap_err();
            assert!(error.to_string().contains("`loss.gamma`"), "{error}");
        }
    }
}
