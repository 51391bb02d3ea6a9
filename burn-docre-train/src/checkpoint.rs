//! What a stage needs to go on after it was interrupted.
//!
//! Burn's checkpointer writes the model, the optimizer and the schedule, numbered by optimizer step; each file appears
//! whole or not at all. Then [`TrainingState`] is written: it names the checkpoint that counts, and is the commit.

use std::{
    collections::VecDeque,
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use burn::{
    record::{FileRecorder, FullPrecisionSettings, Recorder, RecorderError},
    tensor::backend::Backend,
    train::{
        checkpoint::{CheckpointingAction, CheckpointingStrategy},
        metric::store::EventStoreClient,
    },
};
use burn_docre::atomic_file::write_atomically;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{dev::DevScores, files};

/// The first thing that went wrong on one of Burn's threads, which can only log it.
#[derive(Clone, Debug, Default)]
pub struct Failure(Arc<Mutex<Option<String>>>);

impl Failure {
    /// Keeps `message`, unless something went wrong before.
    pub fn set(&self, message: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
    }

    /// An error if something went wrong.
    pub fn check(&self) -> Result<()> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(message) => Err(anyhow::anyhow!("{message}")),
            None => Ok(()),
        }
    }
}

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
        self.failure.set(message.clone());
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

    fn path(directory: &Path) -> PathBuf {
        directory.join("training_state.json")
    }
}

/// The directory where Burn puts a stage's checkpoints.
pub fn checkpoint_dir(stage: &Path) -> PathBuf {
    stage.join("checkpoint")
}

/// Checks that the files of a checkpoint are there, because Burn panics where they are not.
pub fn check_complete(stage: &Path, checkpoint: usize) -> Result<()> {
    for part in ["model", "optim", "scheduler"] {
        let path = checkpoint_dir(stage).join(format!("{part}-{checkpoint}.mpk"));
        anyhow::ensure!(path.exists(), "{} is missing; the run cannot be resumed", path.display());
    }
    Ok(())
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
