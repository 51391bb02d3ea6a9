//! DocRED as the library `datasets` of Hugging Face exports it.
//!
//! Source: the features in `datasets/docred/docred.py` and its README, in
//! <https://github.com/huggingface/datasets> (later `thunlp/docred` on the hub). Documents are
//! DocRED's, but a label's `r`, `h` and `t` are `relation_id`, `head` and `tail`, with the name of
//! the relation in `relation_text`. The labels of a document are one object of columns. An export
//! from a data frame may have rows instead; both are read.

use serde::Deserialize;

use crate::Result;
use crate::data::raw::{Omitted, RawDocument, RawLabel, RawMention, from_json, refused};
use crate::input::TextPosition;

#[derive(Deserialize)]
struct Record {
    title: String,
    sents: Vec<Vec<String>>,
    #[serde(rename = "vertexSet")]
    vertex_set: Vec<Vec<RawMention>>,
    labels: Option<LabelTable>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected the labels' columns `head`, `tail`, `relation_id` and \
                               `evidence`, or a list of labels with these keys"
)]
enum LabelTable {
    Columns(Columns),
    Rows(Vec<Row>),
}

#[derive(Deserialize)]
struct Columns {
    head: Vec<i64>,
    tail: Vec<i64>,
    relation_id: Vec<String>,
    relation_text: Option<Vec<String>>,
    evidence: Option<Vec<Option<Vec<i64>>>>,
}

#[derive(Deserialize)]
struct Row {
    head: i64,
    tail: i64,
    relation_id: String,
    relation_text: Option<String>,
    evidence: Option<Vec<i64>>,
}

pub(super) fn parse(json: &str, start: TextPosition) -> Result<RawDocument<Vec<RawLabel>>> {
    let record: Record = from_json(json, start, "the `datasets` library")?;
    let rows = match record.labels {
        None => None,
        Some(LabelTable::Rows(rows)) => Some(rows),
        Some(LabelTable::Columns(columns)) => Some(columns.into_rows()?),
    };
    Ok(RawDocument {
        title: record.title,
        sentences: record.sents,
        entities: record.vertex_set,
        labels: rows.map(|rows| rows.into_iter().map(RawLabel::from).collect()),
        omitted: Omitted::new(),
    })
}

impl Columns {
    fn into_rows(self) -> Result<Vec<Row>> {
        let Self { head, tail, relation_id, relation_text, evidence } = self;
        let n = head.len();
        let names: Vec<_> = match relation_text {
            Some(names) => names.into_iter().map(Some).collect(),
            None => vec![None; n],
        };
        let evidence = evidence.unwrap_or_else(|| vec![None; n]);
        for (column, found) in [
            ("tail", tail.len()),
            ("relation_id", relation_id.len()),
            ("relation_text", names.len()),
            ("evidence", evidence.len()),
        ] {
            if found != n {
                let reason = format!("`labels`: {n} values in `head`, but {found} in `{column}`");
                return Err(refused(reason));
            }
        }
        let rows = head.into_iter().zip(tail).zip(relation_id).zip(names).zip(evidence);
        let rows = rows.map(|((((head, tail), relation_id), relation_text), evidence)| Row {
            head,
            tail,
            relation_id,
            relation_text,
            evidence,
        });
        Ok(rows.collect())
    }
}

impl From<Row> for RawLabel {
    fn from(row: Row) -> Self {
        let Row { head: h, tail: t, relation_id: r, relation_text: name, evidence } = row;
        Self { r, h, t, evidence, name }
    }
}
