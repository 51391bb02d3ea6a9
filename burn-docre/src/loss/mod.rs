//! Losses: pure functions of logits, labels and hyper-parameters.
//!
//! A loss is a mean over the rows of its logits: pairs, or mention pairs in [`BinaryFocalLoss`].
//! [`mse_distillation_loss`] averages over classes too. Without a row, a loss is NaN.
//!
//! The enums [`RelationLoss`] and [`DistillationLoss`] choose a loss in a configuration.

mod adaptive_focal;
mod adaptive_threshold;
mod binary_focal;
mod distillation;
mod kl_divergence;
mod mse;
mod relation;
mod targets;

pub use adaptive_focal::{adaptive_focal_loss, reference_adaptive_focal_loss};
pub use adaptive_threshold::adaptive_threshold_loss;
pub use binary_focal::BinaryFocalLoss;
pub use distillation::{Distillation, DistillationLoss};
pub use kl_divergence::kl_distillation_loss;
pub use mse::mse_distillation_loss;
pub use relation::RelationLoss;

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
