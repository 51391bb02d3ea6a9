//! Binary focal loss (KMGRE, eqs. 10–11).

use burn::tensor::{Tensor, activation::log_sigmoid, backend::Backend};

/// Binary focal loss: `-α (1 - p)^γ log p` with the probability `p` of the target.
///
/// As KMGRE prints it, `α` scales both classes equally.
///
/// # References
/// Lin et al., *Focal Loss for Dense Object Detection*, ICCV 2017.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BinaryFocalLoss {
    /// The factor of the loss, positive and finite; in KMGRE 0.3.
    pub alpha: f64,
    /// The focusing exponent, at least 0 and finite; in KMGRE 2.
    pub gamma: f64,
}

impl BinaryFocalLoss {
    /// Computes the mean of the loss. It and its gradient are finite for every finite logit.
    ///
    /// # Shapes
    /// - `logits`: `[q]`, before the sigmoid; `targets`: `[q]`, 1 or 0, which receive no gradient
    /// - output: `[1]`
    pub fn forward<B: Backend>(&self, logits: Tensor<B, 1>, targets: Tensor<B, 1>) -> Tensor<B, 1> {
        // The logit of the target's probability.
        let logits = logits * (targets.detach() * 2.0 - 1.0);
        let weight = (log_sigmoid(-logits.clone()) * self.gamma).exp();
        (weight * log_sigmoid(logits)).mean() * -self.alpha
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::testing::{
        Diff, assert_gradient_matches_differences, gradient, tensor, value,
    };

    const LOSS: BinaryFocalLoss = BinaryFocalLoss { alpha: 0.3, gamma: 2.0 };

    /// The loss of one row of logits; the targets are 1, 0, 1, ….
    fn loss(logits: Tensor<Diff, 2>) -> Tensor<Diff, 1> {
        let q = logits.dims()[1];
        let targets = (0..q).map(|i| (1 - i % 2) as f32).collect();
        let targets = crate::batch::packing::float_tensor(targets, [q], &Default::default());
        LOSS.forward(logits.reshape([q]), targets)
    }

    #[test]
    fn probability_one_half_gives_a_calculation_by_hand() {
        let expected = 0.3 * 0.25 * 2f64.ln();
        assert!((value(loss(tensor(&[[0.0, 0.0, 0.0]]))) - expected).abs() < 1e-6);
        // Probability 3/4 of a target of 1, and 1/4 of one of 0.
        let logit = 3f32.ln();
        let expected = 0.3 * (0.0625 * (4f64 / 3.0).ln() + 0.5625 * 4f64.ln()) / 2.0;
        assert!((value(loss(tensor(&[[logit, logit]]))) - expected).abs() < 1e-6);
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        assert_gradient_matches_differences(&loss, &[[0.3, -0.5, 1.2, 0.1]]);
    }

    #[test]
    fn loss_and_gradient_are_finite_at_saturation() {
        let rows = [[-90.0, 90.0, 90.0, -90.0]];
        assert!((value(loss(tensor(&rows))) - 0.3 * 45.0).abs() < 1e-3);
        let gradient = gradient(&loss, tensor(&rows));
        assert!(gradient.iter().all(|g| g.is_finite()), "{gradient:?}");
    }
}
