//! The directory of one run.
//!
//! ```text
//! OUT/config.toml       the resolved configuration
//! OUT/manifest.json     seed, hashes of the input files, commits of the hub; commit, versions, backend and devices of each start
//! OUT/results.json      dev metrics by stage
//! OUT/labels/           the teacher's logits
//! OUT/STAGE/model/      the stage's best model, a complete model directory
//! OUT/STAGE/dev_report.json   all metrics of that model on the dev documents, in an ablation
//! OUT/STAGE/training_state.json, metrics.jsonl, checkpoint/
//! ```
//!
//! Files are written atomically, so that a run can be killed at any moment and resumed.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail, ensure};
use burn_docre::io::atomic_file::write_atomically;

use crate::{
    config::RunConfig,
    run::{
        files,
        hub::{Commits, LocalConfig},
        manifest::{Inputs, Manifest, Placement, hash_inputs},
    },
};

const CONFIG: &str = "config.toml";
const MANIFEST: &str = "manifest.json";
const RESULTS: &str = "results.json";

/// The start of a new run, or the continuation of an existing one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Starts a run; the directory must be new or empty.
    New,
    /// Continues the run in the directory, or starts a run if the directory is empty.
    Resume,
}

/// The directory of one run, locked while this value lives.
///
/// If the run has not started when the value is dropped, the lock file and the directories that
/// were created for it are removed again.
pub struct RunDir {
    files: RunFiles,
    _lock: File,
    /// The directory of the run with the teacher, if it is not this one.
    teacher_run: Option<PathBuf>,
    /// The created files and directories, the innermost first.
    created: Vec<PathBuf>,
}

/// The files of a run, which may be in progress: they are read without the lock.
pub struct RunFiles {
    root: PathBuf,
}

/// Dev metrics by key, such as `ign_f1`; scores are fractions in `0..=1`.
pub type DevMetrics = BTreeMap<String, f64>;

/// Dev metrics by stage.
pub type Results = BTreeMap<String, DevMetrics>;

impl RunFiles {
    /// Reports whether the directory `root` has the configuration of a run.
    pub fn is_run(root: &Path) -> bool {
        root.join(CONFIG).is_file()
    }

    /// The files of the run in the directory `root`. Nothing is read.
    pub fn new(root: &Path) -> Self {
        Self { root: root.into() }
    }

    /// The path of the directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of the stage of this name.
    pub fn stage(&self, stage: &str) -> PathBuf {
        self.root.join(stage)
    }

    /// The model directory of the stage of this name.
    pub fn model(&self, stage: &str) -> PathBuf {
        self.stage(stage).join("model")
    }

    /// The file with all metrics of the model of the stage of this name on the dev documents: the
    /// JSON of a [`Report`](burn_docre::eval::Report).
    pub fn dev_report(&self, stage: &str) -> PathBuf {
        self.stage(stage).join("dev_report.json")
    }

    /// The configuration.
    ///
    /// # Errors
    /// If the file cannot be read, or is no valid configuration.
    pub fn config(&self) -> Result<RunConfig> {
        RunConfig::load(&self.root.join(CONFIG), &[])
    }

    /// The manifest; `None` if there is no file.
    ///
    /// # Errors
    /// If the file cannot be read, or is no manifest.
    pub fn manifest(&self) -> Result<Option<Manifest>> {
        Manifest::load(&self.root.join(MANIFEST))
    }

    /// The dev metrics of the stages that are finished; empty for a new run.
    ///
    /// # Errors
    /// If `results.json` cannot be read.
    fn results(&self) -> Result<Results> {
        let path = self.root.join(RESULTS);
        if path.exists() { files::read_json(&path) } else { Ok(Results::new()) }
    }
}

impl RunDir {
    /// Creates and locks the directory `root`. No file of the run is written before
    /// [`start`](Self::start), so that a run with invalid inputs leaves the directory as it was.
    ///
    /// # Errors
    /// If another process holds the lock, the directory of a [new](Mode::New) run is not empty, or
    /// the files in it do not belong to a run.
    pub fn open(root: &Path, mode: Mode) -> Result<Self> {
        let mut created = vec![root.join(files::LOCK)];
        created.extend(root.ancestors().map(PathBuf::from));
        created.retain(|path| path.as_os_str() != "" && !path.exists());
        files::create_directory(root)?;
        let run = Self {
            files: RunFiles::new(root),
            _lock: files::lock_directory(root)?,
            teacher_run: None,
            created,
        };
        let is_started = files::has_files(root)?;
        ensure!(
            !is_started || mode == Mode::Resume,
            "{} is not empty; resume its run with `--resume`, or choose another `--out`",
            root.display()
        );
        ensure!(
            !is_started || RunFiles::is_run(root),
            "{} is not the directory of a run: it has no {CONFIG}; choose another `--out`",
            root.display()
        );
        Ok(run)
    }

    /// The backend and devices of the last start of the run to resume; `None` for a new run.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn placement(root: &Path, mode: Mode) -> Result<Option<Placement>> {
        let manifest = match mode {
            Mode::Resume => RunFiles::new(root).manifest()?,
            Mode::New => None,
        };
        manifest.map_or(Ok(None), |manifest| manifest.placement())
    }

    /// The commits of the Hugging Face Hub that the run reads; none for a new run.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn hub_commits(&self) -> Result<Commits> {
        let manifest = self.files.manifest()?;
        Ok(manifest.map(|manifest| manifest.hub_commits().clone()).unwrap_or_default())
    }

    /// Hashes the input files, and checks that a run which has been started can continue with them.
    ///
    /// # Errors
    /// If an input cannot be read. For a run which has been started, also if an input file or the
    /// number of devices has changed.
    pub fn check_inputs(&self, local: &LocalConfig, placement: &Placement) -> Result<Inputs> {
        let inputs = hash_inputs(local)?;
        if let Some(manifest) = self.files.manifest()? {
            manifest.check(&inputs, placement)?;
        }
        Ok(inputs)
    }

    /// Records a start: adds it to the manifest, and writes the configuration at the first one.
    ///
    /// # Errors
    /// If a file cannot be written, or a device does not exist.
    pub fn start(
        &mut self,
        config: &RunConfig,
        inputs: Inputs,
        hub_commits: Commits,
        placement: &Placement,
    ) -> Result<()> {
        self.created.clear();
        files::remove_partial(self.root());
        let path = self.root().join(CONFIG);
        if !path.exists() {
            let text = config.to_toml()?;
            write_atomically(&path, |out| out.write_all(text.as_bytes()))?;
        }
        let mut manifest =
            self.files.manifest()?.unwrap_or_else(|| Manifest::new(config, inputs, hub_commits));
        manifest.start(placement)?;
        files::write_json(&self.root().join(MANIFEST), &manifest)
    }

    /// The path of the directory.
    pub fn root(&self) -> &Path {
        self.files.root()
    }

    /// The directory of the stage of this name.
    pub fn stage(&self, stage: &str) -> PathBuf {
        self.files.stage(stage)
    }

    /// The model directory of the stage of this name.
    pub fn model(&self, stage: &str) -> PathBuf {
        self.files.model(stage)
    }

    /// Takes teacher and soft labels from the run in the directory `other`, unless it is `None`.
    pub fn with_teacher_of(mut self, other: Option<PathBuf>) -> Self {
        self.teacher_run = other;
        self
    }

    /// The directory of the run with the teacher and its logits.
    pub fn teacher_root(&self) -> &Path {
        self.teacher_run.as_deref().unwrap_or(self.root())
    }

    /// The directory of the teacher's logits.
    pub fn labels(&self) -> PathBuf {
        self.teacher_root().join("labels")
    }

    /// The file with all dev metrics of a stage, as [`RunFiles::dev_report`].
    pub fn dev_report(&self, stage: &str) -> PathBuf {
        self.files.dev_report(stage)
    }

    /// The dev metrics of the stages that are finished; empty for a new run.
    ///
    /// # Errors
    /// If `results.json` cannot be read.
    pub fn results(&self) -> Result<Results> {
        self.files.results()
    }

    /// Adds the dev metrics of a finished stage to the results.
    ///
    /// # Errors
    /// If `results.json` cannot be read or written.
    pub fn record(&self, stage: &str, metrics: DevMetrics) -> Result<()> {
        let mut results = self.results()?;
        results.insert(stage.to_string(), metrics);
        files::write_json(&self.root().join(RESULTS), &results)
    }

    /// Removes the dev metrics of a stage that is trained again from the results.
    ///
    /// # Errors
    /// If `results.json` cannot be read or written.
    pub fn forget(&self, stage: &str) -> Result<()> {
        let mut results = self.results()?;
        if results.remove(stage).is_none() {
            return Ok(());
        }
        files::write_json(&self.root().join(RESULTS), &results)
    }

    /// Checks that a run which has been started has this configuration.
    ///
    /// # Errors
    /// If the configuration has changed, or cannot be read.
    pub fn check_config(&self, config: &RunConfig) -> Result<()> {
        if !RunFiles::is_run(self.root()) {
            return Ok(());
        }
        let before = self.files.config()?;
        if let Some(difference) = config.difference(&before)? {
            bail!(
                "{}: the configuration has changed since the run began: {difference}; choose another `--out`",
                self.root().display()
            );
        }
        Ok(())
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        // A directory that is not empty stays, as does anything that cannot be removed.
        for path in &self.created {
            let _ = if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
        }
    }
}
