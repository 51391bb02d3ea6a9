//! Where a stage stands. The file is the commit: it names the checkpoint and the epochs that count, and what it does not
//! name does not exist.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{run::files, train::dev_set::DevScores};

/// The result of one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Mean training loss of its optimizer steps.
    pub loss: f64,
    /// Dev scores at its end.
    pub dev: DevScores,
}

/// Where a stage stands: the commit point of its checkpoints.
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
    /// Batches of the epoch in progress that are behind us.
    pub batches_done: usize,
    /// Sum of the losses of the epoch in progress.
    pub loss_sum: f64,
    /// Number of the losses in the sum.
    pub loss_count: usize,
    /// Bytes of `metrics.jsonl` that belong to this state.
    pub metrics_bytes: u64,
    /// The completed epochs.
    pub history: Vec<EpochRecord>,
}

impl TrainingState {
    /// The state in a stage's directory; a new one where there is none.
    pub fn load(directory: &Path) -> Result<Self> {
        let path = Self::path(directory);
        if path.exists() { files::read_json(&path) } else { Ok(Self::default()) }
    }

    /// Writes the state; from now on a resumed run starts here.
    pub fn commit(&self, directory: &Path) -> Result<()> {
        files::write_json(&Self::path(directory), self)
    }

    /// The epoch with the best dev F1, the first of equals.
    pub fn best(&self) -> Option<EpochRecord> {
        self.history.iter().copied().reduce(
            |best, next| {
                if next.dev.f1 > best.dev.f1 { next } else { best }
            },
        )
    }

    /// Makes the best epoch's model, if it waits in `stage`, the model directory `model`, and removes what waits besides.
    ///
    /// A model waits until the state that names its epoch is on disk: else a kill in between could leave the weights of
    /// an epoch that never was.
    pub fn publish(&self, stage: &Path, model: &Path) -> Result<()> {
        let best = self.best().map(|best| waiting_model(stage, best.epoch));
        let context = || format!("{}: its models cannot be moved", stage.display());
        for entry in std::fs::read_dir(stage).with_context(context)? {
            let path = entry.with_context(context)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !name.starts_with(WAITING_MODEL) {
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

const WAITING_MODEL: &str = "model.epoch-";

/// Where the model of an epoch waits until the state names the epoch.
pub fn waiting_model(stage: &Path, epoch: usize) -> PathBuf {
    stage.join(format!("{WAITING_MODEL}{epoch}"))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// The record of an epoch that scored `f1`.
    pub fn record(epoch: usize, f1: f64) -> EpochRecord {
        let dev = DevScores { f1, ign_f1: f1, precision: f1, recall: f1 };
        EpochRecord { epoch, loss: 0.0, dev }
    }

    fn after(f1_by_epoch: &[f64]) -> TrainingState {
        let history = f1_by_epoch.iter().enumerate().map(|(i, &f1)| record(i + 1, f1)).collect();
        TrainingState { history, ..TrainingState::default() }
    }

    #[test]
    fn the_first_of_equal_epochs_is_the_best() {
        assert_eq!(after(&[0.2, 0.5, 0.5]).best().map(|best| best.epoch), Some(2));
    }

    #[test]
    fn a_model_is_published_only_when_the_state_names_its_epoch() {
        let stage = tempfile::tempdir().unwrap();
        let model = stage.path().join("model");
        let weights = || std::fs::read_to_string(model.join("weights")).ok();
        let save = |epoch: usize| {
            let waiting = waiting_model(stage.path(), epoch);
            std::fs::create_dir(&waiting).unwrap();
            std::fs::write(waiting.join("weights"), epoch.to_string()).unwrap();
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
