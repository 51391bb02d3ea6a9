//! `OUT/manifest.json`: the inputs of a run, and the program, backend and devices of every start.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use burn_docre::{
    Precision, backend::BackendKind, input::is_standard, io::pretrained::PretrainedEncoder,
};
use serde::{Deserialize, Serialize};

use crate::{
    config::{EncoderSource, RunConfig},
    run::{
        files,
        hub::{Commits, LocalConfig},
    },
    version,
};

/// The backend and devices of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The backend.
    pub backend: BackendKind,
    /// The numbers of the devices that train together, at least one.
    pub devices: Vec<usize>,
    /// The precision of the large matrix products.
    pub precision: Precision,
}

/// SHA-256 of every file that a run reads, by its name in [`LocalConfig::name`].
pub type Inputs = BTreeMap<String, String>;

/// The inputs and the starts of a run.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    seed: u64,
    input_sha256: Inputs,
    /// The commit of each repository of the Hugging Face Hub that the run reads.
    #[serde(default, skip_serializing_if = "Commits::is_empty")]
    hub_commits: Commits,
    /// The first start, then every resume.
    starts: Vec<Start>,
}

/// The first start or a resume of a run.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The time in seconds since 1970.
    pub unix_seconds: u64,
    /// The version of the program.
    pub version: String,
    /// The git commit of the build; `None` if it is unknown.
    pub commit: Option<String>,
    /// The version of Burn.
    pub burn: String,
    /// The name of the backend.
    pub backend: String,
    /// The numbers of the devices.
    pub devices: Vec<usize>,
    /// The precision of the large matrix products; runs of earlier versions did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    /// The names of the devices, with their drivers.
    pub device_names: Vec<String>,
}

impl Manifest {
    /// The manifest of a run without a start.
    pub fn new(config: &RunConfig, inputs: Inputs, hub_commits: Commits) -> Self {
        Self { seed: config.seed, input_sha256: inputs, hub_commits, starts: Vec::new() }
    }

    /// The commit of each repository of the Hugging Face Hub that the run reads.
    pub fn hub_commits(&self) -> &Commits {
        &self.hub_commits
    }

    /// Reads a manifest; `None` if there is no file.
    ///
    /// # Errors
    /// If the file cannot be read, or is no manifest.
    pub fn load(path: &Path) -> Result<Option<Self>> {
        if path.exists() { files::read_json(path).map(Some) } else { Ok(None) }
    }

    /// The first start, then every resume.
    pub fn starts(&self) -> &[Start] {
        &self.starts
    }

    /// Checks that the file at `path` has the content that the run read under the name of the same
    /// path. Files that the run did not read under this name are not checked.
    ///
    /// # Errors
    /// If the file cannot be read, or has changed.
    pub fn check_file(&self, path: &Path) -> Result<()> {
        let name = path.display().to_string();
        let Some(hash) = self.input_sha256.get(&name) else { return Ok(()) };
        ensure!(files::sha256(path)? == *hash, "{name} has changed since the run began");
        Ok(())
    }

    /// The backend and devices of the last start; `None` without a start.
    ///
    /// # Errors
    /// If the manifest names an unknown backend.
    pub fn placement(&self) -> Result<Option<Placement>> {
        let Some(Start { backend, devices, precision, .. }) = self.starts.last() else {
            return Ok(None);
        };
        let backend = backend.parse().context("the run's manifest has no valid backend")?;
        let precision = precision.unwrap_or_default();
        Ok(Some(Placement { backend, devices: devices.clone(), precision }))
    }

    /// Checks that the run can continue with these files, backend and devices.
    ///
    /// # Errors
    /// If an input has changed or is new, or the number of devices differs.
    pub fn check(&self, inputs: &Inputs, placement: &Placement) -> Result<()> {
        for (file, hash) in inputs {
            ensure!(
                self.input_sha256.get(file) == Some(hash),
                "{file} has changed since the run began; choose another `--out`"
            );
        }
        if let Some(before) = self.placement()? {
            let (before, now) = (before.devices.len(), placement.devices.len());
            ensure!(
                before == now,
                "the run began on {before} devices, and its schedule depends on their number; use as many \
                 instead of {now}, or choose another `--out`"
            );
        }
        Ok(())
    }

    /// Adds a start at the current time on the backend and devices of `placement`.
    ///
    /// # Errors
    /// If a device does not exist.
    pub fn start(&mut self, placement: &Placement) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = |&number: &usize| Ok(placement.backend.device(number)?.to_string());
        self.starts.push(Start {
            unix_seconds: now.as_secs(),
            version: version::PROGRAM.into(),
            commit: version::COMMIT.map(Into::into),
            burn: version::BURN.into(),
            backend: placement.backend.to_string(),
            devices: placement.devices.clone(),
            precision: Some(placement.precision),
            device_names: placement.devices.iter().map(name).collect::<Result<_>>()?,
        });
        Ok(())
    }
}

/// Hashes every file that a run with this configuration reads.
///
/// # Errors
/// If a file cannot be read, or is a pipe, which cannot be read again when the run is resumed.
pub fn hash_inputs(local: &LocalConfig) -> Result<Inputs> {
    let (config, data) = (&local.config, &local.config.data);
    let mut paths: Vec<PathBuf> =
        [&data.train, &data.dev, &data.distant, &data.relations, &data.relation_names]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
    if let EncoderSource::Pretrained(encoder) = &config.encoder {
        paths.extend(PretrainedEncoder::files_in(encoder)?);
    }
    for teacher in config.stages.teachers() {
        paths.extend(["config.json", "model.safetensors"].map(|name| teacher.join(name)));
    }
    let hash = |path: &PathBuf| {
        let name = local.name(path);
        let is_pipe = path.metadata().is_ok_and(|data| !data.is_file() && !data.is_dir());
        ensure!(
            !is_pipe && !is_standard(path),
            "{name} is a pipe; a run reads its inputs again when it is resumed, so give a file"
        );
        Ok((name, files::sha256(path)?))
    };
    paths.iter().map(hash).collect::<Result<_>>().context("an input of the run")
}
