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
        check(document, vocab, index)?;
    }
    let mut writer = DocumentWriter::new(out, Layout::Array);
    documents.iter().try_for_each(|document| writer.write_valid(document, vocab))?;
    writer.finish()
}

/// The arrangement of documents in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One JSON array.
    Array,
    /// JSON lines.
    Lines,
}

/// Writes documents one by one. Facts can be about all pairs of entities.
#[derive(Debug)]
pub struct DocumentWriter<W> {
    out: W,
    layout: Layout,
    n_written: usize,
}

impl<W: Write> DocumentWriter<W> {
    /// A writer of a file without documents.
    pub fn new(out: W, layout: Layout) -> Self {
        Self { out, layout, n_written: 0 }
    }

    /// Writes a document. The relations of its facts are classes of `vocab`.
    ///
    /// # Errors
    ///
    /// As [`write_documents`], with the number of documents before this one as the index.
    pub fn write(&mut self, document: &Document, vocab: &RelationVocab) -> io::Result<()> {
        check(document, vocab, self.n_written)?;
        self.write_valid(document, vocab)
    }

    fn write_valid(&mut self, document: &Document, vocab: &RelationVocab) -> io::Result<()> {
        self.out.write_all(match (self.layout, self.n_written) {
            (Layout::Array, 0) => b"[\n",
            (Layout::Array, _) => b",\n",
            (Layout::Lines, _) => b"",
        })?;
        serde_json::to_writer(&mut self.out, &OutputDocument::new(document, vocab))?;
        self.n_written += 1;
        match self.layout {
            Layout::Array => Ok(()),
            Layout::Lines => self.out.write_all(b"\n"),
        }
    }

    /// Writes the end of the file.
    ///
    /// # Errors
    ///
    /// The errors of the output.
    pub fn finish(mut self) -> io::Result<()> {
        match (self.layout, self.n_written) {
            (Layout::Array, 0) => self.out.write_all(b"[\n]\n"),
            (Layout::Array, _) => self.out.write_all(b"\n]\n"),
            (Layout::Lines, _) => Ok(()),
        }
    }
}

/// Checks a document before it is written at position `index`.
fn check(document: &Document, vocab: &RelationVocab, index: usize) -> io::Result<()> {
    let valid = document.validate_for(PairSet::All);
    let valid = valid.and_then(|()| document.validate_relations(vocab.n_classes()));
    valid.map_err(|error| io::Error::other(error.at_index(index)))
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
    fn documents_written_one_by_one_as_lines_read_back_equal() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("documents.jsonl");
        let (documents, vocab) = (documents(), vocab());
        let mut file = std::fs::File::create(&path).unwrap();
        let mut writer = DocumentWriter::new(&mut file, Layout::Lines);
        documents.iter().for_each(|document| writer.write(document, &vocab).unwrap());
        writer.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
        assert_eq!(read_documents(&path, Labels::Resolve(&vocab)).unwrap(), documents);
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
