//! Losses: pure functions of logits, labels and hyper-parameters; each the mean over pairs.

mod adaptive_focal;
mod adaptive_threshold;
mod distillation;

use burn::tensor::{Tensor, activation::log_sigmoid, backend::Backend};
use serde::{Deserialize, Serialize};

pub use adaptive_focal::{adaptive_focal_loss, reference_adaptive_focal_loss};
pub use adaptive_threshold::adaptive_threshold_loss;
pub use distillation::{kl_distillation_loss, mse_distillation_loss};

use crate::{batch::packing::MASKED, data::relation::THRESHOLD_CLASS};

/// The relation loss of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RelationLoss {
    /// Adaptive threshold loss: [`adaptive_threshold_loss`].
    Atl,
    /// Adaptive focal loss as the paper prints it: [`adaptive_focal_loss`].
    AflPaper {
        /// The focusing exponent, at least 0.
        gamma: f64,
    },
    /// Adaptive focal loss as the authors' code has it: [`reference_adaptive_focal_loss`].
    AflAuthors {
        /// The focusing exponent, at least 0.
        gamma: f64,
    },
}

impl RelationLoss {
    /// The loss, `[1]`.
    ///
    /// # Shapes
    /// - `logits`, `labels`: `[p, r]`
    pub fn forward<B: Backend>(&self, logits: Tensor<B, 2>, labels: Tensor<B, 2>) -> Tensor<B, 1> {
        match *self {
            Self::Atl => adaptive_threshold_loss(logits, labels),
            Self::AflPaper { gamma } => adaptive_focal_loss(logits, labels, gamma),
            Self::AflAuthors { gamma } => reference_adaptive_focal_loss(logits, labels, gamma),
        }
    }
}

/// How a student follows its teacher.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum DistillationLoss {
    /// Mean squared error of logits: [`mse_distillation_loss`].
    Mse,
    /// Divergence of softened distributions: [`kl_distillation_loss`].
    Kl {
        /// Divides both logits, above 0.
        temperature: f64,
    },
}

impl DistillationLoss {
    /// The loss, `[1]`.
    ///
    /// # Shapes
    /// - `student`, `teacher`: `[p, r]`
    pub fn forward<B: Backend>(
        &self,
        student: Tensor<B, 2>,
        teacher: Tensor<B, 2>,
    ) -> Tensor<B, 1> {
        match *self {
            Self::Mse => mse_distillation_loss(student, teacher),
            Self::Kl { temperature } => kl_distillation_loss(student, teacher, temperature),
        }
    }
}

/// Labels split into what the losses ask for.
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
        let threshold = crate::batch::packing::float_tensor(threshold, [1, r], &labels.device());
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

/// `log P(r)` and `log (1 - P(r))` of each relation against TH alone, `[p, r]` each (eq. 9 of KD-DocRE):
/// `P(r) = exp(l_r) / (exp(l_r) + exp(l_TH)) = sigmoid(l_r - l_TH)`.
fn against_threshold<B: Backend>(
    logits: &Tensor<B, 2>,
    targets: &Targets<B>,
) -> (Tensor<B, 2>, Tensor<B, 2>) {
    let margin = logits.clone() - targets.at_threshold(logits.clone());
    (log_sigmoid(margin.clone()), log_sigmoid(-margin))
}

/// The mean over pairs of what each class contributed.
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
