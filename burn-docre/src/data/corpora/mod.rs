//! The formats of other corpora, read as documents in the structure of DocRED.
//!
//! Each submodule documents one format with its source, and converts one record. The
//! [`DocRedReader`](crate::data::docred::DocRedReader) reads files of all formats, so that the
//! checks and messages are the same.

mod dwie;
mod fields;
mod hacred;
mod hf_datasets;
mod linked_docred;
mod pair_rows;
mod segmentation;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use self::fields::{Keys, text_of};
pub use self::hacred::HacRedView;
pub use super::raw::Omitted;
use super::raw::{self, RawDocument};
use super::relation::{Relation, RelationVocab};
use crate::Result;
use crate::error::UnknownName;
use crate::input::TextPosition;

/// The format of a corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CorpusFormat {
    /// DocRED and Re-DocRED.
    DocRed,
    /// HacRED, in one of its views.
    HacRed,
    /// DWIE, with the articles' content.
    Dwie,
    /// CDR, in the rows of pairs that ATLOP reads.
    Cdr,
    /// GDA, in the rows of pairs that ATLOP reads.
    Gda,
    /// DocRED as the library `datasets` of Hugging Face exports it, with labels as columns.
    HfDatasets,
    /// Linked-DocRED and Linked-Re-DocRED.
    LinkedDocRed,
}

impl CorpusFormat {
    /// All formats.
    const ALL: [Self; 7] = [
        Self::HacRed,
        Self::Dwie,
        Self::Cdr,
        Self::Gda,
        Self::HfDatasets,
        Self::LinkedDocRed,
        Self::DocRed,
    ];

    /// The name on the command line. DocRED's own files need no conversion, so [`Self::DocRed`] is
    /// named after its second layout, one document a line.
    fn name(self) -> &'static str {
        match self {
            Self::HacRed => "hacred",
            Self::Dwie => "dwie",
            Self::Cdr => "cdr",
            Self::Gda => "gda",
            Self::HfDatasets => "hf-datasets",
            Self::LinkedDocRed => "linked-docred",
            Self::DocRed => "docred-jsonl",
        }
    }

    /// The relations of the corpus, if they are the same in all of its files and known.
    pub fn relations(self) -> Option<RelationVocab> {
        let relation = match self {
            Self::Cdr => "1:CID:2",
            Self::Gda => "1:GDA:2",
            _ => return None,
        };
        let classes = [pair_rows::THRESHOLD, relation];
        let relations = classes.map(|id| Relation { id: id.to_owned(), name: id.to_owned() });
        Some(RelationVocab::new(relations.to_vec()).expect("the table is valid"))
    }

    /// Returns true if the records of the corpus name the split to which they belong.
    pub fn has_splits(self) -> bool {
        self == Self::Dwie
    }

    /// Returns true if a file has one record a line that is not JSON.
    pub(super) fn is_text(self) -> bool {
        matches!(self, Self::Cdr | Self::Gda)
    }

    /// The format of a file with the JSON record `json`, by its keys. `None` if the record is
    /// malformed or has the keys of no known corpus. [`HfDatasets`](Self::HfDatasets) and the formats
    /// without JSON are never detected.
    pub(super) fn detect(json: &[u8]) -> Option<Self> {
        let Keys(keys) = serde_json::from_slice(json).ok()?;
        let has = |key: &str| keys.iter().any(|known| known == key);
        if has("vertexSet") {
            Some(Self::DocRed)
        } else if has("sents_char") || has("sents_word") {
            Some(Self::HacRed)
        } else if has("concepts") && has("mentions") {
            Some(Self::Dwie)
        } else if has("sents") && has("entities") {
            Some(Self::LinkedDocRed)
        } else {
            None
        }
    }

    /// The parts of the corpus to which a record belongs, such as `train`. `None` if the corpus
    /// [has none](Self::has_splits), or the record is malformed.
    pub(super) fn splits_of(self, record: &[u8]) -> Option<Vec<String>> {
        match self {
            Self::Dwie => dwie::tags_of(record),
            _ => None,
        }
    }

    /// Parses one record, which begins at `start` of its file. Only HacRED has a `view`.
    pub(super) fn parse<L: raw::RawLabels>(
        self,
        text: &str,
        start: TextPosition,
        view: Option<HacRedView>,
    ) -> Result<RawDocument<L>> {
        let document = match self {
            Self::DocRed => return raw::from_json(text, start, "DocRED"),
            Self::HacRed => return hacred::parse(text, start, view),
            Self::Dwie => dwie::parse(text, start)?,
            Self::Cdr | Self::Gda => pair_rows::parse(text)?,
            Self::HfDatasets => hf_datasets::parse(text, start)?,
            Self::LinkedDocRed => linked_docred::parse(text, start)?,
        };
        let RawDocument { title, entities, sentences, labels, omitted } = document;
        let labels = labels.map(L::from_read);
        Ok(RawDocument { title, entities, sentences, labels, omitted })
    }

    /// The title of the record, which may be malformed or truncated after the title.
    pub(super) fn title_of(self, record: &[u8]) -> Option<String> {
        match self {
            Self::Cdr | Self::Gda => pair_rows::title_of(record),
            Self::HacRed | Self::Dwie => text_of(record, "id"),
            Self::DocRed | Self::HfDatasets | Self::LinkedDocRed => text_of(record, "title"),
        }
    }
}

impl FromStr for CorpusFormat {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        UnknownName::find("corpus", name, Self::ALL, Self::name)
    }
}

impl fmt::Display for CorpusFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
