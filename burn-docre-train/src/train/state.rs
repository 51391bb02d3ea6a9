//! The progress of a stage. The file is the commit: it names the checkpoint and the epochs that count, and what it does
//! not name does not exist.

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
    /// Mean training loss of its optimizer steps.
    pub loss: f64,
    /// Mean of each part of the loss, by key, if there are several.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<String, f64>,
    /// Dev metrics at its end.
    pub dev: DevMetrics,
}

/// A sum of values and their number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sum {
    total: f64,
    count: usize,
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

/// The progress of a stage: the commit point of its checkpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingState {
    /// The stage is done; its model is the best one.
    pub finished: bool,
    /// The checkpoint that belongs to this state.
    pub checkpoint: Option<usize>,
    /// Optimizer steps taken.
    pub step: usize,
    /// Epochs completed, dev evaluation included.
    pub epochs_done: usize,
    /// Batches of the epoch in progress that are done.
    pub batches_done: usize,
    /// The loss and its parts over the steps of the epoch in progress, by key.
    pub losses: BTreeMap<String, Sum>,
    /// Bytes of `metrics.jsonl` that belong to this state.
    pub metrics_bytes: u64,
    /// The epoch with the best deciding metric, the first of equals.
    pub best_epoch: Option<usize>,
    /// The completed epochs.
    pub history: Vec<EpochRecord>,
}

impl TrainingState {
    /// The state in a stage's directory; a new one if there is none.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn load(directory: &Path) -> Result<Self> {
        let path = Self::path(directory);
        if path.exists() { files::read_json(&path) } else { Ok(Self::default()) }
    }

    /// Writes the state; from now on a resumed run starts here.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn commit(&self, directory: &Path) -> Result<()> {
        files::write_json(&Self::path(directory), self)
    }

    /// Counts an optimizer step.
    pub fn add_step(&mut self, step: &StepMetrics) {
        self.step += 1;
        self.losses.entry(metric_key(LOSS)).or_default().add(step.loss);
        for (name, value) in &step.parts {
            self.losses.entry(metric_key(name)).or_default().add(*value);
        }
    }

    /// Whether `dev` has a higher value of the metric `deciding` than every epoch before.
    pub fn is_best(&self, dev: &DevMetrics, deciding: &str) -> bool {
        let best = self.best().and_then(|best| best.dev.get(deciding));
        best.is_none_or(|best| dev.get(deciding).is_some_and(|value| value > best))
    }

    /// Ends the epoch in progress; the metric `deciding` says whether it is the best so far.
    pub fn end_epoch(&mut self, epoch: usize, dev: DevMetrics, deciding: &str) {
        if self.is_best(&dev, deciding) {
            self.best_epoch = Some(epoch);
        }
        let mut means: BTreeMap<String, f64> = std::mem::take(&mut self.losses)
            .into_iter()
            .map(|(name, sum)| (name, sum.mean()))
            .collect();
        let loss = means.remove(&metric_key(LOSS)).unwrap_or(0.0);
        let parts = if means.len() > 1 { means } else { BTreeMap::new() };
        self.history.push(EpochRecord { epoch, loss, parts, dev });
        self.epochs_done = epoch;
        self.batches_done = 0;
    }

    /// The record of the best epoch.
    pub fn best(&self) -> Option<&EpochRecord> {
        self.history.iter().find(|record| Some(record.epoch) == self.best_epoch)
    }

    /// Moves the best epoch's pending model, if there is one in `stage`, to the model directory `model`, and removes all
    /// other pending models.
    ///
    /// A model is pending until the state that names its epoch is on disk: otherwise a kill in between could leave the
    /// weights of an epoch that never was.
    ///
    /// # Errors
    /// If a directory cannot be read, moved or removed.
    pub fn publish(&self, stage: &Path, model: &Path) -> Result<()> {
        let best = self.best_epoch.map(|epoch| pending_model(stage, epoch));
        let context = || format!("{}: its models cannot be moved", stage.display());
        for entry in std::fs::read_dir(stage).with_context(context)? {
            let path = entry.with_context(context)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !name.starts_with(PENDING_MODEL) {
                continue;
            }
            let is_best = best.as_ref() == Some(&path);
            let gone = if is_best { model } else { &path };
            if gone.exists() {
                std::fs::remove_dir_all(gone).with_context(context)?;
            }
            if is_best {
                std::fs::rename(&path, model).with_context(context)?;
            }
        }
        Ok(())
    }

    fn path(directory: &Path) -> PathBuf {
        directory.join("training_state.json")
    }
}

const PENDING_MODEL: &str = "model.epoch-";

/// The directory of an epoch's model until the state names the epoch.
pub fn pending_model(stage: &Path, epoch: usize) -> PathBuf {
    stage.join(format!("{PENDING_MODEL}{epoch}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The state after epochs with these values of the deciding metric.
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
    fn the_history_has_the_means_of_the_loss_and_of_several_parts() {
        let mut state = TrainingState::default();
        // The parts alternate.
        for (loss, part) in [(1.0, ("E Step", 4.0)), (2.0, ("M Step", 6.0)), (3.0, ("E Step", 5.0))]
        {
            state.add_step(&StepMetrics { loss, parts: vec![part], learning_rate: 0.1 });
        }
        state.end_epoch(1, DevMetrics::new(), "f1");
        let record = state.best().unwrap();
        assert_eq!(record.loss, 2.0);
        assert_eq!(record.parts, BTreeMap::from([("e_step".into(), 4.5), ("m_step".into(), 6.0)]));
        assert_eq!((state.step, state.losses.len()), (3, 0));
    }

    #[test]
    fn a_model_is_published_only_when_the_state_names_its_epoch() {
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
        // Killed before the state was written: the epoch is done again, and may turn out worse.
        save(2);
        publish(&after(&[0.2]));
        publish(&after(&[0.2, 0.1]));
        assert_eq!(weights().as_deref(), Some("1"));
        save(3);
        publish(&after(&[0.2, 0.1, 0.3]));
        publish(&after(&[0.2, 0.1, 0.3]));
        assert_eq!(weights().as_deref(), Some("3"));
        assert_eq!(std::fs::read_dir(stage.path()).unwrap().count(), 1);
    }
}
