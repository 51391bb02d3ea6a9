//! The progress of a stage, in `training_state.json`.
//!
//! Writing this file commits the progress. A resumed run continues from the checkpoint, epochs and
//! metrics that the file records, and discards everything later.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{
    run::{directory::DevMetrics, files},
    train::metrics::{LOSS, StepMetrics},
    ui::metric_key,
};

/// The result of one epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Mean training loss over the optimizer steps.
    pub loss: f64,
    /// Means of the parts of the loss and of the measures, by key, over the steps that have them.
    pub values: BTreeMap<String, f64>,
    /// Dev metrics at the end of the epoch.
    pub dev: DevMetrics,
}

/// The sum and the number of values, for their mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sum {
    /// The sum.
    pub total: f64,
    /// The number of values.
    pub count: usize,
}

impl Sum {
    fn add(&mut self, value: f64) {
        self.total += value;
        self.count += 1;
    }

    fn mean(self) -> f64 {
        self.total / self.count.max(1) as f64
    }
}

/// The progress of a stage at its last commit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingState {
    /// True if the stage is finished.
    pub finished: bool,
    /// The id of the model that the stage began with; `None` for a fresh model.
    pub start_model: Option<String>,
    /// The number of the checkpoint that belongs to this state.
    pub checkpoint: Option<usize>,
    /// Optimizer steps taken.
    pub step: usize,
    /// Epochs completed, dev evaluation included.
    pub epochs_done: usize,
    /// Batches done in the epoch in progress.
    pub batches_done: usize,
    /// The loss, its parts and the measures over the steps of the epoch in progress, by key.
    pub sums: BTreeMap<String, Sum>,
    /// Bytes of `metrics.jsonl` that belong to this state.
    pub metrics_bytes: u64,
    /// The first epoch with the highest value of the deciding metric.
    pub best_epoch: Option<usize>,
    /// The completed epochs.
    pub history: Vec<EpochRecord>,
}

impl TrainingState {
    /// Reads the state in a stage's directory; returns a new one if there is no file.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn load(directory: &Path) -> Result<Self> {
        let path = Self::path(directory);
        if path.exists() { files::read_json(&path) } else { Ok(Self::default()) }
    }

    /// Writes the state. A run resumes from the last state that was written.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn commit(&self, directory: &Path) -> Result<()> {
        files::write_json(&Self::path(directory), self)
    }

    /// Counts an optimizer step and adds its losses and measures to those of the epoch.
    pub fn add_step(&mut self, step: &StepMetrics) {
        self.step += 1;
        self.sums.entry(metric_key(LOSS)).or_default().add(step.loss);
        for (name, value) in &step.values {
            self.sums.entry(metric_key(name)).or_default().add(*value);
        }
    }

    /// Returns true if the metric `deciding` is higher in `dev` than in every earlier epoch.
    pub fn is_best(&self, dev: &DevMetrics, deciding: &str) -> bool {
        let best = self.best().and_then(|best| best.dev.get(deciding));
        best.is_none_or(|best| dev.get(deciding).is_some_and(|value| value > best))
    }

    /// Records the end of the epoch in progress. The metric `deciding` determines the best epoch.
    pub fn end_epoch(&mut self, epoch: usize, dev: DevMetrics, deciding: &str) {
        if self.is_best(&dev, deciding) {
            self.best_epoch = Some(epoch);
        }
        let mut means: BTreeMap<String, f64> = std::mem::take(&mut self.sums)
            .into_iter()
            .map(|(name, sum)| (name, sum.mean()))
            .collect();
        let loss = means.remove(&metric_key(LOSS)).unwrap_or(0.0);
        self.history.push(EpochRecord { epoch, loss, values: means, dev });
        self.epochs_done = epoch;
        self.batches_done = 0;
    }

    /// The number of epochs completed since the best one.
    pub fn epochs_since_best(&self) -> usize {
        self.epochs_done - self.best_epoch.unwrap_or(0)
    }

    /// The record of the best epoch.
    pub fn best(&self) -> Option<&EpochRecord> {
        self.history.iter().find(|record| Some(record.epoch) == self.best_epoch)
    }

    /// Moves the best epoch's pending model from `stage` to the model directory `model`, if it
    /// exists. Removes all other pending models.
    ///
    /// A model is pending until the state with its epoch is on disk. If the process is killed
    /// before that, the epoch is repeated and can end with other weights.
    ///
    /// # Errors
    /// If a directory cannot be read, moved or removed.
    pub fn publish(&self, stage: &Path, model: &Path) -> Result<()> {
        let best = self.best_epoch.map(|epoch| pending_model(stage, epoch));
        let context = || format!("{}: moving its models failed", stage.display());
        if let Some(best) = best.filter(|best| best.exists()) {
            // Removing a model takes longer than renaming it, and a reader would miss it meanwhile.
            if model.exists() {
                std::fs::rename(model, pending_model(stage, REPLACED)).with_context(context)?;
            }
            std::fs::rename(best, model).with_context(context)?;
        }
        for entry in std::fs::read_dir(stage).with_context(context)? {
            let entry = entry.with_context(context)?;
            if entry.file_name().to_string_lossy().starts_with(PENDING_MODEL) {
                std::fs::remove_dir_all(entry.path()).with_context(context)?;
            }
        }
        Ok(())
    }

    fn path(directory: &Path) -> PathBuf {
        directory.join("training_state.json")
    }
}

const PENDING_MODEL: &str = "model.epoch-";
/// In place of an epoch, for a model that was replaced and is to be removed.
const REPLACED: usize = 0;

/// The directory of an epoch's pending model.
pub fn pending_model(stage: &Path, epoch: usize) -> PathBuf {
    stage.join(format!("{PENDING_MODEL}{epoch}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The state after epochs with these dev F1 values.
    fn after(f1_by_epoch: &[f64]) -> TrainingState {
        let mut state = TrainingState::default();
        for (i, &f1) in f1_by_epoch.iter().enumerate() {
            state.end_epoch(i + 1, DevMetrics::from([("f1".into(), f1)]), "f1");
        }
        state
    }

    #[test]
    fn the_first_of_equal_epochs_is_the_best() {
        assert_eq!(after(&[0.2, 0.5, 0.5]).best().map(|best| best.epoch), Some(2));
    }

    #[test]
    fn epochs_since_the_best_one_start_again_after_an_improvement() {
        for (f1_by_epoch, expected) in [
            (&[][..], 0),
            (&[0.5], 0),
            (&[0.5, 0.5], 1),
            (&[0.5, 0.5, 0.4], 2),
            (&[0.5, 0.5, 0.4, 0.6], 0),
        ] {
            assert_eq!(after(f1_by_epoch).epochs_since_best(), expected, "{f1_by_epoch:?}");
        }
    }

    #[test]
    fn the_history_has_the_mean_of_the_loss_and_of_each_part_over_the_steps_that_compute_it() {
        let mut state = TrainingState::default();
        // The steps compute the parts alternately.
        for (loss, part) in [(1.0, ("E Step", 4.0)), (2.0, ("M Step", 6.0)), (3.0, ("E Step", 5.0))]
        {
            state.add_step(&StepMetrics { loss, values: vec![part], ..StepMetrics::default() });
        }
        state.end_epoch(1, DevMetrics::new(), "f1");
        let record = state.best().unwrap();
        assert_eq!(record.loss, 2.0);
        assert_eq!(record.values, BTreeMap::from([("e_step".into(), 4.5), ("m_step".into(), 6.0)]));
        assert_eq!((state.step, state.sums.len()), (3, 0));
    }

    #[test]
    fn a_model_is_published_only_after_the_state_records_its_epoch() {
        let stage = tempfile::tempdir().unwrap();
        let model = stage.path().join("model");
        let weights = || std::fs::read_to_string(model.join("weights")).ok();
        let save = |epoch: usize| {
            let pending = pending_model(stage.path(), epoch);
            std::fs::create_dir(&pending).unwrap();
            std::fs::write(pending.join("weights"), epoch.to_string()).unwrap();
        };
        let publish = |state: &TrainingState| state.publish(stage.path(), &model).unwrap();
        save(1);
        publish(&after(&[0.2]));
        assert_eq!(weights().as_deref(), Some("1"));
        // A kill before the state was written: the epoch is repeated and can have a lower F1.
        save(2);
        publish(&after(&[0.2]));
        publish(&after(&[0.2, 0.1]));
        assert_eq!(weights().as_deref(), Some("1"));
        // A kill between the replacement of a model and its removal.
        save(REPLACED);
        publish(&after(&[0.2, 0.1]));
        assert_eq!(weights().as_deref(), Some("1"));
        save(3);
        publish(&after(&[0.2, 0.1, 0.3]));
        publish(&after(&[0.2, 0.1, 0.3]));
        assert_eq!(weights().as_deref(), Some("3"));
        assert_eq!(std::fs::read_dir(stage.path()).unwrap().count(), 1);
    }
}
