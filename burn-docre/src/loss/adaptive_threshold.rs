//! Adaptive threshold loss (ATLOP, eqs. 6–8).

use burn::tensor::{Tensor, backend::Backend};

use super::targets::{Targets, log_softmax, mean_over_pairs};
use crate::batch::packing::MASKED;

/// Adaptive threshold loss. Its minimum has the logits of relations that hold above the logit of
/// the threshold class TH, and all other logits below it.
///
/// ```text
/// L = - sum_{r in P} log(exp(l_r) / sum_{r' in P + TH} exp(l_r'))
///     - log(exp(l_TH) / sum_{r' in N + TH} exp(l_r'))
/// ```
///
/// with `P` the relations that hold and `N` those that do not. The result is the mean over pairs.
///
/// # Shapes
/// - `logits`: `[p, r]`; `labels`: `[p, r]`, 1 at relations that hold; the column of TH is ignored
/// - output: `[1]`
///
/// # References
/// Zhou et al., *Document-Level Relation Extraction with Adaptive Thresholding and Localized
/// Context Pooling*, AAAI 2021.
pub fn adaptive_threshold_loss<B: Backend>(
    logits: Tensor<B, 2>,
    labels: Tensor<B, 2>,
) -> Tensor<B, 1> {
    let targets = Targets::new(labels);
    let negative = 1.0 - targets.positive.clone() - targets.threshold.clone();
    let among_positives = log_softmax(logits.clone() + negative * MASKED);
    let positive = among_positives * targets.positive.clone();
    let threshold = targets.threshold_log_probability(logits);
    -(mean_over_pairs(positive) + mean_over_pairs(threshold))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::testing::{assert_gradient_matches_differences, gradient, tensor, value};

    #[test]
    fn equal_logits_give_the_logarithms_of_the_class_counts() {
        // One positive of two relations: log 2 against TH, and log 2 for TH against the other.
        let loss = adaptive_threshold_loss(tensor(&[[0.0, 0.0, 0.0]]), tensor(&[[0.0, 1.0, 0.0]]));
        assert!((value(loss) - 2.0 * 2f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn a_pair_without_relation_is_a_softmax_over_all_classes() {
        let loss = adaptive_threshold_loss(tensor(&[[1.0, 2.0, 3.0]]), tensor(&[[1.0, 0.0, 0.0]]));
        let expected = (1f64.exp() + 2f64.exp() + 3f64.exp()).ln() - 1.0;
        assert!((value(loss) - expected).abs() < 1e-5);
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        let labels = [[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0]];
        assert_gradient_matches_differences(
            &|logits| adaptive_threshold_loss(logits, tensor(&labels)),
            &[[0.3, -0.5, 1.2, 0.1], [0.0, 0.7, -1.0, 0.4]],
        );
    }

    #[test]
    fn the_gradient_is_finite_at_saturation() {
        let labels = [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]];
        let gradient = gradient(
            &|logits| adaptive_threshold_loss(logits, tensor(&labels)),
            tensor(&[[-90.0, 90.0, -90.0], [90.0, -90.0, 90.0]]),
        );
        assert!(gradient.iter().all(|g| g.is_finite()), "{gradient:?}");
    }
}
