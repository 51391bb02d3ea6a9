//! Linked-DocRED and Linked-Re-DocRED.
//!
//! Source: `Linked-DocRED/README.md` in <https://github.com/alteca/Linked-DocRED>, "Dataset
//! format". In place of `vertexSet` there is `entities`, a list of objects with `id`, `type` and
//! `mentions`; in place of `labels` there is `relations`. Their `h` and `t` are ids of entities,
//! not positions. The links to Wikipedia, for which DocRED's format has no place, are skipped.

use std::collections::HashMap;

use serde::Deserialize;

use crate::Result;
use crate::data::raw::{Omitted, RawDocument, RawLabel, RawMention, from_json, refused};
use crate::input::TextPosition;

#[derive(Deserialize)]
struct Record {
    title: String,
    sents: Vec<Vec<String>>,
    entities: Vec<RawEntity>,
    relations: Option<Vec<RawLabel>>,
}

#[derive(Deserialize)]
struct RawEntity {
    id: i64,
    #[serde(rename = "type", default)]
    kind: Option<String>,
    mentions: Vec<RawMention>,
}

pub(super) fn parse(json: &str, start: TextPosition) -> Result<RawDocument<Vec<RawLabel>>> {
    let record: Record = from_json(json, start, "Linked-DocRED")?;
    let mut positions = HashMap::with_capacity(record.entities.len());
    let mut entities = Vec::with_capacity(record.entities.len());
    for (position, RawEntity { id, kind, mut mentions }) in record.entities.into_iter().enumerate()
    {
        if positions.insert(id, position as i64).is_some() {
            return Err(refused(format!("two entities have the id {id}")));
        }
        let kind = kind.unwrap_or_default();
        mentions.iter_mut().for_each(|mention| mention.kind.clone_from(&kind));
        entities.push(mentions);
    }
    let at = |id: i64| {
        let position = positions.get(&id).copied();
        position.ok_or_else(|| refused(format!("a relation names entity {id}, which has no entry")))
    };
    let label = |label: RawLabel| Ok(RawLabel { h: at(label.h)?, t: at(label.t)?, ..label });
    let labels = record.relations.map(|labels| labels.into_iter().map(label).collect());
    Ok(RawDocument {
        title: record.title,
        sentences: record.sents,
        entities,
        labels: labels.transpose()?,
        omitted: Omitted::new(),
    })
}
