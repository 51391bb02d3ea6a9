//! `[stages]`: the training schedule of each stage.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use burn_docre::loss::Distillation;
use serde::{Deserialize, Serialize};

use super::{
    DistillationConfig,
    plan::{ObjectiveKind, Plan, Stage},
};

/// The training schedules by stage name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StagesConfig(BTreeMap<String, StageConfig>);

impl StagesConfig {
    /// The schedule of the stage of this name.
    pub fn get(&self, name: &str) -> Option<&StageConfig> {
        self.0.get(name)
    }

    /// The schedule of the stage of this name, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut StageConfig> {
        self.0.get_mut(name)
    }

    /// The model directories of teachers from outside the run.
    pub fn teachers(&self) -> impl Iterator<Item = &Path> {
        self.0.values().filter_map(|stage| stage.teacher.as_deref())
    }

    /// Checks that every section names a stage of `plan`, and that every schedule is valid.
    pub(super) fn check(&self, plan: &Plan) -> Result<()> {
        let Some(first) = plan.stages.first() else { bail!("the plan has no stage") };
        ensure!(!self.0.is_empty(), "`stages` is empty; give at least `stages.{}`", first.name);
        for (name, config) in &self.0 {
            let stage = plan.stage(name).with_context(|| {
                format!(
                    "`stages.{name}` is no stage of the plan `{}`; its stages are {}",
                    plan.name,
                    plan.stage_names()
                )
            })?;
            config.check(stage, plan).with_context(|| format!("stages.{name}"))?;
        }
        Ok(())
    }
}

/// The training schedule of one stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageConfig {
    /// The number of epochs of the learning-rate schedule, at least 1.
    pub epochs: usize,
    /// The number of epochs after which training stops, at most `epochs`; the schedule is
    /// unchanged.
    pub stop_after_epochs: Option<usize>,
    /// The number of documents per forward pass.
    pub batch_size: usize,
    /// The number of forward passes per optimizer step; their gradients are averaged.
    #[serde(default = "one")]
    pub accumulation: usize,
    /// Peak learning rate of the encoder.
    pub encoder_lr: f64,
    /// Peak learning rate of the relation module: all parameters outside the encoder.
    pub relation_lr: f64,
    /// Weight decay of the encoder.
    pub encoder_weight_decay: f64,
    /// Weight decay of the relation module: all parameters outside the encoder.
    pub relation_weight_decay: f64,
    /// The fraction of the steps, in `0..=1`, during which the learning rate rises from 0.
    #[serde(default = "paper_warmup")]
    pub warmup_ratio: f64,
    /// The maximum global norm of the gradients; larger gradients are clipped.
    #[serde(default = "unit")]
    pub max_grad_norm: f64,
    /// AdamW's epsilon.
    #[serde(default = "paper_epsilon")]
    pub adam_epsilon: f64,
    /// The number of epochs without a better dev F1 after which training stops.
    pub patience: Option<usize>,
    /// The number of optimizer steps between checkpoints, in addition to those at the end of each
    /// epoch.
    pub checkpoint_every_steps: Option<usize>,
    /// The loss on the teacher's logits; required in a stage that distils, an error in other
    /// stages.
    pub distillation: Option<DistillationConfig>,
    /// The model directory of another teacher, in a stage that distils. Its logits replace those of
    /// the plan's teacher.
    pub teacher: Option<PathBuf>,
}

impl StageConfig {
    /// The number of epochs to train: `stop_after_epochs` if it is given, else `epochs`.
    pub fn epochs_to_run(&self) -> usize {
        self.stop_after_epochs.unwrap_or(self.epochs)
    }

    /// The distillation; `None` if the stage does not distil.
    pub fn distillation(&self) -> Option<Distillation> {
        self.distillation.and_then(DistillationConfig::distillation)
    }

    fn check(&self, stage: &Stage, plan: &Plan) -> Result<()> {
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
            "`stop_after_epochs` must be at most the {} epochs of the schedule",
            self.epochs
        );
        for (key, value) in [
            ("encoder_lr", self.encoder_lr),
            ("relation_lr", self.relation_lr),
            ("encoder_weight_decay", self.encoder_weight_decay),
            ("relation_weight_decay", self.relation_weight_decay),
        ] {
            ensure!(
                value.is_finite() && value >= 0.0,
                "`{key}` is {value:?}; it must be a finite number of at least 0"
            );
        }
        for (key, value) in
            [("max_grad_norm", self.max_grad_norm), ("adam_epsilon", self.adam_epsilon)]
        {
            ensure!(
                value.is_finite() && value > 0.0,
                "`{key}` is {value:?}; it must be a finite number above 0"
            );
        }
        ensure!(
            (0.0..=1.0).contains(&self.warmup_ratio),
            "`warmup_ratio` is {:?}; it must lie in 0..=1",
            self.warmup_ratio
        );
        self.check_distillation(stage, plan)
    }

    fn check_distillation(&self, stage: &Stage, plan: &Plan) -> Result<()> {
        ensure!(
            self.teacher.is_none() || self.distillation().is_some(),
            "`teacher` has no effect in a stage without `distillation`; remove it"
        );
        match (stage.objective, self.distillation) {
            (ObjectiveKind::Distillation, None) => {
                bail!(
                    "`distillation` is missing; `{{ kind = \"none\" }}` trains without the teacher"
                )
            }
            (ObjectiveKind::Distillation, Some(distillation)) => distillation.check(),
            (ObjectiveKind::Relation, None) => Ok(()),
            (ObjectiveKind::Relation, Some(_)) => {
                let distils = |stage: &&Stage| stage.objective == ObjectiveKind::Distillation;
                let names: Vec<String> = plan
                    .stages
                    .iter()
                    .filter(distils)
                    .map(|stage| format!("`stages.{}`", stage.name))
                    .collect();
                ensure!(
                    !names.is_empty(),
                    "`distillation` belongs to no stage of the plan `{}`",
                    plan.name
                );
                bail!("`distillation` belongs to {} only", names.join(" and "))
            }
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

#[cfg(test)]
mod tests {
    use crate::config::RunConfig;

    fn refusal(item: &str) -> String {
        let demo = include_str!("../../../configs/demo.toml");
        format!("{:#}", RunConfig::parse(demo, &[item.into()]).expect_err(item))
    }

    #[test]
    fn a_section_must_name_a_stage_of_the_plan() {
        let message = refusal(
            "stages.techer={ epochs = 1, batch_size = 1, encoder_lr = 0.1, relation_lr = 0.1, \
             encoder_weight_decay = 0.0, relation_weight_decay = 0.0 }",
        );
        let expected = "`stages.techer` is no stage of the plan `kd-docre`; its stages are teacher, student, finetune";
        assert!(message.contains(expected), "{message}");
    }

    #[test]
    fn an_unknown_plan_is_an_error_that_lists_the_plans() {
        let message = refusal("plan=no-plan");
        assert!(message.contains("no-plan") && message.contains("kd-docre"), "{message}");
    }

    #[test]
    fn another_teacher_without_distillation_is_an_error() {
        for stage in ["teacher", "finetune"] {
            let message = refusal(&format!("stages.{stage}.teacher=some/model"));
            assert!(message.contains("`teacher` has no effect"), "{message}");
        }
    }

    #[test]
    fn distillation_in_a_stage_that_does_not_distil_is_an_error() {
        let message = refusal("stages.teacher.distillation={ kind = \"none\" }");
        assert!(message.contains("`distillation` belongs to `stages.student` only"), "{message}");
    }
}
