//! The choice of key mention pairs (eqs. 12–15 of KMGRE).

use burn::{
    module::Module,
    tensor::{Int, Tensor, backend::Backend},
};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, batch::MentionPairIndex};

/// The rule that selects the key mention pairs of each pair by their probabilities.
///
/// A mention pair is a key if its probability reaches the threshold
/// `min(mean + xi * (max - min), tau)` (eqs. 12–14). Mean, maximum and minimum are those of the
/// pair's mention pairs. The paper's threshold can exceed every probability. Therefore the first
/// mention pair with the highest probability is always a key.
#[derive(Module, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySelection {
    /// The distance of the threshold from the mean, as a share of the range of probabilities, in
    /// `[0, 1]`; in the paper 0.15 or 0.1.
    pub xi: f64,
    /// The upper bound of the threshold, in `[0, 1]`; in the paper 0.5 at the end of training.
    pub tau: f64,
}

impl KeySelection {
    /// Checks the range of both values.
    ///
    /// # Errors
    /// If a value is outside `[0, 1]`; the error names the key.
    pub fn validate(&self) -> Result<()> {
        for (key, value) in [("xi", self.xi), ("tau", self.tau)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::config(format!(
                    "model: `key_classifier.{key}` must lie in [0, 1], but is {value}"
                )));
            }
        }
        Ok(())
    }

    /// Selects the key mention pairs. The result receives no gradient. It is NaN where the
    /// probability is NaN.
    ///
    /// # Shapes
    /// - `probabilities`: `[q]`, in `[0, 1]`
    /// - output: `[q]`, 1 for a key mention pair and 0 for the others
    pub fn select<B: Backend>(
        &self,
        probabilities: Tensor<B, 1>,
        index: &MentionPairIndex<B>,
    ) -> Tensor<B, 1> {
        let probabilities = probabilities.detach();
        let groups = index.groups.iter().map(|group| {
            self.select_in_group(group.values(probabilities.clone()), group.mask.clone())
        });
        index.in_order(groups.collect()) + probabilities * 0.0
    }

    /// Selects the key mention pairs of one group.
    ///
    /// # Shapes
    /// - `probabilities`, `mask`: `[n, size]` → `[n, size]`
    fn select_in_group<B: Backend>(
        &self,
        probabilities: Tensor<B, 2>,
        mask: Tensor<B, 2>,
    ) -> Tensor<B, 2> {
        let size = mask.dims()[1];
        // No probability is below 0 or above 1, so padding is neither the maximum nor the minimum.
        let probabilities = probabilities * mask.clone();
        let max = probabilities.clone().max_dim(1);
        let min = (probabilities.clone() - (mask.clone() - 1.0)).min_dim(1);
        let mean = probabilities.clone().sum_dim(1) / mask.clone().sum_dim(1);
        // Rounding must not lift the mean above the maximum.
        let mean = mean.min_pair(max.clone());
        let threshold = (mean + (max.clone() - min) * self.xi).clamp_max(self.tau);
        let is_above = (probabilities.clone() - threshold).greater_equal_elem(0.0).float() * mask;

        // `argmax` is not used, because its choice among equal values depends on the backend.
        let slots = Tensor::<B, 1, Int>::arange(0..size as i64, &max.device()).float();
        let slots = slots.reshape([1, size]);
        let is_below_max = (probabilities - max).lower_elem(0.0).float();
        let first = (is_below_max * size as f64 + slots.clone()).min_dim(1);
        is_above.max_pair((slots - first).equal_elem(0.0).float())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::TestBackend,
        batch::{mention_pair_testing::mention_pairs, packing::float_tensor},
    };

    const PAPER: KeySelection = KeySelection { xi: 0.15, tau: 0.5 };

    /// Selects among the mention pairs of a pair with these probabilities.
    fn select(selection: KeySelection, probabilities: &[f32]) -> Vec<f32> {
        let n = probabilities.len();
        let device = Default::default();
        let index = mention_pairs::<TestBackend>(&[1, n], &device);
        // The pair in the other direction has the probability 1.
        let both = [probabilities, &vec![1.0; n]].concat();
        let selected = selection.select(float_tensor(both, [2 * n], &device), &index);
        let selected: Vec<f32> = selected.into_data().to_vec().unwrap();
        selected[..n].to_vec()
    }

    #[test]
    fn equal_probabilities_are_all_keys_or_only_the_first() {
        // Below the threshold nothing is left but the first mention pair. Equal probabilities have
        // themselves as their threshold, also where the rounded mean of three is larger.
        for p in [0.1f32, 0.3, 0.47, 0.6, 0.7] {
            assert_eq!(select(PAPER, &[p; 3]), [1.0; 3], "{p}");
        }
        let below = [0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.0];
        let selected = select(PAPER, &below);
        assert_eq!((selected[0], selected[1..].iter().sum::<f32>()), (1.0, 0.0));
    }

    #[test]
    fn padding_changes_neither_maximum_nor_minimum_nor_mean() {
        // Three mention pairs in four slots. The mean is 0.2 and the range 0.2.
        let selected = |xi| select(KeySelection { xi, tau: 1.0 }, &[0.1, 0.3, 0.2]);
        assert_eq!(selected(0.49), [0.0, 1.0, 0.0]);
        assert_eq!(select(KeySelection { xi: 0.0, tau: 0.19 }, &[0.1, 0.3, 0.2]), [0.0, 1.0, 1.0]);
        assert_eq!(select(PAPER, &[0.0; 3]), [1.0; 3]);
    }

    #[test]
    fn the_second_of_two_highest_probabilities_is_no_key_unless_it_reaches_the_threshold() {
        let all = KeySelection { xi: 1.0, tau: 1.0 };
        assert_eq!(select(all, &[0.2, 0.9, 0.9, 0.1]), [0.0, 1.0, 0.0, 0.0]);
        assert_eq!(select(PAPER, &[0.2, 0.9, 0.9, 0.1]), [0.0, 1.0, 1.0, 0.0]);
    }

    #[test]
    fn nan_stays_nan() {
        let selected = select(PAPER, &[0.5, f32::NAN, 0.1]);
        assert!(selected[1].is_nan(), "{selected:?}");
    }

    #[test]
    fn a_value_out_of_range_is_refused_by_the_name_of_its_key() {
        for (selection, key) in [
            (KeySelection { xi: -0.1, ..PAPER }, "`key_classifier.xi`"),
            (KeySelection { tau: f64::NAN, ..PAPER }, "`key_classifier.tau`"),
            (KeySelection { tau: 1.1, ..PAPER }, "`key_classifier.tau`"),
        ] {
            let error = selection.validate().unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
        assert!(PAPER.validate().is_ok());
    }
}
