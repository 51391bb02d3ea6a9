//! A document as a file has it: its indices and relations are not checked yet.

use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};

use crate::input::{JsonError, TextPosition};
use crate::{Error, Result};

/// A document in the structure of DocRED. `L` is the type of its labels.
#[derive(Deserialize)]
pub(super) struct RawDocument<L> {
    pub(super) title: String,
    #[serde(rename = "vertexSet")]
    pub(super) entities: Vec<Vec<RawMention>>,
    #[serde(rename = "sents")]
    pub(super) sentences: Vec<Vec<String>>,
    pub(super) labels: Option<L>,
    #[serde(skip)]
    pub(super) omitted: Omitted,
}

/// The numbers of omitted parts of a corpus, for which DocRED's format has no place, by
/// description.
pub type Omitted = BTreeMap<&'static str, usize>;

#[derive(Clone, Deserialize)]
pub(super) struct RawMention {
    pub(super) name: String,
    #[serde(rename = "type", default, deserialize_with = "kind")]
    pub(super) kind: String,
    pub(super) sent_id: i64,
    pub(super) pos: Vec<i64>,
    /// The reason why the mention is invalid, if the reader of its corpus knows one.
    #[serde(skip)]
    pub(super) fault: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct RawLabel {
    pub(super) r: String,
    pub(super) h: i64,
    pub(super) t: i64,
    /// `None` if the key is absent or `null`, as in exports of data frames.
    pub(super) evidence: Option<Vec<i64>>,
    /// The name of the relation, if the label has it.
    #[serde(skip)]
    pub(super) name: Option<String>,
}

/// The labels of a raw document: read, or skipped unchecked.
pub(super) trait RawLabels: DeserializeOwned {
    /// The labels of a corpus whose reader has read them.
    fn from_read(labels: Vec<RawLabel>) -> Self;
}

impl RawLabels for Vec<RawLabel> {
    fn from_read(labels: Vec<RawLabel>) -> Self {
        labels
    }
}

impl RawLabels for IgnoredAny {
    fn from_read(_: Vec<RawLabel>) -> Self {
        Self
    }
}

/// Reads the type of a mention. Corpora give it as a text, a number, a list or `null`. No model
/// here uses it, so anything but a text is read as the empty type.
fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Kind {
        Text(String),
        Other(IgnoredAny),
    }

    Ok(match Kind::deserialize(deserializer)? {
        Kind::Text(text) => text,
        Kind::Other(_) => String::new(),
    })
}

/// The error of a document. The caller adds file, position and title.
pub(super) fn refused(reason: impl ToString) -> Error {
    Error::document(None, reason)
}

/// Parses the JSON of one document of `corpus`, which begins at `start` of its file.
pub(super) fn from_json<T: DeserializeOwned>(
    json: &str,
    start: TextPosition,
    corpus: &str,
) -> Result<T> {
    serde_json::from_str(json).map_err(|error| {
        let cause = JsonError::from(error).within(start);
        refused(format!("not a document in {corpus}'s format")).with_source(cause)
    })
}
