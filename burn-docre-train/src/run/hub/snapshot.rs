//! A repository of the hub at one commit: its files in Hugging Face's cache, downloaded on request.

use std::{
    cell::Cell,
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use burn_docre::io::{model_directory, pretrained::PretrainedEncoder};
use hf_hub::{
    Cache, CacheRepo, Repo, RepoType,
    api::{
        Progress, RepoInfo,
        sync::{Api, ApiBuilder, ApiError, ApiRepo},
    },
};

use super::encoder_files::EncoderFiles;
use crate::{
    config::{HubKind, HubRepository},
    run::files,
    ui::{Task, Ui},
    version,
};

/// The branch of a repository without a revision.
const MAIN: &str = "main";
/// The maximum number of times that a download that breaks off is continued.
const RETRIES: usize = 2;
const ENDPOINT: &str = "https://huggingface.co";
/// Seconds to wait for the hub to answer, if the variable HF_HUB_ETAG_TIMEOUT is not set.
const PATIENCE: f64 = 10.0;
/// HTTP status of a request for bytes behind the end of a file.
const RANGE_NOT_SATISFIABLE: u16 = 416;

/// Place of the hub and of the cache, by the environment variables of Hugging Face's programs.
struct Settings {
    endpoint: String,
    cache: PathBuf,
    is_offline: bool,
    /// The longest wait for the hub to answer.
    patience: Duration,
}

impl Settings {
    fn from_environment() -> Result<Self> {
        let path =
            |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = || path("HF_HOME").or_else(|| Some(env::home_dir()?.join(".cache/huggingface")));
        let cache = path("HF_HUB_CACHE").or_else(|| Some(home()?.join("hub")));
        let cache = cache.context("there is no home directory; name a cache by HF_HOME")?;
        let endpoint = env::var("HF_ENDPOINT").ok().filter(|endpoint| !endpoint.is_empty());
        let offline = env::var("HF_HUB_OFFLINE").unwrap_or_default().to_lowercase();
        Ok(Self {
            endpoint: endpoint.as_deref().unwrap_or(ENDPOINT).trim_end_matches('/').into(),
            cache: std::path::absolute(cache).context("the cache of the Hugging Face Hub")?,
            is_offline: ["1", "true", "yes", "on"].contains(&offline.as_str()),
            patience: patience()?,
        })
    }

    fn api(&self) -> Result<Api, ApiError> {
        let builder = ApiBuilder::from_cache(Cache::new(self.cache.clone()))
            .with_endpoint(self.endpoint.clone())
            .with_user_agent("docre", version::PROGRAM)
            .with_retries(RETRIES);
        match env::var("HF_TOKEN") {
            Ok(token) if !token.is_empty() => builder.with_token(Some(token)).build(),
            _ => builder.build(),
        }
    }
}

fn patience() -> Result<Duration> {
    const NAME: &str = "HF_HUB_ETAG_TIMEOUT";
    let Ok(text) = env::var(NAME) else { return Ok(Duration::from_secs_f64(PATIENCE)) };
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds
        .filter(|patience| !patience.is_zero())
        .with_context(|| format!("{NAME} is {text:?}; it must be a number of seconds above 0"))
}

/// A repository at one commit.
pub(super) struct Snapshot<'a> {
    ui: &'a Ui,
    repository: HubRepository,
    commit: String,
    cache: CacheRepo,
    source: Source,
}

/// The origin of the files that the cache lacks.
enum Source {
    /// The hub, with the names of all files of the commit.
    Hub { api: Box<ApiRepo>, names: Vec<String> },
    /// None: the hub is not used. `reason` is a clause for messages.
    CacheOnly { reason: String },
}

impl<'a> Snapshot<'a> {
    /// Finds the commit of the repository: `pinned`, else the newest one of its revision. Where the
    /// hub cannot be reached, it is the commit that the cache names for the revision. A commit in the
    /// cache needs no access to the repository.
    ///
    /// # Errors
    /// If the hub refuses the repository or the revision, or cannot be reached, and the cache cannot
    /// replace it. If the cache cannot be written.
    pub(super) fn open(
        ui: &'a Ui,
        repository: &HubRepository,
        pinned: Option<&str>,
    ) -> Result<Self> {
        let settings = Settings::from_environment()?;
        let revision = pinned.or(repository.revision.as_deref()).unwrap_or(MAIN);
        let at = |revision: &str| {
            let kind = match repository.kind {
                HubKind::Model => RepoType::Model,
                HubKind::Dataset => RepoType::Dataset,
            };
            Repo::with_revision(repository.id.clone(), kind, revision.to_string())
        };
        let cache = Cache::new(settings.cache.clone());
        let asked = match settings.is_offline {
            true => Err(NoAnswer::Unreachable("HF_HUB_OFFLINE is set".into())),
            false => ask(&settings, at(revision)),
        };
        let cached = || cached_commit(&settings.cache, &at(revision));
        let (commit, source) = match asked {
            Ok((api, info)) => {
                ensure!(
                    is_commit(&info.sha),
                    "{repository}: {} names no commit",
                    settings.endpoint
                );
                // A later run without the hub finds the commit of the revision by this reference.
                if !is_commit(revision) {
                    let reference = cache.repo(at(revision)).create_ref(&info.sha);
                    reference.with_context(|| cannot_write(&settings.cache))?;
                }
                let names = info.siblings.into_iter().map(|file| file.rfilename).collect();
                let api = Box::new(api.repo(at(&info.sha)));
                (info.sha, Source::Hub { api, names })
            }
            // A refusal may come from a branch that has been deleted. The content of a commit stays.
            Err(NoAnswer::Refused(reason)) if !is_commit(revision) || cached().is_none() => {
                bail!("{repository}: {reason}; check the address, or give a token by HF_TOKEN")
            }
            Err(NoAnswer::Unreachable(reason) | NoAnswer::Refused(reason)) => {
                let Some(commit) = cached() else {
                    bail!(
                        "{repository}: not in the cache {}, and {reason}; connect this machine, or \
                         download the files elsewhere and give their path",
                        settings.cache.display()
                    );
                };
                ui.note(&format!("{repository}: {reason}; the cached commit {commit} is read"));
                (commit, Source::CacheOnly { reason })
            }
        };
        let cache = cache.repo(at(&commit));
        Ok(Self { ui, repository: repository.clone(), commit, cache, source })
    }

    /// The commit: 40 hexadecimal digits.
    pub(super) fn commit(&self) -> &str {
        &self.commit
    }

    /// The directory with the files of this commit.
    pub(super) fn directory(&self) -> PathBuf {
        self.cache.pointer_path(&self.commit)
    }

    /// Fetches the files of an encoder and returns the directory.
    pub(super) fn encoder(&self, files: EncoderFiles) -> Result<PathBuf> {
        let directory = self.directory();
        let exists = |name: &str| match &self.source {
            Source::Hub { names, .. } => names.iter().any(|other| other == name),
            Source::CacheOnly { .. } => directory.join(name).is_file(),
        };
        for name in PretrainedEncoder::configuration_files(exists) {
            self.file(name)?;
        }
        if files == EncoderFiles::All {
            let Some(name) = PretrainedEncoder::weight_file(exists) else {
                bail!(
                    "{}: {} has neither model.safetensors nor pytorch_model.bin, whole or in shards",
                    self.repository,
                    self.commit
                );
            };
            self.file(name)?;
            // The list of shards is present now.
            for shard in PretrainedEncoder::files_in(&directory)? {
                let name = shard.strip_prefix(&directory).unwrap_or(&shard);
                self.file(&name.to_string_lossy())?;
            }
        }
        Ok(directory)
    }

    /// Fetches the files of a model directory and returns the directory.
    pub(super) fn model(&self) -> Result<PathBuf> {
        for name in model_directory::FILES {
            self.file(name)?;
        }
        Ok(self.directory())
    }

    /// Returns the path of a file in the cache, downloads it if it is missing or damaged, and
    /// compares its checksum.
    pub(super) fn file(&self, name: &str) -> Result<PathBuf> {
        let (path, what) = (self.directory().join(name), format!("{}/{name}", self.repository));
        if path.is_file() {
            match check(&path) {
                Ok(()) => return Ok(path),
                Err(error) => {
                    remove(&path);
                    self.ui.note(&format!("{what}: {error:#}; the copy in the cache is removed"));
                }
            }
        }
        match &self.source {
            Source::Hub { api, names } => {
                ensure!(
                    names.iter().any(|other| other == name),
                    "{what}: the repository has no such file at commit {}",
                    self.commit
                );
                self.download(api, name, &what)?;
            }
            Source::CacheOnly { reason } => bail!(
                "{what}: not in the cache, and {reason}; connect this machine, or download the files \
                 elsewhere and give their path"
            ),
        }
        Ok(path)
    }

    fn download(&self, api: &ApiRepo, name: &str, what: &str) -> Result<()> {
        let size = Cell::new(0);
        let download = || {
            let progress = Download { ui: self.ui, what, size: &size, task: None };
            api.download_with_progress(name, progress)
        };
        let result = match download() {
            // A partial file that is complete or too long cannot be continued. `blob_path("")` is
            // the directory of all partial files.
            Err(error) if is_behind_the_end(&error) => {
                remove_partial(&self.cache.blob_path(""));
                download()
            }
            result => result,
        };
        let path = result.map_err(|error| anyhow::anyhow!("{what}: {}", explain(&error)))?;
        let checked = check(&path).and_then(|()| {
            let length = fs::metadata(&path).map_or(0, |data| data.len());
            ensure!(length == size.get(), "has {length} of its {} bytes", size.get());
            Ok(())
        });
        if let Err(error) = checked {
            remove(&path);
            bail!("{what}: {error:#}; the download is damaged and was removed: try again");
        }
        ensure!(
            path == self.directory().join(name),
            "{what}: the hub sent the file of another commit; try again"
        );
        self.ui.note(&format!("{what}: downloaded"));
        Ok(())
    }
}

/// The reason why the hub does not describe a repository, as a clause.
enum NoAnswer {
    Unreachable(String),
    /// There is no such repository or revision, or no access.
    Refused(String),
}

/// Asks the hub for the commit and the files of a repository.
fn ask(settings: &Settings, at: Repo) -> Result<(Api, RepoInfo), NoAnswer> {
    let endpoint = &settings.endpoint;
    let unreachable = |error: &ApiError| {
        NoAnswer::Unreachable(format!("{endpoint} cannot be reached ({})", explain(error)))
    };
    let api = settings.api().map_err(|error| unreachable(&error))?;
    match info(&api.repo(at), settings.patience) {
        Ok(info) => Ok((api, info)),
        Err(error) if matches!(status(&error), Some(401 | 403 | 404)) => {
            Err(NoAnswer::Refused(format!(
                "{endpoint} has no such repository or revision, or it is not public ({})",
                explain(&error)
            )))
        }
        Err(error) => Err(unreachable(&error)),
    }
}

/// Asks for the description of a repository, for `patience` at most.
fn info(repo: &ApiRepo, patience: Duration) -> Result<RepoInfo, ApiError> {
    let request = repo.info_request().config().timeout_global(Some(patience)).build();
    let mut response = request.call().map_err(Box::new)?;
    Ok(response.body_mut().read_json().map_err(Box::new)?)
}

/// The commit of a revision in the cache.
fn cached_commit(cache: &Path, repo: &Repo) -> Option<String> {
    let revision = repo.revision();
    let root = cache.join(repo.folder_name());
    let commit = match is_commit(revision) {
        true => revision.to_string(),
        false => fs::read_to_string(root.join("refs").join(revision)).ok()?.trim().to_string(),
    };
    (is_commit(&commit) && root.join("snapshots").join(&commit).is_dir()).then_some(commit)
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Compares the SHA-256 of a file in the cache with its name there. Only the names of large files
/// are checksums.
fn check(path: &Path) -> Result<()> {
    let blob = fs::canonicalize(path).with_context(|| format!("{}", path.display()))?;
    let name = blob.file_name().unwrap_or_default().to_string_lossy();
    let is_checksum = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_checksum {
        let found = files::sha256(&blob)?;
        ensure!(found == name.to_lowercase(), "its checksum is {found} in place of {name}");
    }
    Ok(())
}

/// Removes a file of the cache. A failure shows at the next download.
fn remove(path: &Path) {
    if let Ok(blob) = fs::canonicalize(path) {
        let _ = fs::remove_file(blob);
    }
    let _ = fs::remove_file(path);
}

/// Removes the partial downloads in a directory.
fn remove_partial(blobs: &Path) {
    let Ok(entries) = fs::read_dir(blobs) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension().is_some_and(|extension| extension == "part") {
            let _ = fs::remove_file(path);
        }
    }
}

fn cannot_write(cache: &Path) -> String {
    format!("{}: the cache of the Hugging Face Hub cannot be written", cache.display())
}

/// The HTTP status that an error reports.
fn status(error: &ApiError) -> Option<u16> {
    match error {
        ApiError::RequestError(error) => match **error {
            ureq::Error::StatusCode(status) => Some(status),
            _ => None,
        },
        ApiError::TooManyRetries(error) => status(error),
        _ => None,
    }
}

fn is_behind_the_end(error: &ApiError) -> bool {
    matches!(error, ApiError::InvalidResume) || status(error) == Some(RANGE_NOT_SATISFIABLE)
}

/// The message of an error, without the parts that only repeat another.
fn explain(error: &ApiError) -> String {
    match error {
        ApiError::TooManyRetries(error) => {
            format!("the download broke off, also when it was continued: {}", explain(error))
        }
        ApiError::RequestError(error) => match &**error {
            ureq::Error::StatusCode(status) => format!("HTTP status {status}"),
            error => error.to_string(),
        },
        error => error.to_string(),
    }
}

/// The progress of one download.
struct Download<'a> {
    ui: &'a Ui,
    what: &'a str,
    /// Receives the size of the whole file in bytes.
    size: &'a Cell<u64>,
    task: Option<Task>,
}

impl Progress for Download<'_> {
    fn init(&mut self, size: usize, _: &str) {
        self.size.set(size as u64);
        // A download that is continued counts from the beginning again.
        self.task = None;
        self.task = Some(self.ui.download(self.what, size));
    }

    fn update(&mut self, size: usize) {
        if let Some(task) = &mut self.task {
            task.advance(size);
        }
    }

    fn finish(&mut self) {
        self.task = None;
    }
}
