//! `[em]`: the EM algorithm that trains KMGRE's relation extractor and key classifier.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::Start;

/// The warm-up, the key classifier's loss and the growth of the threshold's bound.
///
/// The defaults are those of the paper, which does not give the number of warm-up epochs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmConfig {
    /// The number of epochs that train extractor and key classifier together before E and M passes
    /// alternate, in a stage with a fresh model. One pass is one epoch.
    pub warmup_epochs: usize,
    /// The weight of the key classifier's focal loss, finite and above 0.
    #[serde(default = "paper_alpha")]
    pub alpha: f64,
    /// The focusing exponent of that loss, finite and at least 0.
    #[serde(default = "paper_gamma")]
    pub gamma: f64,
    /// The decay of the bound of the key threshold, in `[0, 1)`. In optimizer step `t` of a stage
    /// with a fresh model the bound is `tau · (1 - tau_decay^t)`.
    #[serde(default = "paper_tau_decay")]
    pub tau_decay: f64,
}

impl EmConfig {
    /// EM in a stage with this start. A trained model needs no warm-up, and the bound of its
    /// threshold is `tau` from the first step.
    pub fn of_stage(self, start: Start) -> Self {
        match start {
            Start::Fresh => self,
            Start::Stage(_) => Self { warmup_epochs: 0, tau_decay: 0.0, ..self },
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        let Self { warmup_epochs: _, alpha, gamma, tau_decay } = *self;
        ensure!(alpha.is_finite() && alpha > 0.0, "`em.alpha` must be positive");
        ensure!(gamma.is_finite() && gamma >= 0.0, "`em.gamma` must not be negative");
        ensure!(
            (0.0..1.0).contains(&tau_decay),
            "`em.tau_decay` must be at least 0 and below 1; 0 keeps `tau` constant"
        );
        Ok(())
    }
}

fn paper_alpha() -> f64 {
    0.3
}

fn paper_gamma() -> f64 {
    2.0
}

fn paper_tau_decay() -> f64 {
    0.999
}
