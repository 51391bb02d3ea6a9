//! One document as it stands in a file, and the document that it stands for.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::Labels;
use crate::data::document::{Document, Entity, EntityPair, Mention, RelationFact};
use crate::data::relation::{RelationVocab, THRESHOLD_CLASS};

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

/// The document that the bytes of one record stand for; else what is wrong with them.
pub(super) fn parse_document(json: &[u8], labels: Labels) -> Result<Document, String> {
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
pub(super) fn title_of(json: &[u8]) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::docred::sample::{ANNA, vocab};

    fn parse(json: &str) -> Result<Document, String> {
        parse_document(json.as_bytes(), Labels::Resolve(&vocab()))
    }

    /// [`ANNA`] with one text replaced is refused for this reason, and its title is found nevertheless.
    #[track_caller]
    fn assert_refused(from: &str, to: &str, expected_reason: &str) {
        assert!(ANNA.contains(from), "{from}");
        let json = ANNA.replacen(from, to, 1);
        let reason = parse(&json).unwrap_err();
        assert!(reason.contains(expected_reason), "{reason}");
        assert_eq!(title_of(json.as_bytes()).as_deref(), Some("Anna"));
    }

    #[test]
    fn a_document_is_read_with_its_entities_and_facts() {
        let document = parse(ANNA).unwrap();
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
    fn a_document_with_little_in_it_is_valid() {
        let bare = r#"{"title":"","sents":[],"vertexSet":[]}"#;
        assert!(parse(bare).unwrap().entities.is_empty());
        let one = r#"{"title":"t","sents":[[],[""]],"vertexSet":[[{"name":"","sent_id":1,"pos":[0,1]}]],"labels":[]}"#;
        assert_eq!(parse(one).unwrap().entities.len(), 1);
    }

    #[test]
    fn missing_or_null_labels_are_no_facts() {
        let without = ANNA.replace("\"labels\":", "\"other\":");
        assert!(parse(&without).unwrap().facts.is_empty());
        let null = ANNA.replace(r#"[{"r":"P551","h":0,"t":1,"evidence":[0]}]"#, "null");
        assert!(parse(&null).unwrap().facts.is_empty());
    }

    #[test]
    fn ignored_labels_may_be_anything() {
        for labels in ["7", "\"x\"", "{\"r\":[]}", "[{\"r\":\"P0\",\"h\":-9}]", "[[[]]]"] {
            let json = ANNA.replace(r#"[{"r":"P551","h":0,"t":1,"evidence":[0]}]"#, labels);
            let document = parse_document(json.as_bytes(), Labels::Ignore).unwrap();
            assert!(document.facts.is_empty());
            assert!(parse(&json).is_err(), "{labels}");
        }
    }

    #[test]
    fn a_repeated_label_counts_once_and_keeps_its_first_evidence() {
        let label = r#"{"r":"P551","h":0,"t":1,"evidence":[0]}"#;
        let more = r#",{"r":"P551","h":0,"t":1,"evidence":[1]},{"r":"P27","h":0,"t":1}"#;
        let json = ANNA.replace(label, &format!("{label}{more}"));
        let facts = parse(&json).unwrap().facts;
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
    }

    #[test]
    fn a_title_that_is_missing_or_no_text_is_refused() {
        for title in ["\"t\":\"Anna\"", "\"title\":7"] {
            let json = ANNA.replace("\"title\":\"Anna\"", title);
            assert!(parse(&json).is_err());
            assert_eq!(title_of(json.as_bytes()), None);
        }
    }
}
