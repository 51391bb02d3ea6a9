//! Inputs from the Hugging Face Hub: local copies of files at `hf:` addresses.
//!
//! The files lie in Hugging Face's own cache, which other programs share. A repository is read at
//! one commit, which the manifest of a run records.

mod encoder_files;
#[cfg(feature = "hub")]
mod snapshot;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

pub use self::encoder_files::EncoderFiles;
#[cfg(feature = "hub")]
use self::snapshot::Snapshot;
use crate::{
    config::{DataConfig, EncoderSource, HubAddress, HubRepository, RunConfig},
    ui::Ui,
};

/// The commits of repositories, by address without a file.
pub type Commits = BTreeMap<String, String>;

/// Local copies of files of the hub.
pub struct Hub<'a> {
    ui: &'a Ui,
    /// The commits to read, by repository. For others, the hub is asked for the newest commit.
    pinned: Commits,
    snapshots: BTreeMap<String, Snapshot<'a>>,
}

impl<'a> Hub<'a> {
    /// A hub whose repositories are read at the commits in `pinned`, and others at the newest
    /// commit of their revision. Nothing is read before the first address is given.
    pub fn new(ui: &'a Ui, pinned: Commits) -> Self {
        Self { ui, pinned, snapshots: BTreeMap::new() }
    }

    /// The local path of a file: `path` itself, or the copy of the file at an address.
    ///
    /// # Errors
    /// If `path` is an invalid address, or the file is neither on the hub nor in the cache.
    pub fn file(&mut self, path: &Path) -> Result<PathBuf> {
        HubAddress::check_file(path)?;
        match HubAddress::of(path)? {
            Some(HubAddress { repository, file: Some(file) }) => {
                self.snapshot(&repository)?.file(&file)
            }
            _ => Ok(path.into()),
        }
    }

    /// The local directory of an encoder: `path` itself, or the copy of the model at an address.
    ///
    /// # Errors
    /// If `path` is an invalid address, or a file of the encoder is neither on the hub nor in the
    /// cache.
    pub fn encoder(&mut self, path: &Path, files: EncoderFiles) -> Result<PathBuf> {
        HubAddress::check_model(path)?;
        match HubAddress::of(path)? {
            Some(address) => self.snapshot(&address.repository)?.encoder(files),
            None => Ok(path.into()),
        }
    }

    /// `data` with the local paths of all files.
    ///
    /// # Errors
    /// If a file is neither on the hub nor in the cache.
    pub fn data(&mut self, data: &DataConfig) -> Result<DataConfig> {
        let mut data = data.clone();
        for path in data.files_mut() {
            *path = self.file(path)?;
        }
        Ok(data)
    }

    /// The local path of a model directory: `path` itself, or the copy of the model at an address.
    ///
    /// # Errors
    /// If `path` is an invalid address, or a file of the model is neither on the hub nor in the
    /// cache.
    pub fn model(&mut self, path: &Path) -> Result<PathBuf> {
        HubAddress::check_model(path)?;
        match HubAddress::of(path)? {
            Some(address) => self.snapshot(&address.repository)?.model(),
            None => Ok(path.into()),
        }
    }

    /// The commits that were read.
    pub fn commits(&self) -> Commits {
        let commit =
            |(name, snapshot): (&String, &Snapshot)| (name.clone(), snapshot.commit().into());
        self.snapshots.iter().map(commit).collect()
    }

    fn snapshot(&mut self, repository: &HubRepository) -> Result<&Snapshot<'a>> {
        let name = repository.to_string();
        if !self.snapshots.contains_key(&name) {
            let pinned = self.pinned.get(&name).map(String::as_str);
            let snapshot = Snapshot::open(self.ui, repository, pinned)?;
            self.snapshots.insert(name.clone(), snapshot);
        }
        self.snapshots.get(&name).context("the snapshot was inserted")
    }
}

/// The configuration of a run with the local paths of all inputs.
pub struct LocalConfig {
    /// The configuration. It equals the given one if that has no addresses.
    pub config: RunConfig,
    /// The commits that were read.
    pub commits: Commits,
    /// The directories of the snapshots, with the names that stand for them in a manifest.
    directories: Vec<(PathBuf, String)>,
}

impl LocalConfig {
    /// Fetches the inputs of `config` that are addresses.
    ///
    /// # Errors
    /// If an address is invalid, or its file is neither on the hub nor in the cache.
    pub fn fetch(config: &RunConfig, pinned: Commits, ui: &Ui) -> Result<Self> {
        let (mut config, mut hub) = (config.clone(), Hub::new(ui, pinned));
        config.data = hub.data(&config.data)?;
        if let EncoderSource::Pretrained(directory) = &mut config.encoder {
            *directory = hub.encoder(directory, EncoderFiles::All)?;
        }
        let directory = |(name, snapshot): (&String, &Snapshot)| {
            (snapshot.directory(), format!("{name} at {}", snapshot.commit()))
        };
        let directories = hub.snapshots.iter().map(directory).collect();
        Ok(Self { config, commits: hub.commits(), directories })
    }

    /// The name of an input in a manifest: its path, or for a file of the hub its repository,
    /// commit and name. The place of the cache, which differs among machines, is no part of it.
    pub fn name(&self, path: &Path) -> String {
        let mut names = self.directories.iter().filter_map(|(directory, name)| {
            Some(format!("{name}: {}", path.strip_prefix(directory).ok()?.display()))
        });
        names.next_back().unwrap_or_else(|| path.display().to_string())
    }
}

/// A repository at one commit, in a build without the hub: opening it is an error.
#[cfg(not(feature = "hub"))]
enum Snapshot<'a> {
    #[expect(dead_code, reason = "there is no snapshot in such a build")]
    None(std::convert::Infallible, &'a Ui),
}

#[cfg(not(feature = "hub"))]
impl<'a> Snapshot<'a> {
    fn open(_: &'a Ui, repository: &HubRepository, _: Option<&str>) -> Result<Self> {
        anyhow::bail!(
            "{repository}: this build cannot read the Hugging Face Hub; build it with the feature \
             `hub`, or download the files and give their path"
        )
    }

    fn impossible<T>(&self) -> T {
        match self {
            Self::None(never, _) => match *never {},
        }
    }

    fn commit(&self) -> &str {
        self.impossible()
    }

    fn directory(&self) -> PathBuf {
        self.impossible()
    }

    fn file(&self, _: &str) -> Result<PathBuf> {
        self.impossible()
    }

    fn encoder(&self, _: EncoderFiles) -> Result<PathBuf> {
        self.impossible()
    }

    fn model(&self) -> Result<PathBuf> {
        self.impossible()
    }
}
