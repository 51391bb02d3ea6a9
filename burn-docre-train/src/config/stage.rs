//! `[stages]`: the training of each stage.

use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::DistillationConfig;

/// The schedule of each stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StagesConfig {
    /// On the human-annotated documents, from the start.
    pub teacher: Option<StageConfig>,
    /// On the distant documents, from the start, with the teacher's logits.
    pub student: Option<StageConfig>,
    /// The student, continued on the human-annotated documents.
    pub finetune: Option<StageConfig>,
}

/// The schedule of one training stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageConfig {
    /// Epochs of the learning-rate schedule.
    pub epochs: usize,
    /// Stop after so many epochs of the schedule.
    pub stop_after_epochs: Option<usize>,
    /// Documents a forward pass.
    pub batch_size: usize,
    /// Forward passes an optimizer step; their gradients are averaged.
    #[serde(default = "one")]
    pub accumulation: usize,
    /// Peak learning rate of the encoder.
    pub encoder_lr: f64,
    /// Peak learning rate of everything else.
    pub head_lr: f64,
    /// Weight decay of the encoder.
    pub encoder_weight_decay: f64,
    /// Weight decay of everything else.
    pub head_weight_decay: f64,
    /// Share of the steps over which the learning rate rises from 0.
    #[serde(default = "paper_warmup")]
    pub warmup_ratio: f64,
    /// The global norm that gradients are clipped to.
    #[serde(default = "unit")]
    pub max_grad_norm: f64,
    /// AdamW's epsilon.
    #[serde(default = "paper_epsilon")]
    pub adam_epsilon: f64,
    /// Stop after so many epochs without a better dev F1.
    pub patience: Option<usize>,
    /// Write a checkpoint every so many optimizer steps, not only at each epoch's end.
    pub checkpoint_every_steps: Option<usize>,
    /// What the student learns from the teacher; only the student has it.
    pub distillation: Option<DistillationConfig>,
}

impl StageConfig {
    /// The epochs that will really run.
    pub fn epochs_to_run(&self) -> usize {
        self.stop_after_epochs.unwrap_or(self.epochs)
    }

    pub(super) fn check(&self, name: &str) -> Result<()> {
        for (key, value) in [
            ("epochs", Some(self.epochs)),
            ("batch_size", Some(self.batch_size)),
            ("accumulation", Some(self.accumulation)),
            ("patience", self.patience),
            ("checkpoint_every_steps", self.checkpoint_every_steps),
            ("stop_after_epochs", self.stop_after_epochs),
        ] {
            ensure!(value != Some(0), "`{key}` must be at least 1");
        }
        ensure!(
            self.epochs_to_run() <= self.epochs,
            "`stop_after_epochs` is beyond the {} epochs of the schedule",
            self.epochs
        );
        for (key, value) in [
            ("encoder_lr", self.encoder_lr),
            ("head_lr", self.head_lr),
            ("encoder_weight_decay", self.encoder_weight_decay),
            ("head_weight_decay", self.head_weight_decay),
        ] {
            ensure!(value.is_finite() && value >= 0.0, "`{key}` must not be negative");
        }
        for (key, value) in
            [("max_grad_norm", self.max_grad_norm), ("adam_epsilon", self.adam_epsilon)]
        {
            ensure!(value.is_finite() && value > 0.0, "`{key}` must be positive");
        }
        ensure!((0.0..=1.0).contains(&self.warmup_ratio), "`warmup_ratio` must lie in 0..=1");
        match (name, self.distillation) {
            ("student", None) => {
                bail!(
                    "`distillation` is missing; `{{ kind = \"none\" }}` trains without the teacher"
                )
            }
            ("student", Some(distillation)) => distillation.check(),
            (_, Some(_)) => bail!("`distillation` belongs to `stages.student` only"),
            (_, None) => Ok(()),
        }
    }
}

fn one() -> usize {
    1
}

fn unit() -> f64 {
    1.0
}

fn paper_warmup() -> f64 {
    0.06
}

fn paper_epsilon() -> f64 {
    1e-6
}
