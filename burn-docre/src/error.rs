//! The one error type of the library.

use std::path::{Path, PathBuf};

use crate::data::document::EntityPair;

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong in the library, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {action} failed", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was attempted: `"reading"`, `"writing"`, ….
        action: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file as a whole is not in the expected format.
    #[error("{}: {reason}", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// One document of a corpus is unusable.
    #[error("{}: document {index}{}: {reason}", .path.display(), title_suffix(.title))]
    Document {
        /// The corpus.
        path: PathBuf,
        /// Position of the document in the corpus, from 0.
        index: usize,
        /// Its title, where that much could be read.
        title: Option<String>,
        /// What is wrong with it.
        reason: String,
    },
    /// A weight file does not fit the model.
    #[error("{}: weight `{name}`: {reason}", .path.display())]
    Weight {
        /// The weight file.
        path: PathBuf,
        /// The name of the weight in the file.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A soft-label store does not fit the documents, the teacher or the class count.
    #[error("{}: soft labels: {reason}", .path.display())]
    SoftLabels {
        /// The store's directory or file.
        path: PathBuf,
        /// What does not fit, and what to do.
        reason: String,
    },
    /// A model computed a logit that is not a number.
    #[error(
        "document {title:?}: the logit of class {class} for head {} and tail {} is not a number; the model's weights \
         are damaged, or need a finer precision",
        .pair.head,
        .pair.tail
    )]
    NotANumber {
        /// The title of the document.
        title: String,
        /// The pair of entities.
        pair: EntityPair,
        /// The class.
        class: usize,
    },
    /// A configuration value is out of its range or contradicts another.
    #[error("configuration: {0}")]
    Config(String),
    /// A backend is not compiled in or cannot start here.
    #[error("backend {name}: {reason}")]
    Backend {
        /// The backend's name on the command line.
        name: String,
        /// Why, and what to do.
        reason: String,
    },
}

fn title_suffix(title: &Option<String>) -> String {
    title.as_ref().map(|title| format!(" ({title:?})")).unwrap_or_default()
}

impl Error {
    /// An I/O error of `action` on `path`.
    pub fn io(path: &Path, action: &'static str, source: std::io::Error) -> Self {
        Self::Io { path: path.to_path_buf(), action, source }
    }

    /// A format error of the file `path`.
    pub fn format(path: &Path, reason: impl ToString) -> Self {
        Self::Format { path: path.to_path_buf(), reason: reason.to_string() }
    }

    /// An error of a configuration value.
    pub fn config(reason: impl ToString) -> Self {
        Self::Config(reason.to_string())
    }
}
