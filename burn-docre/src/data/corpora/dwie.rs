//! DWIE: one JSON object for each article, with offsets of characters.
//!
//! Source: "Dataset Format" in the README of <https://github.com/klimzaporojets/DWIE>, its
//! `src/dwie_download.py`, and the files in `data/annos`. An article has `id`, `content`, `tags`,
//! `mentions` (`begin`, `end`, `text`, `concept`), `concepts` (`concept`, `tags`) and `relations`
//! (`s`, `p`, `o`). `end` is the offset behind the last character, though the README says
//! otherwise: `"EU"` stands at 18 to 20. Offsets count Unicode characters. `content` is missing in
//! the repository, and DWIE's download script adds it, with `--tokenize` also `tokenization`. The
//! tags `train` and `test` name the split of an article.
//!
//! An entity is a concept with its mentions. Some concepts have no mention in the article; they
//! and their relations are left out. Words and sentences are those of [`super::segmentation`].

use std::collections::HashMap;
use std::ops::Range;

use serde::Deserialize;

use super::segmentation::{Segmentation, WordSpan};
use crate::Result;
use crate::data::raw::{Omitted, RawDocument, RawLabel, RawMention, from_json, refused};
use crate::input::TextPosition;

/// The beginning of a tag that is the type of an entity.
const TYPE: &str = "type::";

#[derive(Deserialize)]
struct Article {
    id: String,
    content: Option<String>,
    tokenization: Option<Tokenization>,
    /// Read by [`tags_of`]; malformed ones are an error here.
    #[serde(default, rename = "tags")]
    _tags: Vec<String>,
    mentions: Vec<Annotation>,
    concepts: Vec<Concept>,
    relations: Vec<Relation>,
}

#[derive(Deserialize)]
struct Tokenization {
    begin: Vec<i64>,
    end: Vec<i64>,
}

#[derive(Deserialize)]
struct Annotation {
    begin: i64,
    end: i64,
    text: String,
    concept: i64,
}

#[derive(Deserialize)]
struct Concept {
    concept: i64,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Deserialize)]
struct Relation {
    s: i64,
    p: String,
    o: i64,
}

/// The tags of an article, which name its split; `None` if the record is malformed.
pub(super) fn tags_of(record: &[u8]) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Tags {
        #[serde(default)]
        tags: Vec<String>,
    }

    serde_json::from_slice::<Tags>(record).ok().map(|Tags { tags }| tags)
}

pub(super) fn parse(json: &str, start: TextPosition) -> Result<RawDocument<Vec<RawLabel>>> {
    let article: Article = from_json(json, start, "DWIE")?;
    let Some(content) = &article.content else {
        let reason = "the article has no `content`; DWIE's download script adds it";
        return Err(refused(reason));
    };
    let text: Vec<char> = content.chars().collect();
    let spans: Vec<_> = article.mentions.iter().map(|mention| span(mention, &text)).collect();
    let valid: Vec<_> = spans.iter().filter_map(|span| span.clone().ok()).collect();
    let tokens = article.tokenization.map(|tokens| tokens.ranges(text.len())).transpose()?;
    let words = Segmentation::new(&text, tokens, &valid);
    let mentions = mentions_by_concept(article.mentions, spans, &words);
    let mut omitted = Omitted::new();
    let (entities, positions) = entities(&article.concepts, mentions, &mut omitted)?;
    let labels = labels(article.relations, &positions, &mut omitted)?;
    let (title, sentences) = (article.id, words.sentences);
    Ok(RawDocument { title, entities, sentences, labels: Some(labels), omitted })
}

/// The mentions of each concept, in the order of the article.
fn mentions_by_concept(
    annotations: Vec<Annotation>,
    spans: Vec<Result<Range<usize>, String>>,
    words: &Segmentation,
) -> HashMap<i64, Vec<RawMention>> {
    let mut mentions: HashMap<i64, Vec<RawMention>> = HashMap::new();
    for (annotation, span) in annotations.into_iter().zip(spans) {
        let place = span.and_then(|span| {
            words.locate(&span).ok_or_else(|| format!("{span:?} of the content has no word"))
        });
        mentions.entry(annotation.concept).or_default().push(mention(annotation.text, place));
    }
    mentions
}

/// The index of each concept among the entities; `None` for a concept without a mention.
type Positions = HashMap<i64, Option<i64>>;

/// The entities: the concepts that have a mention, and the position of each concept.
fn entities(
    concepts: &[Concept],
    mut mentions: HashMap<i64, Vec<RawMention>>,
    omitted: &mut Omitted,
) -> Result<(Vec<Vec<RawMention>>, Positions)> {
    let mut positions = Positions::with_capacity(concepts.len());
    let mut entities: Vec<Vec<RawMention>> = Vec::with_capacity(concepts.len());
    for concept in concepts {
        let found = mentions.remove(&concept.concept);
        let position = found.is_some().then_some(entities.len() as i64);
        if positions.insert(concept.concept, position).is_some() {
            return Err(refused(format!("two concepts have the number {}", concept.concept)));
        }
        let Some(mut found) = found else {
            *omitted.entry("concepts without a mention").or_default() += 1;
            continue;
        };
        let kind = concept.kind();
        found.iter_mut().for_each(|mention| mention.kind.clone_from(&kind));
        entities.push(found);
    }
    if let Some(concept) = mentions.into_keys().min() {
        return Err(refused(format!("a mention names concept {concept}, which has no entry")));
    }
    Ok((entities, positions))
}

/// The labels: the relations of concepts that are entities.
fn labels(
    relations: Vec<Relation>,
    positions: &Positions,
    omitted: &mut Omitted,
) -> Result<Vec<RawLabel>> {
    let at = |concept: i64| {
        let position = positions.get(&concept).copied();
        position.ok_or_else(|| {
            refused(format!("a relation names concept {concept}, which has no entry"))
        })
    };
    let mut labels = Vec::with_capacity(relations.len());
    for Relation { s, p, o } in relations {
        if let (Some(h), Some(t)) = (at(s)?, at(o)?) {
            labels.push(RawLabel { r: p, h, t, evidence: None, name: None });
        } else {
            *omitted.entry("facts about a concept without a mention").or_default() += 1;
        }
    }
    Ok(labels)
}

/// The range of a mention's characters in `text`, or the reason why the mention is invalid.
fn span(mention: &Annotation, text: &[char]) -> Result<Range<usize>, String> {
    let Annotation { begin, end, text: expected, .. } = mention;
    let span = range(*begin, *end, text.len())
        .filter(|span| !span.is_empty())
        .ok_or_else(|| format!("{begin} to {end} is no span of the content"))?;
    let found: String = text[span.clone()].iter().collect();
    // The download script, too, ignores other kinds of spaces and an invisible character. This
    // comparison also ignores punctuation marks.
    let visible = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    if visible(&found) != visible(expected) {
        return Err(format!(
            "the content has {found:?} at {begin} to {end}, and the annotation has {expected:?}"
        ));
    }
    Ok(span)
}

/// `begin..end`, if it lies in a text of `length` characters.
fn range(begin: i64, end: i64, length: usize) -> Option<Range<usize>> {
    let (begin, end) = (usize::try_from(begin).ok()?, usize::try_from(end).ok()?);
    (begin <= end && end <= length).then_some(begin..end)
}

fn mention(name: String, place: Result<WordSpan, String>) -> RawMention {
    let kind = String::new();
    match place {
        Ok(WordSpan { sentence, words }) => {
            let pos = vec![words.start as i64, words.end as i64];
            RawMention { name, kind, sent_id: sentence as i64, pos, fault: None }
        }
        Err(fault) => RawMention { name, kind, sent_id: 0, pos: Vec::new(), fault: Some(fault) },
    }
}

impl Tokenization {
    /// The ranges of the tokens in a text of `length` characters.
    fn ranges(self, length: usize) -> Result<Vec<Range<usize>>> {
        let Self { begin, end } = self;
        let n = (begin.len(), end.len());
        if n.0 != n.1 {
            return Err(refused(format!("`tokenization` has {} begins and {} ends", n.0, n.1)));
        }
        let mut ranges: Vec<Range<usize>> = Vec::with_capacity(n.0);
        for (begin, end) in begin.into_iter().zip(end) {
            let previous = ranges.last().map_or(0, |last| last.end);
            match range(begin, end, length).filter(|range| range.start >= previous) {
                Some(range) => ranges.push(range),
                None => {
                    let reason = format!("`tokenization`: {begin} to {end} is no token");
                    return Err(refused(reason));
                }
            }
        }
        Ok(ranges)
    }
}

impl Concept {
    /// The types of the entity, separated by commas.
    fn kind(&self) -> String {
        let types = self.tags.iter().filter_map(|tag| tag.strip_prefix(TYPE));
        types.collect::<Vec<_>>().join(",")
    }
}
