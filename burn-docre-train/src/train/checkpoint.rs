//! Checkpoints of a stage: the model, the optimizer and the schedule, numbered by optimizer step. Each file appears whole
//! or not at all. The [`TrainingState`](crate::train::state::TrainingState) names the valid checkpoint.

use std::{
    collections::VecDeque,
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use burn::{
    record::{FileRecorder, FullPrecisionSettings, Record, Recorder, RecorderError},
    tensor::backend::Backend,
    train::{
        checkpoint::{CheckpointingAction, CheckpointingStrategy},
        metric::store::EventStoreClient,
    },
};
use burn_docre::io::atomic_file::write_atomically;
use serde::{Serialize, de::DeserializeOwned};

use crate::train::failure::Failure;

/// Writes records in full precision to files that appear whole or not at all.
#[derive(Clone, Debug, Default)]
pub struct AtomicRecorder {
    failure: Failure,
}

impl AtomicRecorder {
    /// A recorder that reports what goes wrong to `failure`.
    pub fn new(failure: &Failure) -> Self {
        Self { failure: failure.clone() }
    }

    fn fail(&self, error: anyhow::Error) -> RecorderError {
        let message = format!("{error:#}");
        self.failure.set(error);
        RecorderError::Unknown(message)
    }
}

impl<B: Backend> FileRecorder<B> for AtomicRecorder {
    fn file_extension() -> &'static str {
        "mpk"
    }
}

impl<B: Backend> Recorder<B> for AtomicRecorder {
    type Settings = FullPrecisionSettings;
    type RecordArgs = PathBuf;
    type RecordOutput = ();
    type LoadArgs = PathBuf;

    fn save_item<I: Serialize>(&self, item: I, mut path: PathBuf) -> Result<(), RecorderError> {
        path.set_extension(<Self as FileRecorder<B>>::file_extension());
        write_atomically(&path, |out| {
            rmp_serde::encode::write_named(out, &item)
                .map_err(|error| std::io::Error::other(format!("{:#}", anyhow::Error::new(error))))
        })
        .map_err(|error| self.fail(error.into()))
    }

    fn load_item<I: DeserializeOwned>(&self, path: &mut PathBuf) -> Result<I, RecorderError> {
        path.set_extension(<Self as FileRecorder<B>>::file_extension());
        let context = || format!("{}: reading failed", path.display());
        let file = File::open(&*path).with_context(context).map_err(|error| self.fail(error))?;
        rmp_serde::decode::from_read(BufReader::with_capacity(1 << 16, file))
            .with_context(context)
            .map_err(|error| self.fail(error))
    }
}

/// Saves at every call and keeps the last two checkpoints.
///
/// Burn hands each save to a thread and does not wait. The thread takes its next order only when it has finished the
/// one before, so an order to delete something after the save, be it a checkpoint that never was, makes the call return
/// only when the save is on disk.
#[derive(Debug, Default)]
pub struct KeepTwo {
    saved: VecDeque<usize>,
}

impl KeepTwo {
    /// Continues after the checkpoint that the state names.
    pub fn after(checkpoint: Option<usize>) -> Self {
        Self { saved: checkpoint.into_iter().collect() }
    }
}

impl CheckpointingStrategy for KeepTwo {
    fn checkpointing(&mut self, step: usize, _: &EventStoreClient) -> Vec<CheckpointingAction> {
        const NEVER_SAVED: usize = usize::MAX;
        self.saved.retain(|&saved| saved != step);
        self.saved.push_back(step);
        let old = if self.saved.len() > 2 { self.saved.pop_front() } else { None };
        vec![CheckpointingAction::Save, CheckpointingAction::Delete(old.unwrap_or(NEVER_SAVED))]
    }
}

/// The directory where Burn puts a stage's checkpoints.
pub fn checkpoint_dir(stage: &Path) -> PathBuf {
    stage.join("checkpoint")
}

/// Reads one part of a stage's checkpoint: its `model`, `optim` or `scheduler`.
pub fn load<B: Backend, R: Record<B>>(
    stage: &Path,
    part: &str,
    checkpoint: usize,
    device: &B::Device,
) -> Result<R> {
    let path = checkpoint_dir(stage).join(format!("{part}-{checkpoint}.mpk"));
    let recorder = AtomicRecorder::default();
    let record = Recorder::<B>::load(&recorder, path.clone(), device);
    record.map_err(|error| {
        let advice = "the stage cannot be resumed; remove its directory to begin it again";
        anyhow::anyhow!("{}: no checkpoint of this version: {error}; {advice}", path.display())
    })
}

/// Removes the checkpoints of a finished stage.
pub fn remove_all(stage: &Path) -> Result<()> {
    let directory = checkpoint_dir(stage);
    if directory.exists() {
        std::fs::remove_dir_all(&directory)
            .with_context(|| format!("{}: removing failed", directory.display()))?;
    }
    Ok(())
}
