//! HacRED: one JSON object a line, with two views of each document.
//!
//! Source: the README of <https://github.com/qiaojiim/HacRED>, section "Data Format". A document
//! has `id`, `text`, and the fields of DocRED twice: `sents_char`, `vertex_char` and `labels_char`
//! with characters as words, and the same with `_word`. A label has the relation's name as `r` and
//! no evidence. The paper's document-level models read characters
//! (<https://github.com/qiaojiim/HacRED/issues/2>).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::fields::Id;
use crate::Result;
use crate::data::raw::{Omitted, RawDocument, RawLabels, RawMention, from_json, refused};
use crate::error::UnknownName;
use crate::input::TextPosition;

/// The words of a HacRED document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HacRedView {
    /// Each character is a word.
    Char,
    /// The words of a Chinese word segmenter.
    Word,
}

impl HacRedView {
    const ALL: [Self; 2] = [Self::Char, Self::Word];

    fn name(self) -> &'static str {
        match self {
            Self::Char => "char",
            Self::Word => "word",
        }
    }
}

impl FromStr for HacRedView {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        UnknownName::find("view", name, Self::ALL, Self::name)
    }
}

impl fmt::Display for HacRedView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Deserialize)]
struct Record<L> {
    id: Id,
    sents_char: Option<Vec<Vec<String>>>,
    vertex_char: Option<Vec<Vec<RawMention>>>,
    labels_char: Option<L>,
    sents_word: Option<Vec<Vec<String>>>,
    vertex_word: Option<Vec<Vec<RawMention>>>,
    labels_word: Option<L>,
}

/// Parses one record. Without a `view`, the view is that of the characters, or that of the words if
/// the record has only words.
pub(super) fn parse<L: RawLabels>(
    json: &str,
    start: TextPosition,
    view: Option<HacRedView>,
) -> Result<RawDocument<L>> {
    let record: Record<L> = from_json(json, start, "HacRED")?;
    let view = match view {
        Some(view) => view,
        None if record.sents_char.is_none() && record.sents_word.is_some() => HacRedView::Word,
        None => HacRedView::Char,
    };
    let (sentences, entities, labels) = match view {
        HacRedView::Char => (record.sents_char, record.vertex_char, record.labels_char),
        HacRedView::Word => (record.sents_word, record.vertex_word, record.labels_word),
    };
    let missing =
        |field: &str| refused(format!("missing field `{field}_{view}`, for the view `{view}`"));
    Ok(RawDocument {
        title: record.id.into_text(),
        sentences: sentences.ok_or_else(|| missing("sents"))?,
        entities: entities.ok_or_else(|| missing("vertex"))?,
        labels,
        omitted: Omitted::new(),
    })
}
