//! Writing documents as a file.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde::Serialize;

use crate::Result;
use crate::data::document::{Document, Entity, Mention, RelationFact};
use crate::data::relation::RelationVocab;
use crate::io::atomic_file::write_atomically;

/// Writes `documents` as a DocRED file, one document a line; it appears whole or not at all.
///
/// # Errors
///
/// [`Error::Document`](crate::Error::Document) when a document is not [valid](Document::validate) or a fact has a class outside `vocab`;
/// [`Error::Io`](crate::Error::Io) when the file cannot be written.
pub fn write_documents(path: &Path, documents: &[Document], vocab: &RelationVocab) -> Result<()> {
    for (index, document) in documents.iter().enumerate() {
        let valid =
            document.validate().and_then(|()| document.validate_relations(vocab.n_classes()));
        valid.map_err(|error| error.at_index(index).in_file(path))?;
    }
    write_atomically(path, |out| write_array(out, documents, vocab))
}

fn write_array(
    out: &mut BufWriter<&File>,
    documents: &[Document],
    vocab: &RelationVocab,
) -> std::io::Result<()> {
    out.write_all(b"[")?;
    for (index, document) in documents.iter().enumerate() {
        out.write_all(if index == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut *out, &OutputDocument::new(document, vocab))?;
    }
    out.write_all(b"\n]\n")
}

#[derive(Serialize)]
struct OutputDocument<'a> {
    title: &'a str,
    sents: &'a [Vec<String>],
    #[serde(rename = "vertexSet")]
    vertex_set: Vec<Vec<OutputMention<'a>>>,
    labels: Vec<OutputLabel<'a>>,
}

#[derive(Serialize)]
struct OutputMention<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    sent_id: usize,
    pos: [usize; 2],
}

#[derive(Serialize)]
struct OutputLabel<'a> {
    r: &'a str,
    h: usize,
    t: usize,
    evidence: &'a [usize],
}

impl<'a> OutputDocument<'a> {
    fn new(document: &'a Document, vocab: &'a RelationVocab) -> Self {
        let mentions = |entity: &'a Entity| {
            let mention = |mention: &'a Mention| OutputMention {
                name: &mention.name,
                kind: &entity.kind,
                sent_id: mention.sentence,
                pos: [mention.start, mention.end],
            };
            entity.mentions.iter().map(mention).collect()
        };
        let label = |fact: &'a RelationFact| OutputLabel {
            r: vocab.id(fact.relation),
            h: fact.pair.head,
            t: fact.pair.tail,
            evidence: &fact.evidence,
        };
        Self {
            title: &document.title,
            sents: &document.sentences,
            vertex_set: document.entities.iter().map(mentions).collect(),
            labels: document.facts.iter().map(label).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::data::docred::sample::{ANNA, vocab};
    use crate::data::docred::{Labels, read_documents};
    use crate::data::relation::THRESHOLD_CLASS;

    /// [`ANNA`] and the same at a place whose name has to be escaped.
    fn documents() -> Vec<Document> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("documents.json");
        std::fs::write(&path, format!("[{ANNA},{}]", ANNA.replace("Oslo", "Ø\\\"slo"))).unwrap();
        read_documents(&path, Labels::Resolve(&vocab())).unwrap()
    }

    #[test]
    fn written_documents_read_back_equal() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("documents.json");
        let documents = documents();
        for n in 0..=documents.len() {
            write_documents(&path, &documents[..n], &vocab()).unwrap();
            assert_eq!(read_documents(&path, Labels::Resolve(&vocab())).unwrap(), documents[..n]);
        }
    }

    #[test]
    fn a_fact_outside_the_vocabulary_is_not_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("documents.json");
        let mut documents = documents();
        for class in [THRESHOLD_CLASS, 3] {
            documents[0].facts[0].relation = class;
            let error = write_documents(&path, &documents, &vocab());
            assert!(matches!(error, Err(Error::Document { index: Some(0), .. })));
            assert!(!path.exists());
        }
    }
}
