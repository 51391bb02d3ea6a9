//! Adaptive focal loss (KD-DocRE, eqs. 9–11), as printed and as in the authors' code.

use burn::tensor::{Tensor, backend::Backend};

use super::targets::{Targets, against_threshold, mean_over_pairs};

/// Adaptive focal loss as the paper prints it, with the minus sign that eq. (11) lacks:
///
/// `L = - sum_{r in P} (1 - P(r))^gamma log P(r) - log P(TH)`
///
/// with `P` the relations that hold, `P(r) = sigmoid(l_r - l_TH)` (eq. 9), and `P(TH)` the softmax
/// of TH among TH and the relations that do not hold (eq. 10). The result is the mean over pairs.
///
/// `(1 - P(r))^gamma` is computed as `exp(gamma log(1 - P(r)))`, whose gradient is finite even if
/// `P(r)` is 1 and `gamma` below 1.
///
/// # Shapes
/// - `logits`: `[p, r]`; `labels`: `[p, r]`, 1 at relations that hold; the column of TH is ignored
/// - output: `[1]`
///
/// # References
/// Tan et al., *Document-Level Relation Extraction with Adaptive Focal Loss and Knowledge
/// Distillation*, Findings of ACL 2022.
pub fn adaptive_focal_loss<B: Backend>(
    logits: Tensor<B, 2>,
    labels: Tensor<B, 2>,
    gamma: f64,
) -> Tensor<B, 1> {
    focal(logits, labels, gamma, 0.0)
}

/// Adaptive focal loss as in the authors' code, with the factor `1 + (1 - P(r))^gamma`.
///
/// A well classified positive therefore keeps the weight 1, while its weight in the printed loss
/// tends to 0.
///
/// # Shapes
/// As [`adaptive_focal_loss`].
pub fn reference_adaptive_focal_loss<B: Backend>(
    logits: Tensor<B, 2>,
    labels: Tensor<B, 2>,
    gamma: f64,
) -> Tensor<B, 1> {
    focal(logits, labels, gamma, 1.0)
}

/// Computes `- sum_{r in P} (floor + (1 - P(r))^gamma) log P(r) - log P(TH)`.
fn focal<B: Backend>(
    logits: Tensor<B, 2>,
    labels: Tensor<B, 2>,
    gamma: f64,
    floor: f64,
) -> Tensor<B, 1> {
    let targets = Targets::new(labels);
    let pairwise = against_threshold(&logits, &targets);
    let factor = (pairwise.log_not_p * gamma).exp() + floor;
    let positive = factor * pairwise.log_p * targets.positive.clone();
    let threshold = targets.threshold_log_probability(logits);
    -(mean_over_pairs(positive) + mean_over_pairs(threshold))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::{
        adaptive_threshold_loss,
        testing::{assert_gradient_matches_differences, gradient, tensor, value},
    };

    const LABELS: [[f32; 4]; 2] = [[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0]];
    const LOGITS: [[f32; 4]; 2] = [[0.3, -0.5, 1.2, 0.1], [0.0, 0.7, -1.0, 0.4]];

    #[test]
    fn equal_logits_give_the_loss_of_probability_one_half() {
        // P = 1/2: (1/2)^2 log 2, and TH against the one negative: log 2.
        let (logits, labels) = ([[0.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]]);
        let printed = value(adaptive_focal_loss(tensor(&logits), tensor(&labels), 2.0));
        assert!((printed - 1.25 * 2f64.ln()).abs() < 1e-6);
        let reference = value(reference_adaptive_focal_loss(tensor(&logits), tensor(&labels), 2.0));
        assert!((reference - 2.25 * 2f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn with_one_positive_and_gamma_zero_it_is_the_adaptive_threshold_loss() {
        let labels = [[0.0, 1.0, 0.0, 0.0]];
        let logits = [LOGITS[0]];
        let focal = value(adaptive_focal_loss(tensor(&logits), tensor(&labels), 0.0));
        let threshold = value(adaptive_threshold_loss(tensor(&logits), tensor(&labels)));
        assert!((focal - threshold).abs() < 1e-5);
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        for gamma in [0.5, 1.0, 2.0] {
            assert_gradient_matches_differences(
                &|logits| adaptive_focal_loss(logits, tensor(&LABELS), gamma),
                &LOGITS,
            );
            assert_gradient_matches_differences(
                &|logits| reference_adaptive_focal_loss(logits, tensor(&LABELS), gamma),
                &LOGITS,
            );
        }
    }

    #[test]
    fn the_gradient_is_finite_at_saturation() {
        let saturated = [[-90.0, 90.0, -90.0, 90.0], [90.0, -90.0, 90.0, -90.0]];
        for gamma in [0.0, 0.5, 2.0] {
            for sign in [1.0, -1.0] {
                let logits = saturated.map(|row| row.map(|l| l * sign));
                let gradient = gradient(
                    &|logits| adaptive_focal_loss(logits, tensor(&LABELS), gamma),
                    tensor(&logits),
                );
                assert!(gradient.iter().all(|g| g.is_finite()), "{gamma}: {gradient:?}");
            }
        }
    }
}
