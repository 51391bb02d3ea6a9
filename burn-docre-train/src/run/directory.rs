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
    fs::{File, TryLockError},
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use burn_docre::io::atomic_file::write_atomically;

use crate::{
    cli::{RunArgs, StageName},
    config::RunConfig,
    run::{
        files,
        manifest::{Inputs, Manifest, Placement, hash_inputs},
    },
    train::dev_set::DevScores,
};

const CONFIG: &str = "config.toml";
const MANIFEST: &str = "manifest.json";
const RESULTS: &str = "results.json";
const LOCK: &str = ".lock";

/// The version of Burn that the workspace pins.
pub const BURN_VERSION: &str = "0.21.0";

/// The directory of one run, locked as long as this value lives.
pub struct RunDir {
    root: PathBuf,
    _lock: File,
}

/// Dev scores by stage.
pub type Results = BTreeMap<String, DevScores>;

impl RunDir {
    /// Locks the directory that `args` name and looks what is there. Writes nothing: a run whose inputs turn out to be bad
    /// leaves the directory empty.
    pub fn open(args: &RunArgs) -> Result<Self> {
        let root = root(args)?;
        std::fs::create_dir_all(&root)
            .with_context(|| format!("{}: the directory cannot be made", root.display()))?;
        let run = Self { _lock: lock(&root)?, root };
        let is_started = !run.is_empty()?;
        ensure!(
            !is_started || args.resume,
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

    /// Where the run that is to be resumed was computed last; `None` where none is.
    pub fn placement(args: &RunArgs) -> Result<Option<Placement>> {
        let manifest = match args.resume {
            true => Manifest::load(&root(args)?.join(MANIFEST))?,
            false => None,
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
    pub fn stage(&self, stage: StageName) -> PathBuf {
        self.root.join(stage.name())
    }

    /// The model directory of a stage.
    pub fn model(&self, stage: StageName) -> PathBuf {
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

    /// Adds the scores of a finished stage.
    pub fn record(&self, stage: StageName, scores: DevScores) -> Result<()> {
        let mut results = self.results()?;
        results.insert(stage.name().to_string(), scores);
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

fn root(args: &RunArgs) -> Result<PathBuf> {
    match &args.out {
        Some(out) => Ok(out.clone()),
        None => default_root(&args.config),
    }
}

/// `artifacts/NAME` for `configs/NAME.toml`.
fn default_root(config: &Path) -> Result<PathBuf> {
    let name = config.file_stem().with_context(|| {
        format!("{} has no name to call the run by; give `--out`", config.display())
    })?;
    Ok(Path::new("artifacts").join(name))
}

fn lock(root: &Path) -> Result<File> {
    let path = root.join(LOCK);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("{}: writing failed", path.display()))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => bail!("another `docre` is at work in {}", root.display()),
        // Some network file systems have no locks; two runs in one directory are then the user's own care.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}
