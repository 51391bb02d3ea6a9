//! The choice of a relation loss in a configuration.

use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

use super::{adaptive_focal_loss, adaptive_threshold_loss, reference_adaptive_focal_loss};
use crate::{Error, Result};

/// The loss of logits against labels: `{ kind = "afl-authors", gamma = 1.0 }`.
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
                Err(Error::config(format!(
                    "`loss.gamma` must not be negative or infinite, but is {gamma}"
                )))
            }
        }
    }

    /// Computes the loss.
    ///
    /// # Shapes
    /// - `logits`, `labels`: `[p, r]` → `[1]`
    pub fn forward<B: Backend>(&self, logits: Tensor<B, 2>, labels: Tensor<B, 2>) -> Tensor<B, 1> {
        match *self {
            Self::Atl {} => adaptive_threshold_loss(logits, labels),
            Self::AflPaper { gamma } => adaptive_focal_loss(logits, labels, gamma),
            Self::AflAuthors { gamma } => reference_adaptive_focal_loss(logits, labels, gamma),
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
