//! The submission format of DocRED's leaderboard and official scorer: a JSON array of predicted
//! facts.
//!
//! ```json
//! [{"title": "Anna", "h_idx": 0, "t_idx": 3, "r": "P17", "evidence": [0, 2]}]
//! ```
//!
//! Files of this crate may also have the field `score`, which leaderboard and scorer ignore.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::data::document::{EntityPair, RelationFact};
use crate::data::json_array::{ArrayScanner, ScanError};
use crate::data::relation::RelationVocab;
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

/// Reads a submission.
///
/// # Errors
///
/// [`Error::Format`] when the file is not an array, or a record is not a fact. The message gives
/// the position of the record, from 0. [`Error::Io`] when the file cannot be read.
pub fn read_submission(path: &Path) -> Result<Vec<SubmittedFact>> {
    let file = File::open(path).map_err(|source| Error::io(path, "opening", source))?;
    let mut scanner = ArrayScanner::new(BufReader::with_capacity(1 << 16, file));
    let (mut facts, mut record) = (Vec::new(), Vec::new());
    loop {
        let found =
            scanner.next_element(&mut record).map_err(|e| e.in_record(path, facts.len()))?;
        if !found {
            scanner.expect_end().map_err(|e| e.in_record(path, facts.len()))?;
            return Ok(facts);
        }
        let fact = serde_json::from_slice(&record).map_err(|error| {
            let reason = format!("record {} is not a predicted fact", facts.len());
            Error::format(path, reason).with_source(error)
        })?;
        facts.push(fact);
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
        for json in ["", "{}", "[", "null", "[] []"] {
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
