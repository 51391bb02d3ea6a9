//! The documents that `docre predict` reads.

use std::path::Path;

use anyhow::{Context, Result};
use burn_docre::{
    data::{
        docred::{DocRedReader, Labels, Skipped},
        document::Document,
        marked_text::{parse_marked_text, read_marked_text},
    },
    input::STANDARD,
};

use crate::cli::{PredictInput, ReadingArgs};

/// The place that messages name for the text of the command line.
const TEXT: &str = "--text";

/// The documents of a file in DocRED's format, or the document of marked-up text.
pub(super) enum Source {
    File(Box<DocRedReader<'static>>),
    /// `None` after the document has been read.
    Text(Option<Document>),
}

impl Source {
    pub(super) fn open(input: &PredictInput, reading: &ReadingArgs) -> Result<Self> {
        if let Some(text) = &input.text {
            let document = parse_marked_text("text", text).context(TEXT)?;
            return Ok(Self::Text(Some(document)));
        }
        if let Some(path) = &input.text_file {
            return Ok(Self::Text(Some(read_marked_text(path)?)));
        }
        let reader = DocRedReader::open(path_of(input), Labels::Ignore)?;
        let ReadingArgs { on_invalid, hacred_view } = *reading;
        Ok(Self::File(Box::new(reader.on_invalid(on_invalid).with_hacred_view(hacred_view))))
    }

    /// The documents and mentions that the reader of a file has skipped.
    pub(super) fn skipped(&self) -> Option<&Skipped> {
        match self {
            Self::File(reader) => Some(reader.skipped()),
            Self::Text(_) => None,
        }
    }

    /// A message if a text has fewer than two marked entities, which cannot be related.
    pub(super) fn note(&self) -> Option<String> {
        let Self::Text(Some(document)) = self else { return None };
        let n_entities = document.entities.len();
        let marks = "mark the entities that may be related, as in [Warsaw|LOC|2]";
        (n_entities < 2).then(|| format!("the number of marked entities is {n_entities}; {marks}"))
    }
}

impl Iterator for Source {
    type Item = burn_docre::Result<Document>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::File(reader) => reader.next(),
            Self::Text(document) => document.take().map(Ok),
        }
    }
}

/// The path that messages name for the input.
pub(super) fn path_of(input: &PredictInput) -> &Path {
    let path = input.input.as_deref().or(input.text_file.as_deref());
    path.unwrap_or(Path::new(if input.text.is_some() { TEXT } else { STANDARD }))
}
