//! The directory of one run.
//!
//! ```text
//! OUT/config.toml       the resolved configuration
//! OUT/manifest.json     seed, hashes of the input files; commit, versions, backend, devices of each start
//! OUT/results.json      dev scores by stage
//! OUT/labels/           the teacher's logits
//! OUT/STAGE/model/      the stage's best model, a complete model directory
//! OUT/STAGE/training_state.json, metrics.jsonl, checkpoint/
//! ```
//!
//! Everything is written whole or not at all, so that a run can be killed at any moment and resumed.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use burn_docre::io::atomic_file::{self, write_atomically};

use crate::{
    config::RunConfig,
    run::{
        files,
        manifest::{Inputs, Manifest, Placement, hash_inputs},
    },
};

const CONFIG: &str = "config.toml";
const MANIFEST: &str = "manifest.json";
const RESULTS: &str = "results.json";
const LOCK: &str = ".lock";

/// Whether a run is new or continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The directory must be new or empty.
    New,
    /// Continues the run in the directory; starts one in an empty directory.
    Resume,
}

/// The directory of one run, locked as long as this value lives.
pub struct RunDir {
    root: PathBuf,
    _lock: File,
}

/// Dev metrics by key, as in `ign_f1`; scores are fractions.
pub type DevMetrics = BTreeMap<String, f64>;

/// Dev metrics by stage.
pub type Results = BTreeMap<String, DevMetrics>;

impl RunDir {
    /// Locks the directory `root`. Writes nothing: a run whose inputs turn out to be bad leaves the directory empty.
    ///
    /// # Errors
    /// If another process holds the lock, a [new](Mode::New) run's directory is not empty, or the directory is no run's.
    pub fn open(root: &Path, mode: Mode) -> Result<Self> {
        std::fs::create_dir_all(root)
            .with_context(|| format!("{}: the directory cannot be made", root.display()))?;
        let run = Self { _lock: lock(root)?, root: root.into() };
        let is_started = !run.is_empty()?;
        ensure!(
            !is_started || mode == Mode::Resume,
            "{} is not empty; go on with the run in it by `--resume`, or choose another `--out`",
            run.root.display()
        );
        ensure!(
            !is_started || run.root.join(CONFIG).exists(),
            "{} is not the directory of a run: it has no {CONFIG}",
            run.root.display()
        );
        Ok(run)
    }

    /// The backend and devices of the last start of the run that is to be resumed; `None` if there is no such run.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn placement(root: &Path, mode: Mode) -> Result<Option<Placement>> {
        let manifest = match mode {
            Mode::Resume => Manifest::load(&root.join(MANIFEST))?,
            Mode::New => None,
        };
        manifest.map_or(Ok(None), |manifest| manifest.placement())
    }

    /// Hashes the files that the run reads.
    ///
    /// # Errors
    /// If the run has been started and cannot go on with them, this configuration, or there.
    pub fn check(&self, config: &RunConfig, placement: &Placement) -> Result<Inputs> {
        self.check_config(config)?;
        let inputs = hash_inputs(config)?;
        if let Some(manifest) = self.manifest()? {
            manifest.check(&inputs, placement)?;
        }
        Ok(inputs)
    }

    /// Starts the run, or goes on with it.
    pub fn start(&self, config: &RunConfig, inputs: Inputs, placement: &Placement) -> Result<()> {
        files::remove_partial(&self.root);
        let path = self.root.join(CONFIG);
        if !path.exists() {
            let text = config.to_toml()?;
            write_atomically(&path, |out| out.write_all(text.as_bytes()))?;
        }
        let mut manifest = self.manifest()?.unwrap_or_else(|| Manifest::new(config, inputs));
        manifest.start(placement)?;
        files::write_json(&self.root.join(MANIFEST), &manifest)
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of a stage.
    pub fn stage(&self, stage: &str) -> PathBuf {
        self.root.join(stage)
    }

    /// The model directory of a stage.
    pub fn model(&self, stage: &str) -> PathBuf {
        self.stage(stage).join("model")
    }

    /// The directory of the teacher's logits.
    pub fn labels(&self) -> PathBuf {
        self.root.join("labels")
    }

    /// The scores so far.
    pub fn results(&self) -> Result<Results> {
        let path = self.root.join(RESULTS);
        if path.exists() { files::read_json(&path) } else { Ok(Results::new()) }
    }

    /// Adds the dev metrics of a finished stage.
    pub fn record(&self, stage: &str, metrics: DevMetrics) -> Result<()> {
        let mut results = self.results()?;
        results.insert(stage.to_string(), metrics);
        files::write_json(&self.root.join(RESULTS), &results)
    }

    /// Whether nothing of a run is there yet.
    fn is_empty(&self) -> Result<bool> {
        let context = || format!("{}: the directory cannot be read", self.root.display());
        for entry in std::fs::read_dir(&self.root).with_context(context)? {
            let name = entry.with_context(context)?.file_name();
            if name != LOCK && !files::is_partial(&name) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn manifest(&self) -> Result<Option<Manifest>> {
        Manifest::load(&self.root.join(MANIFEST))
    }

    fn check_config(&self, config: &RunConfig) -> Result<()> {
        let path = self.root.join(CONFIG);
        if !path.exists() {
            return Ok(());
        }
        let before = RunConfig::load(&path, &[])?;
        if let Some(difference) = config.difference(&before)? {
            bail!(
                "{}: the configuration has changed since the run began: {difference}; choose another `--out`",
                self.root.display()
            );
        }
        Ok(())
    }
}

fn lock(root: &Path) -> Result<File> {
    let path = root.join(LOCK);
    match atomic_file::lock(&path)? {
        Some(file) => Ok(file),
        None => bail!("another `docre` is at work in {}", root.display()),
    }
}
