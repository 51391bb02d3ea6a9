//! Documents in the JSON of DocRED and Re-DocRED: the only place that knows `vertexSet`, `h`, `t`, `r`.
//!
//! A file is one array of documents. It is read one document at a time, so that memory does not
//! grow with the file, and whatever is wrong with a document is an [`Error::Document`] that names it.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::json_array::{ArrayScanner, ScanError};
use crate::atomic_file::write_atomically;
use crate::document::{Document, Entity, EntityPair, Mention, RelationFact};
use crate::relation::{RelationVocab, THRESHOLD_CLASS};
use crate::{Error, Result};

/// What to do with the labels of a file.
#[derive(Clone, Copy, Debug)]
pub enum Labels<'a> {
    /// Skip them, whatever they are: documents come without facts.
    Ignore,
    /// Turn them into facts by this vocabulary. A document without labels has no facts; a relation
    /// outside the vocabulary is an error.
    Resolve(&'a RelationVocab),
}

/// Reads all documents of a DocRED file.
///
/// # Errors
///
/// As [`DocRedReader`].
pub fn read_documents(path: &Path, labels: Labels) -> Result<Vec<Document>> {
    DocRedReader::open(path, labels)?.collect()
}

/// Iterates over the documents of a DocRED file.
///
/// # Errors
///
/// An item is [`Error::Document`] when the document is not valid JSON, lacks `title`, `vertexSet`
/// or `sents`, or points outside its own text; [`Error::Format`] when the file is not an array at
/// all; [`Error::Io`] when it cannot be read. Where the array itself is broken, the error is the
/// last item; after a document that is merely wrong the iteration goes on.
pub struct DocRedReader<'a> {
    path: PathBuf,
    labels: Labels<'a>,
    scanner: ArrayScanner<BufReader<File>>,
    element: Vec<u8>,
    n_read: usize,
    finished: bool,
}

impl<'a> DocRedReader<'a> {
    /// Opens `path`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the file cannot be opened.
    pub fn open(path: &Path, labels: Labels<'a>) -> Result<Self> {
        let file = File::open(path).map_err(|source| Error::io(path, "opening", source))?;
        Ok(Self {
            path: path.to_path_buf(),
            labels,
            scanner: ArrayScanner::new(BufReader::with_capacity(1 << 16, file)),
            element: Vec::new(),
            n_read: 0,
            finished: false,
        })
    }

    fn next_document(&mut self) -> Result<Option<Document>> {
        let found = match self.scanner.next_element(&mut self.element) {
            Ok(false) => self.scanner.expect_end().map(|()| false),
            found => found,
        };
        match found {
            Ok(false) => Ok(None),
            Ok(true) => {
                let document = parse_document(&self.element, self.labels)
                    .map_err(|reason| self.document_error(reason));
                self.n_read += 1;
                document.map(Some)
            }
            Err(error) => {
                self.finished = true;
                Err(self.scan_error(error))
            }
        }
    }

    fn scan_error(&self, error: ScanError) -> Error {
        match error {
            ScanError::Io(source) => Error::io(&self.path, "reading", source),
            ScanError::NotAnArray(reason) => Error::format(&self.path, reason),
            ScanError::Broken(reason) => self.document_error(reason),
        }
    }

    /// An error of the document in `self.element`, of which that may hold only the beginning.
    fn document_error(&self, reason: String) -> Error {
        Error::Document {
            path: self.path.clone(),
            index: self.n_read,
            title: title_of(&self.element),
            reason,
        }
    }
}

impl Iterator for DocRedReader<'_> {
    type Item = Result<Document>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        let document = self.next_document().transpose();
        self.finished |= document.is_none();
        document
    }
}

impl fmt::Debug for DocRedReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("DocRedReader")
            .field("path", &self.path)
            .field("n_read", &self.n_read)
            .finish_non_exhaustive()
    }
}

/// Writes `documents` as a DocRED file, one document a line; it appears whole or not at all.
///
/// # Errors
///
/// [`Error::Document`] when a fact has a class outside `vocab` or the threshold class;
/// [`Error::Io`] when the file cannot be written.
pub fn write_documents(path: &Path, documents: &[Document], vocab: &RelationVocab) -> Result<()> {
    for (index, document) in documents.iter().enumerate() {
        let valid = THRESHOLD_CLASS + 1..vocab.n_classes();
        if let Some(fact) = document.facts.iter().find(|fact| !valid.contains(&fact.relation)) {
            return Err(Error::Document {
                path: path.to_path_buf(),
                index,
                title: Some(document.title.clone()),
                reason: format!("a fact has class {}, which is no relation", fact.relation),
            });
        }
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

#[derive(Deserialize)]
struct RawDocument<L> {
    title: String,
    #[serde(rename = "vertexSet")]
    entities: Vec<Vec<RawMention>>,
    #[serde(rename = "sents")]
    sentences: Vec<Vec<String>>,
    labels: Option<L>,
}

#[derive(Deserialize)]
struct RawMention {
    name: String,
    #[serde(rename = "type", default)]
    kind: String,
    sent_id: i64,
    pos: Vec<i64>,
}

#[derive(Deserialize)]
struct RawLabel {
    r: String,
    h: i64,
    t: i64,
    #[serde(default)]
    evidence: Vec<i64>,
}

fn parse_document(json: &[u8], labels: Labels) -> Result<Document, String> {
    let json = std::str::from_utf8(json)
        .map_err(|error| format!("not UTF-8 at its byte {}", error.valid_up_to()))?;
    match labels {
        Labels::Ignore => {
            let raw: RawDocument<IgnoredAny> = from_json(json)?;
            document_without_facts(raw.title, raw.entities, raw.sentences)
        }
        Labels::Resolve(vocab) => {
            let raw: RawDocument<Vec<RawLabel>> = from_json(json)?;
            let mut document = document_without_facts(raw.title, raw.entities, raw.sentences)?;
            document.facts = resolve_labels(raw.labels.unwrap_or_default(), &document, vocab)?;
            Ok(document)
        }
    }
}

fn from_json<T: for<'de> Deserialize<'de>>(json: &str) -> Result<T, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

fn document_without_facts(
    title: String,
    raw_entities: Vec<Vec<RawMention>>,
    sentences: Vec<Vec<String>>,
) -> Result<Document, String> {
    let mut entities = Vec::with_capacity(raw_entities.len());
    for (entity_idx, raw_mentions) in raw_entities.into_iter().enumerate() {
        let kind = match raw_mentions.first() {
            Some(first) => first.kind.clone(),
            None => return Err(format!("entity {entity_idx} has no mentions")),
        };
        let mentions = raw_mentions
            .into_iter()
            .enumerate()
            .map(|(mention_idx, raw)| {
                resolve_mention(raw, &sentences).map_err(|reason| {
                    format!("entity {entity_idx}, mention {mention_idx}: {reason}")
                })
            })
            .collect::<Result<_, _>>()?;
        entities.push(Entity { kind, mentions });
    }
    Ok(Document { title, sentences, entities, facts: Vec::new() })
}

fn resolve_mention(raw: RawMention, sentences: &[Vec<String>]) -> Result<Mention, String> {
    let sentence = below(raw.sent_id, sentences.len()).ok_or_else(|| {
        format!("sent_id {} in a document of {} sentences", raw.sent_id, sentences.len())
    })?;
    let n_words = sentences[sentence].len();
    let &[start, end] = raw.pos.as_slice() else {
        return Err(format!("pos must be two numbers, not {:?}", raw.pos));
    };
    match (below(start, n_words), below(end, n_words + 1)) {
        (Some(start), Some(end)) if start < end => {
            Ok(Mention { name: raw.name, sentence, start, end })
        }
        _ => Err(format!(
            "pos [{start}, {end}] is no span of words in sentence {sentence}, which has {n_words}"
        )),
    }
}

fn resolve_labels(
    labels: Vec<RawLabel>,
    document: &Document,
    vocab: &RelationVocab,
) -> Result<Vec<RelationFact>, String> {
    let mut seen = HashSet::new();
    let mut facts = Vec::with_capacity(labels.len());
    for (label_idx, label) in labels.into_iter().enumerate() {
        let fact = resolve_label(label, document, vocab)
            .map_err(|reason| format!("label {label_idx}: {reason}"))?;
        // A corpus that repeats a label means it once; the first one's evidence counts.
        if seen.insert((fact.pair, fact.relation)) {
            facts.push(fact);
        }
    }
    Ok(facts)
}

fn resolve_label(
    label: RawLabel,
    document: &Document,
    vocab: &RelationVocab,
) -> Result<RelationFact, String> {
    let relation = match vocab.index_of(&label.r) {
        Some(THRESHOLD_CLASS) => return Err(format!("{:?} is no relation", label.r)),
        Some(class) => class,
        None => return Err(format!("relation {:?} is not in the vocabulary", label.r)),
    };
    let n_entities = document.entities.len();
    let (Some(head), Some(tail)) = (below(label.h, n_entities), below(label.t, n_entities)) else {
        let (h, t) = (label.h, label.t);
        return Err(format!("h {h} and t {t} in a document of {n_entities} entities"));
    };
    if head == tail {
        return Err(format!("entity {head} is related to itself"));
    }
    let n_sentences = document.sentences.len();
    let evidence = label
        .evidence
        .into_iter()
        .map(|sentence| {
            below(sentence, n_sentences).ok_or_else(|| {
                format!("evidence {sentence} in a document of {n_sentences} sentences")
            })
        })
        .collect::<Result<_, _>>()?;
    Ok(RelationFact { pair: EntityPair { head, tail }, relation, evidence })
}

/// `number` as an index below `limit`, if it is one.
fn below(number: i64, limit: usize) -> Option<usize> {
    usize::try_from(number).ok().filter(|&index| index < limit)
}

/// The title in `json`, which may be wrong or cut off anywhere behind it.
fn title_of(json: &[u8]) -> Option<String> {
    struct TitleSeed<'a>(&'a mut Option<String>);

    impl<'de> DeserializeSeed<'de> for TitleSeed<'_> {
        type Value = ();

        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
            deserializer.deserialize_map(self)
        }
    }

    impl<'de> Visitor<'de> for TitleSeed<'_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a document")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            while let Some(key) = map.next_key::<String>()? {
                if key == "title" {
                    *self.0 = Some(map.next_value()?);
                    return Ok(());
                }
                map.next_value::<IgnoredAny>()?;
            }
            Ok(())
        }
    }

    let mut title = None;
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    // The document is known to be unusable; only what came before the fault is of interest.
    let _ = TitleSeed(&mut title).deserialize(&mut deserializer);
    title
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
    use crate::relation::Relation;

    const ANNA: &str = r#"{"title":"Anna","sents":[["Anna","lives","in","Oslo","."],["She","left","."]],
        "vertexSet":[[{"name":"Anna","type":"PER","sent_id":0,"pos":[0,1]},
                      {"name":"She","type":"PER","sent_id":1,"pos":[0,1]}],
                     [{"name":"Oslo","sent_id":0,"pos":[3,4]}]],
        "labels":[{"r":"P551","h":0,"t":1,"evidence":[0]}],"extra":{"deep":[1,{"x":null}]}}"#;

    fn vocab() -> RelationVocab {
        let relation = |id: &str| Relation { id: id.to_owned(), name: id.to_owned() };
        RelationVocab::new(["Na", "P551", "P27"].map(relation).to_vec()).unwrap()
    }

    fn items(json: impl AsRef<[u8]>, labels: Labels) -> Vec<Result<Document>> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("documents.json");
        std::fs::write(&path, json).unwrap();
        DocRedReader::open(&path, labels).unwrap().collect()
    }

    fn read(json: impl AsRef<[u8]>) -> Result<Vec<Document>> {
        items(json, Labels::Resolve(&vocab())).into_iter().collect()
    }

    /// Index, title and reason of the error that reading `json` must give.
    fn document_error(json: impl AsRef<[u8]>) -> (usize, Option<String>, String) {
        match read(json) {
            Err(Error::Document { index, title, reason, .. }) => (index, title, reason),
            other => panic!("no document error but {other:?}"),
        }
    }

    /// [`ANNA`] with one text replaced, as the second document of a file.
    fn second_document_with(from: &str, to: &str) -> String {
        assert!(ANNA.contains(from), "{from}");
        format!("[{ANNA},{}]", ANNA.replacen(from, to, 1))
    }

    #[track_caller]
    fn assert_refused(from: &str, to: &str, expected_reason: &str) {
        let (index, title, reason) = document_error(second_document_with(from, to));
        assert_eq!((index, title.as_deref()), (1, Some("Anna")), "{reason}");
        assert!(reason.contains(expected_reason), "{reason}");
    }

    #[test]
    fn a_document_is_read_with_its_entities_and_facts() {
        let [document] = <[Document; 1]>::try_from(read(format!("[{ANNA}]")).unwrap()).unwrap();
        let mention = |name: &str, sentence, start, end| Mention {
            name: name.to_owned(),
            sentence,
            start,
            end,
        };
        assert_eq!(document.title, "Anna");
        assert_eq!(document.sentences[1], ["She", "left", "."]);
        assert_eq!(document.entities[0].kind, "PER");
        assert_eq!(
            document.entities[0].mentions,
            [mention("Anna", 0, 0, 1), mention("She", 1, 0, 1)]
        );
        assert_eq!(document.entities[1].kind, "");
        assert_eq!(document.entities[1].mentions, [mention("Oslo", 0, 3, 4)]);
        let pair = EntityPair { head: 0, tail: 1 };
        assert_eq!(document.facts, [RelationFact { pair, relation: 1, evidence: vec![0] }]);
    }

    #[test]
    fn empty_lists_and_documents_with_little_in_them_are_valid() {
        assert!(read("[]").unwrap().is_empty());
        assert!(read("\u{feff} [ ]\n").unwrap().is_empty());
        let bare = r#"{"title":"","sents":[],"vertexSet":[]}"#;
        assert!(read(format!("[{bare}]")).unwrap()[0].entities.is_empty());
        let one = r#"{"title":"t","sents":[[],[""]],"vertexSet":[[{"name":"","sent_id":1,"pos":[0,1]}]],"labels":[]}"#;
        assert_eq!(read(format!("[{one}]")).unwrap()[0].entities.len(), 1);
    }

    #[test]
    fn missing_or_null_labels_are_no_facts() {
        let without = ANNA.replace("\"labels\":", "\"other\":");
        assert!(read(format!("[{without}]")).unwrap()[0].facts.is_empty());
        let null = ANNA.replace(r#"[{"r":"P551","h":0,"t":1,"evidence":[0]}]"#, "null");
        assert!(read(format!("[{null}]")).unwrap()[0].facts.is_empty());
    }

    #[test]
    fn ignored_labels_may_be_anything() {
        for labels in ["7", "\"x\"", "{\"r\":[]}", "[{\"r\":\"P0\",\"h\":-9}]", "[[[]]]"] {
            let json = ANNA.replace(r#"[{"r":"P551","h":0,"t":1,"evidence":[0]}]"#, labels);
            let documents: Result<Vec<_>> =
                items(format!("[{json}]"), Labels::Ignore).into_iter().collect();
            assert!(documents.unwrap()[0].facts.is_empty());
            assert!(read(format!("[{json}]")).is_err(), "{labels}");
        }
    }

    #[test]
    fn a_repeated_label_counts_once_and_keeps_its_first_evidence() {
        let label = r#"{"r":"P551","h":0,"t":1,"evidence":[0]}"#;
        let more = r#",{"r":"P551","h":0,"t":1,"evidence":[1]},{"r":"P27","h":0,"t":1}"#;
        let json = ANNA.replace(label, &format!("{label}{more}"));
        let facts = read(format!("[{json}]")).unwrap().remove(0).facts;
        assert_eq!(facts.iter().map(|fact| fact.relation).collect::<Vec<_>>(), [1, 2]);
        assert_eq!((&facts[0].evidence[..], &facts[1].evidence[..]), (&[0][..], &[][..]));
    }

    #[test]
    fn a_mention_outside_its_text_is_refused() {
        let oslo = r#""pos":[3,4]"#;
        for pos in ["[3,6]", "[-1,4]", "[4,3]", "[3,3]", "[5,6]", "[9223372036854775807,4]"] {
            assert_refused(oslo, &format!("\"pos\":{pos}"), "is no span of words in sentence 0");
        }
        for pos in ["[]", "[3]", "[3,4,5]"] {
            assert_refused(oslo, &format!("\"pos\":{pos}"), "pos must be two numbers");
        }
        assert_refused(
            r#""sent_id":1"#,
            r#""sent_id":2"#,
            "sent_id 2 in a document of 2 sentences",
        );
        assert_refused(r#""sent_id":1"#, r#""sent_id":-1"#, "entity 0, mention 1: sent_id -1");
    }

    #[test]
    fn an_entity_without_mentions_is_refused() {
        assert_refused("\"vertexSet\":[[", "\"vertexSet\":[[],[", "entity 0 has no mentions");
    }

    #[test]
    fn entities_without_sentences_are_refused() {
        let sents = r#"[["Anna","lives","in","Oslo","."],["She","left","."]]"#;
        assert_refused(sents, "[]", "sent_id 0 in a document of 0 sentences");
    }

    #[test]
    fn a_wrong_label_is_refused() {
        assert_refused("P551", "P0", "relation \"P0\" is not in the vocabulary");
        assert_refused("P551", "Na", "\"Na\" is no relation");
        assert_refused(r#""h":0"#, r#""h":2"#, "h 2 and t 1 in a document of 2 entities");
        assert_refused(r#""t":1"#, r#""t":-1"#, "h 0 and t -1");
        assert_refused(r#""t":1"#, r#""t":0"#, "entity 0 is related to itself");
        assert_refused(r#""evidence":[0]"#, r#""evidence":[2]"#, "evidence 2");
        assert_refused(r#""evidence":[0]"#, r#""evidence":[-1]"#, "evidence -1");
        assert_refused(r#""evidence":[0]"#, r#""evidence":0"#, "expected a sequence");
        assert_refused(r#""evidence":[0]"#, r#""evidence":["0"]"#, "expected i64");
    }

    #[test]
    fn a_missing_field_or_a_wrong_type_is_refused() {
        assert_refused("\"sents\"", "\"s\"", "missing field `sents`");
        assert_refused("\"vertexSet\"", "\"v\"", "missing field `vertexSet`");
        assert_refused("\"name\"", "\"n\"", "missing field `name`");
        assert_refused("\"pos\":[3,4]", "\"pos\":[3,4.5]", "expected i64");
        assert_refused("\"pos\":[3,4]", "\"pos\":\"3\"", "expected a sequence");
        assert_refused("[\"She\",", "[7,", "expected a string");
        assert_refused("\"type\":\"PER\"", "\"type\":7", "expected a string");
        assert_refused("\"extra\":", "\"sents\":", "duplicate field");
        let (_, title, reason) =
            document_error(format!("[{}]", ANNA.replace("\"title\"", "\"t\"")));
        assert_eq!((title, reason.contains("missing field `title`")), (None, true));
        let (_, title, _) =
            document_error(format!("[{}]", ANNA.replace("\"Anna\",\"sents", "7,\"sents")));
        assert_eq!(title, None);
        for element in ["7", "null", "\"x\"", "[[]]"] {
            assert_eq!(document_error(format!("[{element}]")).0, 0);
        }
    }

    #[test]
    fn a_file_cut_off_anywhere_is_refused() {
        let json = format!("[{ANNA},{ANNA}]");
        for length in 1..json.len() {
            let (index, _, reason) = document_error(&json[..length]);
            assert!(index <= 1 && reason.contains("the file ends"), "{length}: {index} {reason}");
        }
        let (index, title, reason) = document_error(format!("[{ANNA}"));
        assert_eq!((index, title.as_deref()), (0, Some("Anna")));
        assert!(reason.contains("without the closing `]`"));
    }

    #[test]
    fn text_after_the_array_is_refused() {
        for garbage in ["x", "[]", ",", "]", "\u{0}"] {
            let (index, _, reason) = document_error(format!("[{ANNA}] {garbage}"));
            assert_eq!(index, 1);
            assert!(reason.contains("after the end of the array"), "{reason}");
        }
    }

    #[test]
    fn text_that_is_not_json_is_refused() {
        assert_refused("\"sents\":", "\"sents\"", "expected `:`");
        assert_refused("\"lives\"", "'lives'", "expected value");
        assert_refused("\"lives\"", r#""\ud800""#, "hex escape");
        assert_eq!(document_error(format!("[{ANNA}{ANNA}]")).0, 0);
        assert_eq!(document_error(format!("[{ANNA},]")).0, 1);
        assert_eq!(document_error(format!("[,{ANNA}]")).0, 0);
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_refused_wherever_they_stand() {
        for place in ["lives", "deep"] {
            let mut json = second_document_with(place, "?????").into_bytes();
            let at = json.iter().rposition(|&byte| byte == b'?').unwrap();
            json[at] = 0xFF;
            let (index, title, reason) = document_error(json);
            assert_eq!((index, title.as_deref()), (1, Some("Anna")));
            assert!(reason.contains("not UTF-8"), "{reason}");
        }
    }

    #[test]
    fn a_file_nested_a_hundred_thousand_deep_is_refused() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
            assert!(document_error(format!("[{deep}]")).2.contains("levels deep"));
            let hidden = second_document_with("{\"deep\":[1,{\"x\":null}]}", &deep);
            assert_eq!(document_error(&hidden).0, 1);
            assert!(items(&hidden, Labels::Ignore).iter().any(Result::is_err));
        }
    }

    #[test]
    fn a_top_level_that_is_no_array_is_a_format_error() {
        for json in ["", "{}", ANNA, "7", "\"[]\"", "null", "\u{feff}"] {
            assert!(matches!(read(json), Err(Error::Format { .. })), "{json}");
        }
    }

    #[test]
    fn reading_goes_on_after_a_wrong_document_and_stops_at_a_broken_array() {
        let wrong = ANNA.replace("\"pos\":[3,4]", "\"pos\":[4,3]");
        let read = items(format!("[{ANNA},{wrong},{ANNA}] x"), Labels::Ignore);
        let outcomes: Vec<_> = read.iter().map(Result::is_ok).collect();
        assert_eq!(outcomes, [true, false, true, false]);
    }

    #[test]
    fn a_missing_file_and_a_folder_are_io_errors() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(
            read_documents(&directory.path().join("none.json"), Labels::Ignore),
            Err(Error::Io { .. })
        ));
        assert!(matches!(read_documents(directory.path(), Labels::Ignore), Err(Error::Io { .. })));
    }

    #[test]
    fn the_error_names_file_document_and_title() {
        let error = read(second_document_with("\"pos\":[3,4]", "\"pos\":[4,3]")).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("documents.json: document 1 (\"Anna\"): entity 1, mention 0"),
            "{text}"
        );
    }

    #[test]
    fn written_documents_read_back_equal() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("documents.json");
        let documents = read(format!("[{ANNA},{}]", ANNA.replace("Oslo", "Ø\\\"slo"))).unwrap();
        for n in 0..=documents.len() {
            write_documents(&path, &documents[..n], &vocab()).unwrap();
            assert_eq!(read_documents(&path, Labels::Resolve(&vocab())).unwrap(), documents[..n]);
        }
    }

    #[test]
    fn a_fact_outside_the_vocabulary_is_not_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("documents.json");
        let mut documents = read(format!("[{ANNA}]")).unwrap();
        for class in [THRESHOLD_CLASS, 3] {
            documents[0].facts[0].relation = class;
            let error = write_documents(&path, &documents, &vocab());
            assert!(matches!(error, Err(Error::Document { index: 0, .. })));
            assert!(!path.exists());
        }
    }
}
