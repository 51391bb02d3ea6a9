//! The directory of one run.
//!
//! ```text
//! OUT/config.toml       the resolved configuration
//! OUT/manifest.json     commit, versions, backend, seed, hashes of the input files, start time
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
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail, ensure};
use burn_docre::{atomic_file::write_atomically, backend::BackendKind};
use serde::{Deserialize, Serialize};

use crate::{
    cli::{RunArgs, StageName},
    config::RunConfig,
    dev::DevScores,
    files,
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

/// Where a run comes from.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Manifest {
    version: String,
    commit: Option<String>,
    burn: String,
    backend: String,
    devices: Vec<usize>,
    /// What they are called, and the drivers that led to them.
    #[serde(default)]
    device_names: Vec<String>,
    seed: u64,
    started_unix_seconds: u64,
    input_sha256: BTreeMap<String, String>,
}

/// Dev scores by stage.
pub type Results = BTreeMap<String, DevScores>;

impl RunDir {
    /// Starts the run, or goes on with it, in the directory that `args` name.
    pub fn open(
        args: &RunArgs,
        config: &RunConfig,
        backend: BackendKind,
        devices: &[usize],
    ) -> Result<Self> {
        let root = match &args.out {
            Some(out) => out.clone(),
            None => default_root(&args.config)?,
        };
        std::fs::create_dir_all(&root)
            .with_context(|| format!("{}: the directory cannot be made", root.display()))?;
        let run = Self { _lock: lock(&root)?, root };
        let started = !run.is_empty()?;
        ensure!(
            !started || args.resume,
            "{} is not empty; go on with the run in it by `--resume`, or choose another `--out`",
            run.root.display()
        );
        if started {
            run.check_config(config)?;
        } else {
            let text = config.to_toml()?;
            let path = run.root.join(CONFIG);
            write_atomically(&path, |out| out.write_all(text.as_bytes()))?;
        }
        run.check_manifest(config, backend, devices)?;
        files::remove_partial(&run.root);
        Ok(run)
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

    fn check_config(&self, config: &RunConfig) -> Result<()> {
        let path = self.root.join(CONFIG);
        ensure!(
            path.exists(),
            "{} is not the directory of a run: it has no {CONFIG}",
            self.root.display()
        );
        let before = RunConfig::load(&path, &[])?;
        if let Some(difference) = config.difference(&before)? {
            bail!(
                "{}: the configuration has changed since the run began: {difference}; choose another `--out`",
                self.root.display()
            );
        }
        Ok(())
    }

    /// Writes the manifest, or checks that the input files are still the same.
    fn check_manifest(
        &self,
        config: &RunConfig,
        backend: BackendKind,
        devices: &[usize],
    ) -> Result<()> {
        let path = self.root.join(MANIFEST);
        let input_sha256 = hash_inputs(config)?;
        if path.exists() {
            let before: Manifest = files::read_json(&path)?;
            for (file, hash) in &input_sha256 {
                ensure!(
                    before.input_sha256.get(file) == Some(hash),
                    "{file} has changed since the run began; choose another `--out`"
                );
            }
            return Ok(());
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let manifest = Manifest {
            version: env!("CARGO_PKG_VERSION").into(),
            commit: option_env!("DOCRE_COMMIT").map(Into::into),
            burn: BURN_VERSION.into(),
            backend: backend.to_string(),
            devices: devices.to_vec(),
            device_names: names(backend, devices)?,
            seed: config.seed,
            started_unix_seconds: now.as_secs(),
            input_sha256,
        };
        files::write_json(&path, &manifest)
    }
}

fn names(backend: BackendKind, devices: &[usize]) -> Result<Vec<String>> {
    let found = backend.devices()?;
    Ok(devices.iter().filter_map(|&number| found.get(number)).map(ToString::to_string).collect())
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

/// SHA-256 of every file that the run reads.
fn hash_inputs(config: &RunConfig) -> Result<BTreeMap<String, String>> {
    let data = &config.data;
    let mut paths: Vec<PathBuf> =
        [&data.train, &data.dev, &data.distant, &data.relations, &data.relation_names]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
    if let Some(encoder) = &config.encoder.pretrained {
        let names = ["config.json", "tokenizer.json", "model.safetensors", "pytorch_model.bin"];
        paths.extend(names.map(|name| encoder.join(name)).into_iter().filter(|path| path.exists()));
    }
    paths.iter().map(|path| Ok((path.display().to_string(), files::sha256(path)?))).collect()
}
