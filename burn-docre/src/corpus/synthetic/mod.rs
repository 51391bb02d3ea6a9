//! A corpus that needs no download: an invented world, told in short documents.
//!
//! Every document draws its own few people, towns, firms, books and countries and what is true of
//! them, so there is nothing about the world to memorize: relations have to be read from the
//! text. Some follow only from two or three sentences together, many sentences take up their
//! subject as “she” or “the firm”, and some state nothing at all.
//!
//! The distant documents are labelled the way distant supervision labels: a knowledge base that
//! knows only a part of what the text says, but also things that the text does not say.

mod dice;
mod language;
mod lexicon;
mod world;
mod writer;

use std::collections::BTreeSet;

use dice::Dice;
use language::distractions;
use world::{Cast, Fact, Rel, Supported, closure};
use writer::{Writer, capitalized};

use crate::document::{Document, Entity, EntityPair, RelationFact};
use crate::relation::{Relation, RelationVocab};

/// No sentence is begun once a document has this many words.
const ENOUGH_WORDS: usize = 88;
/// The share of its stateable facts that a document tells.
const TOLD: f64 = 0.55;

/// How much to invent, and how noisy the distant labels are.
#[derive(Clone, Debug, PartialEq)]
pub struct SyntheticConfig {
    /// The corpus is a function of the configuration: same seed, same documents, everywhere.
    pub seed: u64,
    /// Annotated documents to train on.
    pub n_train: usize,
    /// Annotated documents to evaluate on.
    pub n_dev: usize,
    /// Distantly labelled documents.
    pub n_distant: usize,
    /// Share of the true facts whose label is missing from the distant documents, in \[0, 1\];
    /// some relations lose more than others.
    pub dropped: f64,
    /// Share of the labels of the distant documents that the text does not support, in \[0, 1).
    pub spurious: f64,
}

impl SyntheticConfig {
    /// The sizes and the noise of the demo.
    pub fn demo(seed: u64) -> Self {
        Self { seed, n_train: 200, n_dev: 100, n_distant: 800, dropped: 0.4, spurious: 0.25 }
    }
}

/// The invented documents.
#[derive(Clone, Debug, PartialEq)]
pub struct SyntheticCorpus {
    /// Annotated documents to train on.
    pub train: Vec<Document>,
    /// Annotated documents to evaluate on.
    pub dev: Vec<Document>,
    /// Documents with noisy labels.
    pub distant: Vec<Document>,
    /// The relations, by their Wikidata ids.
    pub vocab: RelationVocab,
}

impl SyntheticCorpus {
    /// Invents a corpus. Document i of a split does not depend on how many documents there are.
    pub fn generate(config: &SyntheticConfig) -> Self {
        let annotated = |split, name, n| (0..n).map(move |i| annotated_document(config, split, name, i));
        Self {
            train: annotated(0, "train", config.n_train).collect(),
            dev: annotated(1, "dev", config.n_dev).collect(),
            distant: (0..config.n_distant).map(|index| distant_document(config, index)).collect(),
            vocab: vocab(),
        }
    }
}

/// Every word that a document can contain, in alphabetical order.
pub fn vocabulary() -> Vec<String> {
    let plain = language::plain_words();
    let plain = plain.flat_map(|word| [word.to_owned(), capitalized(word)]);
    lexicon::name_words().chain(plain).collect::<BTreeSet<_>>().into_iter().collect()
}

fn vocab() -> RelationVocab {
    let threshold = Relation { id: "Na".to_owned(), name: "no relation".to_owned() };
    let relation =
        |(_, id, name): (Rel, &str, &str)| Relation { id: id.to_owned(), name: name.to_owned() };
    let relations = std::iter::once(threshold).chain(Rel::TABLE.into_iter().map(relation));
    RelationVocab::new(relations.collect()).expect("the table has no repeated ids")
}

fn annotated_document(config: &SyntheticConfig, split: u32, name: &str, index: usize) -> Document {
    let story = Story::invent(&mut Dice::new(config.seed, split, index));
    story.into_document(format!("{name} {}", index + 1), |story| story.told.clone())
}

fn distant_document(config: &SyntheticConfig, index: usize) -> Document {
    let mut dice = Dice::new(config.seed, 2, index);
    let story = Story::invent(&mut dice);
    story.into_document(format!("distant {}", index + 1), |story| {
        story.distant_labels(config, &mut dice)
    })
}

/// A document before it is put into the corpus's form.
struct Story {
    cast: Cast,
    sentences: Vec<Vec<String>>,
    mentions: Vec<Vec<crate::document::Mention>>,
    /// What the text states and what follows from that.
    told: Vec<Supported>,
}

impl Story {
    fn invent(dice: &mut Dice) -> Self {
        let cast = Cast::random(dice);
        let mut facts = cast.facts.clone();
        dice.shuffle(&mut facts);
        let n_told = (facts.len() as f64 * TOLD).round() as usize;
        let untold = facts.split_off(n_told);
        let mut writer = Writer::new(&cast);
        while !facts.is_empty() && writer.n_words() < ENOUGH_WORDS {
            if dice.chance(0.28) {
                distract(&mut writer, &cast, &untold, dice);
            }
            let fact = next_fact(&mut facts, writer.subject(), dice);
            writer.state(fact, &mut facts, dice);
        }
        let stated: Vec<_> =
            writer.stated.iter().map(|&(fact, sentence)| (fact, vec![sentence])).collect();
        let (sentences, mentions) = (writer.sentences, writer.mentions);
        Self { told: closure(&stated), sentences, mentions, cast }
    }

    /// What a knowledge base would label: a part of what is told, and some of what is merely true.
    fn distant_labels(&self, config: &SyntheticConfig, dice: &mut Dice) -> Vec<Supported> {
        let told = self.told.iter().map(|(fact, _)| *fact);
        let mut labels: Vec<Fact> =
            told.filter(|fact| !dice.chance(drop_rate(fact.rel, config.dropped))).collect();
        let everything: Vec<Supported> =
            self.cast.facts.iter().map(|&fact| (fact, Vec::new())).collect();
        let mut untold: Vec<Fact> = closure(&everything).into_iter().map(|(fact, _)| fact).collect();
        untold.retain(|fact| self.told.iter().all(|(told, _)| told != fact));
        untold.retain(|fact| [fact.head, fact.tail].iter().all(|&m| !self.mentions[m].is_empty()));
        dice.shuffle(&mut untold);
        let wanted = labels.len() as f64 * config.spurious / (1.0 - config.spurious);
        let n_spurious = wanted as usize + usize::from(dice.chance(wanted.fract()));
        untold.truncate(n_spurious);
        labels.extend(untold);
        labels.into_iter().map(|fact| (fact, Vec::new())).collect()
    }

    /// Leaves out who is never mentioned and numbers the others in random-free, textual order.
    fn into_document(
        self,
        title: String,
        labels: impl FnOnce(&Self) -> Vec<Supported>,
    ) -> Document {
        let mut labels = labels(&self);
        labels.sort();
        let first_mention =
            |member: &usize| self.mentions[*member].first().map(|m| (m.sentence, m.start));
        let mut present: Vec<usize> =
            (0..self.mentions.len()).filter(|member| first_mention(member).is_some()).collect();
        present.sort_by_key(first_mention);
        let entity_idx = |member: usize| present.iter().position(|&other| other == member);
        let facts = labels.into_iter().filter_map(|(fact, evidence)| {
            let pair = EntityPair { head: entity_idx(fact.head)?, tail: entity_idx(fact.tail)? };
            Some(RelationFact { pair, relation: fact.rel as usize, evidence })
        });
        let facts = facts.collect();
        let entity = |&member: &usize| Entity {
            kind: self.cast.members[member].kind.label().to_owned(),
            mentions: self.mentions[member].clone(),
        };
        let entities = present.iter().map(entity).collect();
        Document { title, sentences: self.sentences, entities, facts }
    }
}

/// Takes out the next fact to tell: rather one about `subject`.
fn next_fact(facts: &mut Vec<Fact>, subject: Option<usize>, dice: &mut Dice) -> Fact {
    let same_subject = facts.iter().position(|fact| Some(fact.head) == subject);
    match same_subject {
        Some(position) if dice.chance(0.6) => facts.remove(position),
        _ => facts.swap_remove(0),
    }
}

/// Writes a sentence about two members that states nothing. Rather often they are two between
/// whom something untold is true: there a knowledge base misleads.
fn distract(writer: &mut Writer, cast: &Cast, untold: &[Fact], dice: &mut Dice) {
    let (head, tail) = if !untold.is_empty() && dice.chance(0.7) {
        let fact = dice.pick(untold);
        (fact.head, fact.tail)
    } else {
        (dice.below(cast.members.len()), dice.below(cast.members.len()))
    };
    let templates = distractions(cast.members[head].kind, cast.members[tail].kind);
    if head != tail && !templates.is_empty() {
        let template = dice.pick_early(templates);
        writer.write(template, head, tail, &mut Vec::new(), dice);
    }
}

/// How often the label of a `rel` is missing: a knowledge base is not equally incomplete everywhere.
/// Around `dropped` on average, half as much more or less for every other relation.
fn drop_rate(rel: Rel, dropped: f64) -> f64 {
    let spread = 0.5 * dropped.min(1.0 - dropped);
    if rel as usize % 2 == 0 { dropped + spread } else { dropped - spread }
}
