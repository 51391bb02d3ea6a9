//! The submission format of DocRED's leaderboard and official scorer: a JSON array of predicted
//! facts.
//!
//! ```json
//! [{"title": "Anna", "h_idx": 0, "t_idx": 3, "r": "P17", "evidence": [0, 2]}]
//! ```
//!
//! Files of this crate may also have the field `score`, which leaderboard and scorer ignore.
//!
//! The reader also takes the leaderboard's archive, and JSON lines: one fact a line, or one
//! document with the list of its `predictions`, as `docre predict` writes them.

use std::io::{BufRead, Cursor, Read, Seek, Write};
use std::path::Path;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use zip::ZipArchive;

use crate::data::document::RelationFact;
use crate::data::json_array::{ArrayScanner, ScanError};
use crate::data::pair::EntityPair;
use crate::data::relation::RelationVocab;
use crate::input::{self, JsonError};
use crate::{Error, Result};

/// One predicted fact with the field names of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubmittedFact {
    /// Title of the document.
    pub title: String,
    /// Index of the head entity.
    pub h_idx: usize,
    /// Index of the tail entity.
    pub t_idx: usize,
    /// Relation id, such as `P17`.
    pub r: String,
    /// Indices of the supporting sentences; empty if the field is absent.
    #[serde(default)]
    pub evidence: Vec<usize>,
    /// The margin of the relation's logit over the threshold class's logit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f32>,
}

/// A line of a document with its facts.
#[derive(Deserialize)]
struct PredictedDocument {
    title: String,
    predictions: Vec<PredictedFact>,
}

#[derive(Deserialize)]
struct PredictedFact {
    h_idx: usize,
    t_idx: usize,
    r: String,
    #[serde(default)]
    evidence: Vec<usize>,
    score: Option<f32>,
}

/// A record that has the key `predictions`.
#[derive(Deserialize)]
struct Probe {
    predictions: Option<IgnoredAny>,
}

/// The first bytes of a zip archive.
const ZIP_MAGIC: &[u8] = b"PK";
/// The maximum length of an archive and of the submission in it, in bytes. One of DocRED has a few
/// million. Tests exceed a smaller limit.
const MAX_ARCHIVED: u64 = if cfg!(test) { 1 << 20 } else { 1 << 30 };
/// The name of the submission in the leaderboard's archive.
pub const ARCHIVED: &str = "result.json";

/// Reads a submission: a JSON array, an archive, or JSON lines. The content selects the format.
///
/// # Errors
///
/// [`Error::Format`] when the file is none of these, or a record is not a fact. The message gives
/// the position of the record, from 0. Also when an archive, or the submission in it, is longer
/// than 1 GiB. [`Error::Io`] when the file cannot be read.
pub fn read_submission(path: &Path) -> Result<Vec<SubmittedFact>> {
    let mut reader = input::open(path)?;
    let io = |source| Error::io(path, "reading", source);
    if !reader.fill_buf().map_err(io)?.starts_with(ZIP_MAGIC) {
        return read_facts(path, reader);
    }
    let refuse = |reason: &str| Error::format(path, reason);
    let too_long =
        |what: &str| refuse(&format!("{what} is longer than {} MiB", MAX_ARCHIVED >> 20));
    let bytes = read_limited(reader).map_err(io)?.ok_or_else(|| too_long("the archive"))?;
    let archive = ZipArchive::new(Cursor::new(bytes));
    let mut archive = archive.map_err(|e| refuse("not a complete zip archive").with_source(e))?;
    let name = submission_in(&archive).ok_or_else(|| {
        refuse(&format!("the archive has no `{ARCHIVED}`, and not exactly one other JSON file"))
    })?;
    let unreadable = || refuse(&format!("`{name}` in the archive cannot be read"));
    let entry = archive.by_name(&name).map_err(|error| unreadable().with_source(error))?;
    let bytes = read_limited(entry).map_err(|error| unreadable().with_source(error))?;
    let bytes = bytes.ok_or_else(|| too_long(&format!("`{name}`")))?;
    read_facts(path, input::without_byte_order_mark(&bytes))
}

/// Reads all bytes; `None` if there are more than [`MAX_ARCHIVED`].
fn read_limited(reader: impl Read) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    reader.take(MAX_ARCHIVED + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= MAX_ARCHIVED))
}

/// The name of the submission in an archive: [`ARCHIVED`] in any folder, or the only JSON file.
fn submission_in<R: Read + Seek>(archive: &ZipArchive<R>) -> Option<String> {
    let is_named = |name: &&str| name.rsplit('/').next() == Some(ARCHIVED);
    if let Some(name) = archive.file_names().find(is_named) {
        return Some(name.to_owned());
    }
    let mut files = archive.file_names().filter(|name| name.ends_with(".json"));
    match (files.next(), files.next()) {
        (Some(name), None) => Some(name.to_owned()),
        _ => None,
    }
}

fn read_facts(path: &Path, reader: impl BufRead) -> Result<Vec<SubmittedFact>> {
    let mut records = Records { path, scanner: ArrayScanner::new(reader), bytes: Vec::new(), n: 0 };
    let mut facts = Vec::new();
    while records.advance()? {
        let is_document = records.parse::<Probe>()?.predictions.is_some();
        if is_document {
            let PredictedDocument { title, predictions } = records.parse()?;
            facts.extend(predictions.into_iter().map(|fact| fact.of(&title)));
        } else {
            facts.push(records.parse()?);
        }
        records.n += 1;
    }
    Ok(facts)
}

/// The records of a submission.
struct Records<'a, R> {
    path: &'a Path,
    scanner: ArrayScanner<R>,
    /// The current record.
    bytes: Vec<u8>,
    /// The number of records before the current one.
    n: usize,
}

impl<R: BufRead> Records<'_, R> {
    /// Reads the next record; returns false if there is none.
    fn advance(&mut self) -> Result<bool> {
        let found = match self.scanner.next_element(&mut self.bytes) {
            Ok(false) => self.scanner.expect_end().map(|()| false),
            found => found,
        };
        found.map_err(|error| error.in_record(self.path, self.n))
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.bytes).map_err(|error| {
            let cause = JsonError::from(error).within(self.scanner.element_start());
            let reason = format!("record {} is not a predicted fact", self.n);
            Error::format(self.path, reason).with_source(cause)
        })
    }
}

impl PredictedFact {
    fn of(self, title: &str) -> SubmittedFact {
        let Self { h_idx, t_idx, r, evidence, score } = self;
        SubmittedFact { title: title.to_owned(), h_idx, t_idx, r, evidence, score }
    }
}

/// Writes a submission, one fact per line. The `result.json` of a leaderboard archive has this
/// form.
///
/// # Errors
///
/// The errors of `writer`.
pub fn write_json(
    writer: &mut impl Write,
    facts: impl IntoIterator<Item = SubmittedFact>,
) -> std::io::Result<()> {
    writer.write_all(b"[")?;
    for (index, fact) in facts.into_iter().enumerate() {
        writer.write_all(if index == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut *writer, &fact)?;
    }
    writer.write_all(b"\n]\n")
}

impl SubmittedFact {
    /// The submission's record of a `fact` of the document `title`, without a score.
    ///
    /// # Panics
    ///
    /// When the fact's relation is not a class of `vocab`.
    pub fn new(title: &str, fact: &RelationFact, vocab: &RelationVocab) -> Self {
        Self {
            title: title.to_owned(),
            h_idx: fact.pair.head,
            t_idx: fact.pair.tail,
            r: vocab.id(fact.relation).to_owned(),
            evidence: fact.evidence.clone(),
            score: None,
        }
    }

    /// The pair of entities.
    pub fn pair(&self) -> EntityPair {
        EntityPair { head: self.h_idx, tail: self.t_idx }
    }
}

impl ScanError {
    fn in_record(self, path: &Path, index: usize) -> Error {
        match self {
            Self::Io(source) => Error::io(path, "reading", source),
            Self::NotAnArray(reason) => Error::format(path, reason),
            Self::Broken(reason) => Error::format(path, format!("record {index}: {reason}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(r: &str, score: Option<f32>) -> SubmittedFact {
        SubmittedFact {
            title: "Karvu \"the\" river".into(),
            h_idx: 0,
            t_idx: 3,
            r: r.into(),
            evidence: vec![2, 0],
            score,
        }
    }

    fn error_of(json: &[u8]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("predictions.json");
        std::fs::write(&path, json).unwrap();
        let error = read_submission(&path).unwrap_err().to_string();
        assert!(error.contains("predictions.json"), "{error}");
        error
    }

    #[test]
    fn a_written_submission_reads_back_equal() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("predictions.json");
        for facts in [vec![fact("P17", None), fact("P131", Some(1.25))], Vec::new()] {
            write_json(&mut std::fs::File::create(&path).unwrap(), facts.clone()).unwrap();
            assert_eq!(read_submission(&path).unwrap(), facts);
        }
    }

    /// The archive of files with these names and contents.
    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in files {
            archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(content).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    #[test]
    fn archives_and_json_lines_hold_the_facts_of_an_array() {
        let facts = vec![fact("P17", Some(0.5)), fact("P131", None)];
        let mut array = Vec::new();
        write_json(&mut array, facts.clone()).unwrap();
        let lines: Vec<_> = facts.iter().map(|f| serde_json::to_string(f).unwrap()).collect();
        let document = r#"{"title":"Karvu \"the\" river","n_entities":4,"predictions":[
            {"h_idx":0,"t_idx":3,"r":"P17","evidence":[2,0],"logit":2.0,"threshold":1.5,"score":0.5},
            {"h_idx":0,"t_idx":3,"r":"P131","evidence":[2,0]}]}
            {"title":"none","n_entities":0,"predictions":[]}"#;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("any name");
        for content in [
            array.clone(),
            lines.join("\n").into_bytes(),
            document.as_bytes().to_vec(),
            [b"\xEF\xBB\xBF", &array[..]].concat(),
            archive(&[("result.json", &array)]),
            archive(&[("result.json", &[b"\xEF\xBB\xBF", &array[..]].concat())]),
            archive(&[("a.json", b"[]"), ("folder/result.json", &array)]),
            archive(&[("my answer.json", &array), ("notes.txt", b"x")]),
        ] {
            std::fs::write(&path, &content).unwrap();
            assert_eq!(read_submission(&path).unwrap(), facts, "{}", content.escape_ascii());
        }
    }

    #[test]
    fn an_archive_without_a_submission_is_refused() {
        for files in [&[][..], &[("a.json", &b"[]"[..]), ("b.json", b"[]")], &[("a.txt", b"[]")]] {
            assert!(error_of(&archive(files)).contains("the archive has no `result.json`"));
        }
    }

    #[test]
    fn an_archive_or_a_submission_in_it_beyond_the_limit_is_refused() {
        let spaces = vec![b' '; MAX_ARCHIVED as usize];
        let longest = [&b"[]"[..], &spaces[2..]].concat();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("longest.zip");
        std::fs::write(&path, archive(&[("result.json", &longest)])).unwrap();
        assert_eq!(read_submission(&path).unwrap(), []);
        let error = error_of(&archive(&[("result.json", &[b"[]", &spaces[..]].concat())]));
        assert!(error.ends_with("`result.json` is longer than 1 MiB"), "{error}");
        let error = error_of(&[ZIP_MAGIC, &spaces].concat());
        assert!(error.ends_with("the archive is longer than 1 MiB"), "{error}");
    }

    #[test]
    fn each_fact_is_one_line_and_an_absent_score_is_omitted() {
        let mut bytes = Vec::new();
        write_json(&mut bytes, [fact("P17", None), fact("P131", Some(0.5))]).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[1].ends_with(r#""r":"P17","evidence":[2,0]},"#), "{}", lines[1]);
        assert!(lines[2].ends_with(r#""score":0.5}"#), "{}", lines[2]);
    }

    #[test]
    fn evidence_may_be_absent_and_other_fields_are_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("predictions.json");
        std::fs::write(&path, r#"[{"r":"P1","title":"A","h_idx":1,"t_idx":0,"x":[{}]}]"#).unwrap();
        let facts = read_submission(&path).unwrap();
        assert_eq!((facts[0].h_idx, facts[0].evidence.len(), facts[0].score), (1, 0, None));
    }

    #[test]
    fn the_error_of_a_malformed_record_gives_its_position() {
        let good = r#"{"title":"A","h_idx":0,"t_idx":1,"r":"P1"}"#;
        for bad in [
            r#"{"title":"A","h_idx":-1,"t_idx":1,"r":"P1"}"#,
            r#"{"title":"A","h_idx":1e40,"t_idx":1,"r":"P1"}"#,
            r#"{"title":"A","h_idx":0,"r":"P1"}"#,
            r#"{"title":7,"h_idx":0,"t_idx":1,"r":"P1"}"#,
            "null",
        ] {
            let error = error_of(format!("[{good},{bad}]").as_bytes());
            assert!(error.contains("record 1 "), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_not_a_submission_is_an_error() {
        for json in ["", "{}", "[", "null", "[] []", "PK", "PK\u{3}\u{4}", "{\"predictions\":[]}"] {
            error_of(json.as_bytes());
        }
        error_of(b"[{\"title\":\"\xff\",\"h_idx\":0,\"t_idx\":1,\"r\":\"P1\"}]");
    }

    #[test]
    fn deep_nesting_does_not_overflow_the_stack() {
        let deep = "[".repeat(1 << 20);
        error_of(deep.as_bytes());
        error_of(format!(r#"[{{"title":"A","x":{deep}"#).as_bytes());
        error_of(format!(r#"[{{"title":{}"#, r#"{"a":"#.repeat(1 << 20)).as_bytes());
    }
}
