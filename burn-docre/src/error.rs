//! The error type of the library.

use std::path::{Path, PathBuf};

/// A result with the library's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The error that caused another one, as [`std::error::Error::source`] returns it.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The errors of the library, one variant for each kind that a caller may handle differently.
///
/// [`Display`](std::fmt::Display) writes one error without its cause. The cause is the
/// [`source`](std::error::Error::source); print the whole chain to see both, as `anyhow` does with
/// `{:#}`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {action} failed", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The attempted action: `"reading"`, `"writing"`, ….
        action: &'static str,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file as a whole is not in the expected format.
    #[error("{}: {reason}", .path.display())]
    #[non_exhaustive]
    Format {
        /// The file, or the name of what was read from memory.
        path: PathBuf,
        /// The fault.
        reason: String,
        /// The parser's error.
        source: Option<Cause>,
    },
    /// A document is inconsistent, or cannot be read or encoded.
    #[error("{}: {reason}", document_place(.path, .index, .title))]
    #[non_exhaustive]
    Document {
        /// The file of the corpus; `None` for a document in memory.
        path: Option<PathBuf>,
        /// Position of the document in its file or list, from 0; `None` for a single document.
        index: Option<usize>,
        /// Title of the document; `None` if it could not be read.
        title: Option<String>,
        /// The fault.
        reason: String,
        /// The error of the parser or tokenizer.
        source: Option<Cause>,
    },
    /// The weights of a file do not match the model: some are missing, misshapen or unused.
    #[error("{}: {}", .path.display(), weight_faults(.faults, .unused))]
    Weights {
        /// The weight file.
        path: PathBuf,
        /// A description of each missing or misshapen weight.
        faults: Vec<String>,
        /// The tensors of the file that the model does not use.
        unused: Vec<String>,
    },
    /// A weight of a file cannot be read.
    #[error("{}: weight `{name}`: {reason}", .path.display())]
    #[non_exhaustive]
    Weight {
        /// The weight file.
        path: PathBuf,
        /// The name of the weight in the file.
        name: String,
        /// The fault.
        reason: String,
        /// The reader's error.
        source: Option<Cause>,
    },
    /// A soft-label store does not fit the documents, the teacher or the class count.
    #[error("{}: soft labels: {reason}", .path.display())]
    #[non_exhaustive]
    SoftLabels {
        /// The store's directory or file.
        path: PathBuf,
        /// The mismatch and the remedy.
        reason: String,
        /// The reader's error.
        source: Option<Cause>,
    },
    /// A model computed a logit that is not a number.
    #[error(
        "document {title:?}: the logit of class {class} for head {} and tail {} is not a number; \
         the model's weights are damaged, or the model needs a higher precision",
        .head,
        .tail
    )]
    NotANumber {
        /// The title of the document.
        title: String,
        /// Index of the head entity.
        head: usize,
        /// Index of the tail entity.
        tail: usize,
        /// The class.
        class: usize,
    },
    /// A configuration value is out of range or contradicts another one.
    #[error("configuration: {reason}")]
    #[non_exhaustive]
    Config {
        /// The offending key, its range, and the remedy.
        reason: String,
        /// The error of the parser or writer.
        source: Option<Cause>,
    },
    /// A backend is not compiled in, cannot start on this machine, or lacks a device or precision.
    #[error("backend {name}: {reason}")]
    #[non_exhaustive]
    Backend {
        /// The backend's [name](crate::backend::BackendKind::name).
        name: String,
        /// The reason and the remedy.
        reason: String,
        /// The error of the backend.
        source: Option<Cause>,
    },
}

impl Error {
    /// An I/O error of `action` (`"reading"`, `"writing"`, …) on `path`.
    pub fn io(path: &Path, action: &'static str, source: std::io::Error) -> Self {
        Self::Io { path: path.to_path_buf(), action, source }
    }

    /// A format error of the file `path`.
    ///
    /// The cause belongs in [`with_source`](Self::with_source), not into `reason`.
    pub fn format(path: &Path, reason: impl ToString) -> Self {
        Self::Format { path: path.to_path_buf(), reason: reason.to_string(), source: None }
    }

    /// An error of the document `title`.
    ///
    /// [`in_file`](Self::in_file) and [`at_index`](Self::at_index) add its file and position.
    pub fn document(title: impl Into<Option<String>>, reason: impl ToString) -> Self {
        let reason = reason.to_string();
        Self::Document { path: None, index: None, title: title.into(), reason, source: None }
    }

    /// An error of the weight `name` in the file `path`.
    pub fn weight(path: &Path, name: impl Into<String>, reason: impl ToString) -> Self {
        let (path, name, reason) = (path.to_path_buf(), name.into(), reason.to_string());
        Self::Weight { path, name, reason, source: None }
    }

    /// An error of the soft labels in `path`.
    pub fn soft_labels(path: &Path, reason: impl ToString) -> Self {
        Self::SoftLabels { path: path.to_path_buf(), reason: reason.to_string(), source: None }
    }

    /// An error of a configuration value.
    pub fn config(reason: impl ToString) -> Self {
        Self::Config { reason: reason.to_string(), source: None }
    }

    /// An error of the backend `name`.
    pub fn backend(name: impl ToString, reason: impl ToString) -> Self {
        Self::Backend { name: name.to_string(), reason: reason.to_string(), source: None }
    }

    /// Sets the cause.
    ///
    /// No effect on [`Error::Io`], whose cause is set at construction, nor on [`Error::NotANumber`]
    /// and [`Error::Weights`], which have none.
    pub fn with_source(mut self, cause: impl Into<Cause>) -> Self {
        match &mut self {
            Self::Format { source, .. }
            | Self::Document { source, .. }
            | Self::Weight { source, .. }
            | Self::SoftLabels { source, .. }
            | Self::Config { source, .. }
            | Self::Backend { source, .. } => *source = Some(cause.into()),
            Self::Io { .. } | Self::NotANumber { .. } | Self::Weights { .. } => {}
        }
        self
    }

    /// Sets the file of an [`Error::Document`]; no effect on other errors.
    pub fn in_file(mut self, file: &Path) -> Self {
        if let Self::Document { path, .. } = &mut self {
            *path = Some(file.to_path_buf());
        }
        self
    }

    /// Sets the position of an [`Error::Document`] in its file or list; no effect on other errors.
    pub fn at_index(mut self, position: usize) -> Self {
        if let Self::Document { index, .. } = &mut self {
            *index = Some(position);
        }
        self
    }
}

/// Lists the weights that do not fit the model and the unused tensors of the file.
fn weight_faults(faults: &[String], unused: &[String]) -> String {
    let names: Vec<String> = unused.iter().map(|name| format!("`{name}`")).collect();
    let names = names.join(", ");
    match (faults.len(), unused.len()) {
        (0, n) => format!("{n} tensors are not used by the model: {names}"),
        (n, 0) => format!("{n} weights do not fit the model: {}", faults.join("; ")),
        (n, _) => {
            let faults = faults.join("; ");
            format!("{n} weights do not fit the model: {faults}; the file also has {names}")
        }
    }
}

/// The maximum length of a title in a message, in characters.
const MAX_TITLE: usize = 80;

/// `FILE: document 3 ("Anna")`, without the unknown parts.
fn document_place(path: &Option<PathBuf>, index: &Option<usize>, title: &Option<String>) -> String {
    let file = path.as_ref().map(|path| format!("{}: ", path.display())).unwrap_or_default();
    let title = title.as_ref().map(|title| shorten(title, MAX_TITLE));
    match (index, title) {
        (Some(index), Some(title)) => format!("{file}document {index} ({title:?})"),
        (Some(index), None) => format!("{file}document {index}"),
        (None, Some(title)) => format!("{file}document {title:?}"),
        (None, None) => format!("{file}document"),
    }
}

/// `text`, cut behind `max` characters. `…` marks the cut.
pub(crate) fn shorten(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// An unknown name of a backend, a precision or a similar choice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown {kind} `{name}`; use one of {known}")]
pub struct UnknownName {
    kind: &'static str,
    name: String,
    known: String,
}

impl UnknownName {
    /// The value among `values` that `name_of` calls `name`. `kind` is `"backend"`, `"precision"`, ….
    pub(crate) fn find<T: Copy, const N: usize>(
        kind: &'static str,
        name: &str,
        values: [T; N],
        name_of: fn(T) -> &'static str,
    ) -> std::result::Result<T, Self> {
        let found = values.into_iter().find(|value| name_of(*value) == name);
        found.ok_or_else(|| {
            let known = values.map(name_of).join(", ");
            Self { kind, name: name.to_owned(), known }
        })
    }
}

/// The messages of an error and its causes, separated by colons.
pub(crate) fn chain_of(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken_json() -> serde_json::Error {
        serde_json::from_str::<bool>("nul").unwrap_err()
    }

    #[test]
    fn a_cause_is_the_source_and_not_part_of_the_message() {
        let path = Path::new("model.json");
        for error in [
            Error::format(path, "not a model"),
            Error::document("Anna".to_owned(), "not a model"),
            Error::weight(path, "classifier.weight", "not a model"),
            Error::soft_labels(path, "not a model"),
            Error::config("not a model"),
            Error::backend("flex", "not a model"),
        ] {
            let message = error.to_string();
            assert!(message.ends_with("not a model"), "{message}");
            assert!(std::error::Error::source(&error).is_none());
            let error = error.with_source(broken_json());
            assert_eq!(error.to_string(), message);
            assert_eq!(chain_of(&error), format!("{message}: {}", broken_json()));
        }
    }

    #[test]
    fn a_document_is_named_by_its_file_its_index_and_its_title() {
        let titled = || Error::document("Anna".to_owned(), "no");
        assert_eq!(titled().to_string(), "document \"Anna\": no");
        assert_eq!(titled().at_index(3).to_string(), "document 3 (\"Anna\"): no");
        let placed = Error::document(None, "no").in_file(Path::new("dev.json")).at_index(3);
        assert_eq!(placed.to_string(), "dev.json: document 3: no");
        let long = Error::document("é".repeat(100_000), "no").to_string();
        assert!(long.ends_with("é…\": no") && long.len() < 200, "{long}");
    }
}
