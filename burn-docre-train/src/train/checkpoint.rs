//! Checkpoints of a stage: model, optimizer and schedule, numbered by optimizer step.
//!
//! Each file is written atomically. The [`TrainingState`](crate::train::state::TrainingState) names
//! the checkpoint from which a run resumes.

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

/// A recorder that writes MessagePack files atomically and in full precision.
#[derive(Clone, Debug, Default)]
pub struct AtomicRecorder {
    failure: Failure,
}

impl AtomicRecorder {
    /// A recorder that stores its errors in `failure`, because Burn only logs them.
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

/// A strategy that saves at every call and keeps the last two checkpoints.
///
/// Burn saves on another thread and does not wait for it. That thread accepts a command only after
/// it has finished the previous one. A deletion therefore follows every save, if necessary of a
/// checkpoint that does not exist: the call returns after the save is on disk.
#[derive(Debug, Default)]
pub struct KeepTwo {
    saved: VecDeque<usize>,
}

impl KeepTwo {
    /// A strategy that already keeps the checkpoint of a resumed stage, if there is one.
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

/// The directory to which Burn writes the checkpoints of a stage.
pub fn checkpoint_dir(stage: &Path) -> PathBuf {
    stage.join("checkpoint")
}

/// Reads one part of a stage's checkpoint: `model`, `optim` or `scheduler`.
///
/// # Errors
/// If the file cannot be read or is damaged.
pub fn load<B: Backend, R: Record<B>>(
    stage: &Path,
    part: &str,
    checkpoint: usize,
    device: &B::Device,
) -> Result<R> {
    let path = checkpoint_dir(stage).join(format!("{part}-{checkpoint}.mpk"));
    let recorder = AtomicRecorder::default();
    let record = Recorder::<B>::load(&recorder, path.clone(), device);
    record.with_context(|| {
        let advice = "the stage cannot be resumed; remove its directory to begin it again";
        format!("{}: the checkpoint cannot be read; {advice}", path.display())
    })
}

/// Removes the checkpoints of a finished stage.
///
/// # Errors
/// If their directory cannot be removed.
pub fn remove_all(stage: &Path) -> Result<()> {
    let directory = checkpoint_dir(stage);
    if directory.exists() {
        std::fs::remove_dir_all(&directory)
            .with_context(|| format!("{}: removing failed", directory.display()))?;
    }
    Ok(())
}
