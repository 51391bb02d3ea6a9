//! One record of a file and its conversion to a document.

use serde::de::IgnoredAny;

use crate::Result;
use crate::data::corpora::{CorpusFormat, HacRedView};
use crate::data::document::{Document, Entity, Mention, RelationFact};
use crate::data::pair::{EntityPair, PairSet};
use crate::data::raw::{self, Omitted, RawDocument, RawLabel, RawMention, refused};
use crate::data::relation::RelationVocab;
use crate::input::TextPosition;

/// The treatment of the labels in a file.
#[derive(Clone, Copy, Debug)]
pub enum Labels<'a> {
    /// Skips the labels unchecked. Documents have no facts.
    Ignore,
    /// Converts the labels to facts of this vocabulary. A relation outside the vocabulary is an
    /// error. A document without labels has no facts; [`DocRedReader`](super::DocRedReader) counts
    /// such documents.
    Resolve(&'a RelationVocab),
    /// Converts the labels to facts, and collects their relations in the order of their first
    /// label; [`DocRedReader::relations`](super::DocRedReader::relations) has them.
    Collect,
}

/// A record of a file.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) document: Document,
    /// False if the record has no labels but should have them.
    pub(super) has_labels: bool,
    /// The faults of the mentions that were skipped.
    pub(super) skipped_mentions: Vec<String>,
    /// The parts that a document has no place for.
    pub(super) omitted: Omitted,
}

/// The parser of records.
#[derive(Clone, Copy)]
pub(super) struct Parser<'a> {
    pub(super) labels: Labels<'a>,
    pub(super) format: CorpusFormat,
    pub(super) hacred_view: Option<HacRedView>,
    /// The pairs that labels can be about.
    pub(super) pair_set: PairSet,
    /// Invalid mentions are skipped and not refused.
    pub(super) skips_mentions: bool,
}

impl Parser<'_> {
    /// Parses the bytes of one record, which begins at `start` of its file. New relations are added
    /// to `collected`.
    ///
    /// The caller adds file, position and title to an error.
    pub(super) fn parse(
        self,
        bytes: &[u8],
        start: TextPosition,
        collected: &mut RelationVocab,
    ) -> Result<Record> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            refused(format!("byte {} is not UTF-8", error.valid_up_to())).with_source(error)
        })?;
        let record = match self.labels {
            Labels::Ignore => self.record(self.raw::<IgnoredAny>(text, start)?)?.0,
            Labels::Resolve(vocab) => {
                let raw = self.raw::<Vec<RawLabel>>(text, start)?;
                self.labelled(raw, |label| vocab.relation_index(&label.r))?
            }
            Labels::Collect => {
                let raw = self.raw::<Vec<RawLabel>>(text, start)?;
                let n_before = collected.n_classes();
                let collect = |label: &RawLabel| collected.collect(&label.r, label.name.as_deref());
                let record = self.labelled(raw, collect).and_then(|record| self.checked(record));
                if record.is_err() {
                    collected.truncate(n_before);
                }
                return record;
            }
        };
        self.checked(record)
    }

    /// The record, if its document is valid.
    fn checked(self, record: Record) -> Result<Record> {
        record.document.validate_for(self.pair_set)?;
        Ok(record)
    }

    fn raw<L: raw::RawLabels>(self, text: &str, start: TextPosition) -> Result<RawDocument<L>> {
        self.format.parse(text, start, self.hacred_view)
    }

    /// The record with its labels. `relation` returns the class of a label.
    fn labelled(
        self,
        raw: RawDocument<Vec<RawLabel>>,
        mut relation: impl FnMut(&RawLabel) -> Result<usize, String>,
    ) -> Result<Record> {
        let (mut record, labels) = self.record(raw)?;
        record.has_labels = labels.is_some();
        let facts = labels.into_iter().flatten().enumerate().map(|(label_idx, label)| {
            resolve_label(label, &mut relation)
                .map_err(|reason| refused(format!("label {label_idx}: {reason}")))
        });
        record.document.facts = facts.collect::<Result<_>>()?;
        Ok(record)
    }

    /// The record without its labels, and the labels.
    fn record<L>(self, raw: RawDocument<L>) -> Result<(Record, Option<L>)> {
        let RawDocument { title, entities, sentences, labels, omitted } = raw;
        let facts = Vec::new();
        let mut document = Document { title, sentences, entities: Vec::new(), facts };
        let mut skipped_mentions = Vec::new();
        for (entity_idx, raw_mentions) in entities.into_iter().enumerate() {
            let kind = raw_mentions.first().map(|first| first.kind.clone()).unwrap_or_default();
            let mut mentions = Vec::with_capacity(raw_mentions.len());
            for (mention_idx, raw) in raw_mentions.into_iter().enumerate() {
                let mention = resolve_mention(raw)
                    .and_then(|mention| document.check_mention(&mention).map(|()| mention));
                match mention {
                    Ok(mention) => mentions.push(mention),
                    Err(reason) => {
                        let reason =
                            format!("entity {entity_idx}, mention {mention_idx}: {reason}");
                        if !self.skips_mentions {
                            return Err(refused(reason));
                        }
                        skipped_mentions.push(reason);
                    }
                }
            }
            document.entities.push(Entity { kind, mentions });
        }
        Ok((Record { document, has_labels: true, skipped_mentions, omitted }, labels))
    }
}

/// Converts the indices of a mention. [`Document::check_mention`] checks their upper bounds.
fn resolve_mention(raw: RawMention) -> Result<Mention, String> {
    if let Some(fault) = raw.fault {
        return Err(fault);
    }
    let Some(sentence) = index(raw.sent_id) else {
        return Err(format!("sent_id {} is negative", raw.sent_id));
    };
    let &[start, end] = raw.pos.as_slice() else {
        return Err(format!("pos must be two integers, not {:?}", raw.pos));
    };
    match (index(start), index(end)) {
        (Some(start), Some(end)) => Ok(Mention { name: raw.name, sentence, start, end }),
        _ => Err(format!("[{start}, {end}] is not a span of sentence {sentence}")),
    }
}

/// Converts the indices and the relation of a label. [`Document::validate_for`] checks their upper
/// bounds.
fn resolve_label(
    label: RawLabel,
    relation: &mut impl FnMut(&RawLabel) -> Result<usize, String>,
) -> Result<RelationFact, String> {
    let relation = relation(&label)?;
    let (Some(head), Some(tail)) = (index(label.h), index(label.t)) else {
        return Err(format!("h is {} and t is {}; neither may be negative", label.h, label.t));
    };
    let evidence =
        label.evidence.into_iter().flatten().map(|sentence| {
            index(sentence).ok_or_else(|| format!("evidence {sentence} is negative"))
        });
    let evidence = evidence.collect::<Result<_, _>>()?;
    Ok(RelationFact { pair: EntityPair { head, tail }, relation, evidence })
}

/// `number` as an index; `None` if it is negative.
fn index(number: i64) -> Option<usize> {
    usize::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::docred::sample::{ANNA, vocab};
    use crate::error::chain_of;

    /// Parses a record as [`Parser`] does without options.
    fn record(json: &str, labels: Labels) -> Result<Record> {
        let parser = Parser {
            labels,
            format: CorpusFormat::DocRed,
            hacred_view: None,
            pair_set: PairSet::OffDiagonal,
            skips_mentions: false,
        };
        let mut collected = RelationVocab::only_threshold();
        parser.parse(json.as_bytes(), TextPosition::START, &mut collected)
    }

    fn title_of(json: &[u8]) -> Option<String> {
        CorpusFormat::DocRed.title_of(json)
    }

    fn parse(json: &str) -> Result<Document, String> {
        let record = record(json, Labels::Resolve(&vocab()));
        record.map(|record| record.document).map_err(|error| chain_of(&error))
    }

    /// Asserts that [`ANNA`] with `from` replaced by `to` is refused and its title is found.
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
    fn empty_texts_and_empty_lists_are_valid() {
        let bare = r#"{"title":"","sents":[],"vertexSet":[]}"#;
        assert!(parse(bare).unwrap().entities.is_empty());
        let one = r#"{"title":"t","sents":[[],[""]],"vertexSet":[[{"name":"","sent_id":1,"pos":[0,1]}]],"labels":[]}"#;
        assert_eq!(parse(one).unwrap().entities.len(), 1);
    }

    #[test]
    fn a_document_with_missing_or_null_labels_has_no_facts() {
        let without = ANNA.replace("\"labels\":", "\"other\":");
        assert!(parse(&without).unwrap().facts.is_empty());
        let null = ANNA.replace(r#"[{"r":"P551","h":0,"t":1,"evidence":[0]}]"#, "null");
        assert!(parse(&null).unwrap().facts.is_empty());
    }

    #[test]
    fn ignored_labels_may_be_any_json() {
        for labels in ["7", "\"x\"", "{\"r\":[]}", "[{\"r\":\"P0\",\"h\":-9}]", "[[[]]]"] {
            let json = ANNA.replace(r#"[{"r":"P551","h":0,"t":1,"evidence":[0]}]"#, labels);
            let record = record(&json, Labels::Ignore).unwrap();
            assert!(record.document.facts.is_empty());
            assert!(parse(&json).is_err(), "{labels}");
        }
    }

    #[test]
    fn a_repeated_label_is_kept_with_its_evidence() {
        let label = r#"{"r":"P551","h":0,"t":1,"evidence":[0]}"#;
        let more = r#",{"r":"P551","h":0,"t":1,"evidence":[1]},{"r":"P27","h":0,"t":1}"#;
        let json = ANNA.replace(label, &format!("{label}{more}"));
        let facts = parse(&json).unwrap().facts;
        let found: Vec<_> = facts.iter().map(|fact| (fact.relation, &fact.evidence[..])).collect();
        assert_eq!(found, [(1, &[0][..]), (1, &[1]), (2, &[])]);
    }

    #[test]
    fn a_mention_outside_its_text_is_refused() {
        let oslo = r#""pos":[3,4]"#;
        for pos in ["[3,6]", "[-1,4]", "[4,3]", "[3,3]", "[5,6]", "[9223372036854775807,4]"] {
            assert_refused(oslo, &format!("\"pos\":{pos}"), "is not a span of sentence 0");
        }
        for pos in ["[]", "[3]", "[3,4,5]"] {
            assert_refused(oslo, &format!("\"pos\":{pos}"), "pos must be two integers");
        }
        assert_refused(
            r#""sent_id":1"#,
            r#""sent_id":2"#,
            "sentence 2 in a document of 2 sentences",
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
        assert_refused(sents, "[]", "sentence 0 in a document of 0 sentences");
    }

    #[test]
    fn a_wrong_label_is_refused() {
        assert_refused("P551", "P0", "relation \"P0\" is not in the vocabulary");
        assert_refused("P551", "Na", "\"Na\" is the threshold class");
        assert_refused(
            r#""h":0"#,
            r#""h":2"#,
            "head 2, tail 1 and class 1: the document has 2 entities",
        );
        assert_refused(r#""t":1"#, r#""t":-1"#, "h is 0 and t is -1");
        assert_refused(r#""t":1"#, r#""t":0"#, "an entity is related to itself");
        assert_refused(r#""evidence":[0]"#, r#""evidence":[2]"#, "evidence 2");
        assert_refused(r#""evidence":[0]"#, r#""evidence":[-1]"#, "evidence -1");
        assert_refused(r#""evidence":[0]"#, r#""evidence":0"#, "expected a list");
        assert_refused(r#""evidence":[0]"#, r#""evidence":["0"]"#, "expected a whole number");
    }

    #[test]
    fn a_missing_field_or_a_wrong_type_is_refused() {
        assert_refused("\"sents\"", "\"s\"", "missing field `sents`");
        assert_refused("\"vertexSet\"", "\"v\"", "missing field `vertexSet`");
        assert_refused("\"name\"", "\"n\"", "missing field `name`");
        assert_refused("\"pos\":[3,4]", "\"pos\":[3,4.5]", "expected a whole number");
        assert_refused("\"pos\":[3,4]", "\"pos\":\"3\"", "expected a list");
        assert_refused("[\"She\",", "[7,", "expected a string");
        assert_refused("\"extra\":", "\"sents\":", "duplicate field");
    }

    #[test]
    fn a_type_of_a_mention_that_is_not_a_text_is_read_as_no_type() {
        for (kind, expected) in [
            (r#""type":null,"#, ""),
            (r#""type":7,"#, ""),
            (r#""type":-1.5e300,"#, ""),
            (r#""type":["PER",{"x":[]}],"#, ""),
            (r#""type":{"coarse":"PER"},"#, ""),
            (r#""type":true,"#, ""),
            ("", ""),
            (r#""type":"P\u00e9R","#, "PéR"),
        ] {
            let document = parse(&ANNA.replacen(r#""type":"PER","#, kind, 1)).unwrap();
            assert_eq!(document.entities[0].kind, expected, "{kind}");
            assert_eq!(document.entities[0].mentions.len(), 2);
        }
    }

    #[test]
    fn a_wrong_type_is_described_in_the_words_of_json_without_the_document() {
        let long = "x".repeat(100_000);
        let reason = parse(&ANNA.replace("[3,4]", &format!("\"{long}\""))).unwrap_err();
        assert!(reason.contains("expected a list, not the text \"xxx"), "{reason}");
        for json in [format!("\"{long}\""), ANNA.replace("[0]}", &format!("[\"{long}\"]}}"))] {
            let reason = parse(&json).unwrap_err();
            assert!(reason.len() < 300, "{reason}");
            for rust in ["i64", "usize", "struct", "RawDocument", "sequence", "map"] {
                assert!(!reason.contains(rust), "{reason}");
            }
        }
    }

    #[test]
    fn a_missing_title_and_a_title_that_is_not_a_string_are_refused() {
        for (title, found) in [("\"t\":\"Anna\"", None), ("\"title\":7", Some("7"))] {
            let json = ANNA.replace("\"title\":\"Anna\"", title);
            assert!(parse(&json).is_err());
            assert_eq!(title_of(json.as_bytes()).as_deref(), found);
        }
    }
}
