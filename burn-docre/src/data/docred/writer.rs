//! Writing documents as a file.

use std::io::{self, Write};

use serde::Serialize;

use crate::data::document::{Document, Entity, Mention, RelationFact};
use crate::data::pair::PairSet;
use crate::data::relation::RelationVocab;

/// Writes `documents` as a DocRED file, one document per line. Facts can be about all pairs of
/// entities.
///
/// # Errors
///
/// - [`Error::Document`](crate::Error::Document) as the inner error of [`io::Error`], when a
///   document is not [valid](Document::validate_for) or has a fact whose relation is not in `vocab`.
///   Nothing is written.
/// - The errors of `out`.
pub fn write_documents(
    out: &mut impl Write,
    documents: &[Document],
    vocab: &RelationVocab,
) -> io::Result<()> {
    for (index, document) in documents.iter().enumerate() {
        let valid = document.validate_for(PairSet::All);
        let valid = valid.and_then(|()| document.validate_relations(vocab.n_classes()));
        valid.map_err(|error| io::Error::other(error.at_index(index)))?;
    }
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

    /// [`ANNA`], and a copy in which the name `Oslo` is replaced by one that JSON must escape.
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
            let mut file = std::fs::File::create(&path).unwrap();
            write_documents(&mut file, &documents[..n], &vocab()).unwrap();
            assert_eq!(read_documents(&path, Labels::Resolve(&vocab())).unwrap(), documents[..n]);
        }
    }

    #[test]
    fn a_fact_outside_the_vocabulary_is_not_written() {
        let mut documents = documents();
        for class in [THRESHOLD_CLASS, 3] {
            documents[0].facts[0].relation = class;
            let mut written = Vec::new();
            let error = write_documents(&mut written, &documents, &vocab()).unwrap_err();
            let cause = error.into_inner().and_then(|cause| cause.downcast::<Error>().ok());
            assert!(matches!(cause.as_deref(), Some(Error::Document { index: Some(0), .. })));
            assert!(written.is_empty());
        }
    }
}
