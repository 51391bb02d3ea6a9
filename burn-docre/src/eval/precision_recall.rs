//! Precision, recall and F1.

use serde::Serialize;

/// Precision, recall and F1, as fractions from 0 to 1. A ratio with denominator 0 is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PrecisionRecall {
    /// Share of the predictions that are correct.
    pub precision: f64,
    /// Share of the gold items that are predicted.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
}

impl PrecisionRecall {
    /// The scores of `n_predicted` predictions, `n_correct` of them correct, and `n_gold` gold
    /// items.
    pub fn from_counts(n_correct: usize, n_predicted: usize, n_gold: usize) -> Self {
        Self::from_ratios(ratio(n_correct, n_predicted), ratio(n_correct, n_gold))
    }

    /// The scores of a known precision and recall.
    pub fn from_ratios(precision: f64, recall: f64) -> Self {
        let sum = precision + recall;
        let f1 = if sum == 0.0 { 0.0 } else { 2.0 * precision * recall / sum };
        Self { precision, recall, f1 }
    }
}

/// `part / whole`; 0 if `whole` is 0.
pub(super) fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_predictions_or_no_gold_items_score_zero() {
        assert_eq!(PrecisionRecall::from_counts(0, 0, 5), PrecisionRecall::default());
        assert_eq!(PrecisionRecall::from_counts(0, 5, 0), PrecisionRecall::default());
    }

    #[test]
    fn f1_is_the_harmonic_mean() {
        let score = PrecisionRecall::from_counts(1, 2, 4);
        assert_eq!((score.precision, score.recall), (0.5, 0.25));
        assert!((score.f1 - 1.0 / 3.0).abs() < 1e-12);
    }
}
