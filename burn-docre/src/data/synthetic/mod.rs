//! A synthetic corpus of short documents, which needs no download.
//!
//! Each document has its own random people, towns, firms, books and countries and its own facts
//! about them. Facts cannot be memorized across documents; a model has to read the text. Some facts
//! follow only from two or three sentences together. Many sentences refer to their subject by an
//! anaphor (“she”, “the firm”), and some state no fact.
//!
//! The labels of the distant documents have the noise of distant supervision. Some facts of the
//! text have no label, and some labels are true facts that the text does not state.

mod dice;
mod kind;
mod language;
mod lexicon;
mod world;
mod writer;

use std::collections::BTreeSet;

use dice::Dice;
use language::distractions;
use serde::{Deserialize, Serialize};
use world::{Cast, Fact, Rel, Supported, closure};
use writer::{Writer, capitalized};

use crate::data::document::{Document, Entity, Mention, RelationFact};
use crate::data::pair::EntityPair;
use crate::data::relation::{Relation, RelationVocab};
use crate::{Error, Result};

/// The number of words at which a document gets no further facts.
const ENOUGH_WORDS: usize = 60;
/// The largest share of the facts in [`Cast::facts`] that a document states.
const STATED: f64 = 0.65;

/// A part of the corpus. The number selects its random streams.
#[derive(Clone, Copy)]
enum Split {
    Train = 0,
    Dev = 1,
    Distant = 2,
}

impl Split {
    /// The title of a document of the split.
    fn title(self, index: usize) -> String {
        let name = match self {
            Self::Train => "train",
            Self::Dev => "dev",
            Self::Distant => "distant",
        };
        format!("{name} {}", index + 1)
    }
}

/// The sizes of the corpus and the noise of its distant labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyntheticConfig {
    /// The seed of the random numbers. Equal configurations give equal corpora on all platforms.
    pub seed: u64,
    /// Number of annotated training documents, at least 1.
    pub n_train: usize,
    /// Number of annotated dev documents, at least 1.
    pub n_dev: usize,
    /// Number of distantly labelled documents.
    pub n_distant: usize,
    /// Share of the facts of the distant documents that have no label, in \[0, 1\]. The share
    /// differs between relations.
    pub dropped: f64,
    /// Share of the labels of the distant documents that the text does not support, in \[0, 1).
    pub spurious: f64,
}

impl SyntheticConfig {
    /// Checks the range of each value.
    ///
    /// # Errors
    /// [`Error::Config`] with the key of a value that is out of range.
    pub fn validate(&self) -> Result<()> {
        if self.n_train == 0 || self.n_dev == 0 {
            return Err(Error::config("synthetic: `n_train` and `n_dev` must be at least 1"));
        }
        if !(0.0..=1.0).contains(&self.dropped) {
            return Err(Error::config("synthetic: `dropped` must be from 0 to 1"));
        }
        if !(0.0..1.0).contains(&self.spurious) {
            return Err(Error::config("synthetic: `spurious` must be at least 0 and below 1"));
        }
        Ok(())
    }
}

/// The synthetic documents.
#[derive(Clone, Debug, PartialEq)]
pub struct SyntheticCorpus {
    /// Annotated training documents.
    pub train: Vec<Document>,
    /// Annotated dev documents.
    pub dev: Vec<Document>,
    /// Distantly labelled documents.
    pub distant: Vec<Document>,
    /// The relations, by their Wikidata ids.
    pub vocab: RelationVocab,
}

impl SyntheticCorpus {
    /// Generates a corpus. Document `i` of a split does not depend on the number of documents.
    pub fn generate(config: &SyntheticConfig) -> Self {
        let annotated =
            |split, n| (0..n).map(move |index| annotated_document(config, split, index));
        Self {
            train: annotated(Split::Train, config.n_train).collect(),
            dev: annotated(Split::Dev, config.n_dev).collect(),
            distant: (0..config.n_distant).map(|index| distant_document(config, index)).collect(),
            vocab: vocab(),
        }
    }
}

/// All words that documents can contain, in alphabetical order.
pub fn vocabulary() -> Vec<String> {
    let plain = language::plain_words();
    let plain = plain.flat_map(|word| [word.to_owned(), capitalized(word)]);
    let names = lexicon::name_words().map(str::to_owned);
    names.chain(plain).collect::<BTreeSet<_>>().into_iter().collect()
}

fn vocab() -> RelationVocab {
    let threshold = Relation { id: "Na".to_owned(), name: "no relation".to_owned() };
    let relation =
        |(_, id, name): (Rel, &str, &str)| Relation { id: id.to_owned(), name: name.to_owned() };
    let relations = std::iter::once(threshold).chain(Rel::TABLE.into_iter().map(relation));
    RelationVocab::new(relations.collect()).expect("the table has no repeated ids")
}

fn annotated_document(config: &SyntheticConfig, split: Split, index: usize) -> Document {
    let story = Story::generate(&mut Dice::new(config.seed, split as u32, index));
    story.document(split.title(index), story.facts.clone())
}

fn distant_document(config: &SyntheticConfig, index: usize) -> Document {
    let mut dice = Dice::new(config.seed, Split::Distant as u32, index);
    let story = Story::generate(&mut dice);
    let labels = story.distant_labels(config, &mut dice);
    story.document(Split::Distant.title(index), labels)
}

/// The text of a document and the facts in it, by members of its cast.
struct Story {
    cast: Cast,
    sentences: Vec<Vec<String>>,
    /// The mentions of each member of the cast; empty for members that the text does not mention.
    mentions: Vec<Vec<Mention>>,
    /// The facts that the text states and those that follow from them.
    facts: Vec<Supported>,
}

impl Story {
    fn generate(dice: &mut Dice) -> Self {
        let cast = Cast::random(dice);
        let mut pending = cast.facts.clone();
        dice.shuffle(&mut pending);
        let n_pending = (pending.len() as f64 * STATED).round() as usize;
        let unstated = pending.split_off(n_pending);
        let mut writer = Writer::new(&cast);
        while !pending.is_empty() && writer.n_words() < ENOUGH_WORDS {
            if dice.chance(0.25) {
                write_distraction(&mut writer, &cast, &unstated, dice);
            }
            let fact = next_fact(&mut pending, writer.subject(), dice);
            writer.state(fact, &mut pending, dice);
        }
        let stated: Vec<_> =
            writer.stated.iter().map(|&(fact, sentence)| (fact, vec![sentence])).collect();
        let (sentences, mentions) = (writer.sentences, writer.mentions);
        Self { facts: closure(&stated), sentences, mentions, cast }
    }

    /// The labels of distant supervision: a part of the facts in the text, and some true facts
    /// about mentioned entities that are not in the text. Labels have no evidence.
    fn distant_labels(&self, config: &SyntheticConfig, dice: &mut Dice) -> Vec<Supported> {
        let in_text = self.facts.iter().map(|(fact, _)| *fact);
        let mut labels: Vec<Fact> =
            in_text.filter(|fact| !dice.chance(drop_rate(fact.rel, config.dropped))).collect();
        let true_facts: Vec<Supported> =
            self.cast.facts.iter().map(|&fact| (fact, Vec::new())).collect();
        let mut spurious: Vec<Fact> =
            closure(&true_facts).into_iter().map(|(fact, _)| fact).collect();
        spurious.retain(|fact| self.facts.iter().all(|(in_text, _)| in_text != fact));
        let is_mentioned = |member: usize| !self.mentions[member].is_empty();
        spurious.retain(|fact| is_mentioned(fact.head) && is_mentioned(fact.tail));
        dice.shuffle(&mut spurious);
        let wanted = labels.len() as f64 * config.spurious / (1.0 - config.spurious);
        let n_spurious = wanted as usize + usize::from(dice.chance(wanted.fract()));
        spurious.truncate(n_spurious);
        labels.extend(spurious);
        labels.into_iter().map(|fact| (fact, Vec::new())).collect()
    }

    /// The document with these labels. Its entities are the mentioned members of the cast, in the
    /// order of their first mentions.
    fn document(&self, title: String, mut labels: Vec<Supported>) -> Document {
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
        Document { title, sentences: self.sentences.clone(), entities, facts }
    }
}

/// Removes and returns the next fact to state, preferably one whose head is `subject`.
fn next_fact(facts: &mut Vec<Fact>, subject: Option<usize>, dice: &mut Dice) -> Fact {
    let same_subject = facts.iter().position(|fact| Some(fact.head) == subject);
    match same_subject {
        Some(position) if dice.chance(0.8) => facts.remove(position),
        _ => facts.swap_remove(0),
    }
}

/// Writes a sentence about two members that states no fact.
///
/// They are often a pair with an unstated fact, so that distant labels get pairs that share a
/// sentence but not the labelled relation.
fn write_distraction(writer: &mut Writer, cast: &Cast, unstated: &[Fact], dice: &mut Dice) {
    let (head, tail) = if !unstated.is_empty() && dice.chance(0.7) {
        let fact = dice.pick(unstated);
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

/// The probability that a fact with the relation `rel` has no distant label.
///
/// Relations differ, as in a knowledge base: `dropped` plus a spread for even classes, minus the
/// spread for odd ones. The spread is half the distance from `dropped` to 0 or 1, whichever is
/// nearer.
fn drop_rate(rel: Rel, dropped: f64) -> f64 {
    let spread = 0.5 * dropped.min(1.0 - dropped);
    if (rel as usize).is_multiple_of(2) { dropped + spread } else { dropped - spread }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::data::docred::{Labels, read_documents, write_documents};
    use crate::data::relation::THRESHOLD_CLASS;
    use crate::text::tokenizer::DocumentTokenizer;

    fn config() -> SyntheticConfig {
        SyntheticConfig {
            seed: 5,
            n_train: 150,
            n_dev: 100,
            n_distant: 300,
            dropped: 0.4,
            spurious: 0.25,
        }
    }

    fn corpus() -> SyntheticCorpus {
        SyntheticCorpus::generate(&config())
    }

    fn all(corpus: &SyntheticCorpus) -> impl Iterator<Item = &Document> {
        corpus.train.iter().chain(&corpus.dev).chain(&corpus.distant)
    }

    /// The pairs and relations of a document.
    fn facts(document: &Document) -> HashSet<(EntityPair, usize)> {
        document.facts.iter().map(|fact| (fact.pair, fact.relation)).collect()
    }

    /// The distant documents of `config`, and the same documents with correct labels.
    fn noisy_and_clean(config: &SyntheticConfig) -> (Vec<Document>, Vec<Document>) {
        let clean = SyntheticConfig { dropped: 0.0, spurious: 0.0, ..config.clone() };
        (SyntheticCorpus::generate(config).distant, SyntheticCorpus::generate(&clean).distant)
    }

    #[test]
    fn the_same_configuration_gives_the_same_corpus_and_another_seed_another() {
        assert_eq!(corpus(), corpus());
        assert_ne!(
            corpus().train,
            SyntheticCorpus::generate(&SyntheticConfig { seed: 6, ..config() }).train
        );
    }

    #[test]
    fn a_document_does_not_depend_on_the_number_of_documents() {
        let fewer = SyntheticConfig { n_train: 3, n_dev: 2, n_distant: 1, ..config() };
        let (fewer, more) = (SyntheticCorpus::generate(&fewer), corpus());
        assert_eq!(fewer.train, more.train[..3]);
        assert_eq!(fewer.dev, more.dev[..2]);
        assert_eq!(fewer.distant, more.distant[..1]);
    }

    #[test]
    fn documents_are_short_and_mention_several_entities_several_times() {
        let corpus = corpus();
        let (mut n_entities, mut n_mentions) = (0, 0);
        for document in all(&corpus) {
            assert!(document.sentences.iter().map(Vec::len).sum::<usize>() <= 120);
            assert!((2..=12).contains(&document.entities.len()), "{}", document.title);
            n_entities += document.entities.len();
            n_mentions += document.entities.iter().map(|e| e.mentions.len()).sum::<usize>();
        }
        assert!(n_entities / all(&corpus).count() >= 6);
        assert!(n_mentions as f64 > 1.5 * n_entities as f64);
    }

    #[test]
    fn every_mention_covers_its_name() {
        for document in all(&corpus()) {
            for mention in document.entities.iter().flat_map(|entity| &entity.mentions) {
                let words = &document.sentences[mention.sentence][mention.start..mention.end];
                assert_eq!(words.join(" "), mention.name);
            }
        }
    }

    #[test]
    fn facts_are_distinct_and_relate_different_entities_by_a_relation_of_the_vocabulary() {
        let corpus = corpus();
        for document in all(&corpus) {
            assert_eq!(facts(document).len(), document.facts.len());
            for fact in &document.facts {
                assert_ne!(fact.pair.head, fact.pair.tail);
                assert!(fact.relation > THRESHOLD_CLASS);
                assert!(fact.relation < corpus.vocab.n_classes());
                assert!(fact.evidence.iter().all(|&s| s < document.sentences.len()));
            }
        }
    }

    #[test]
    fn every_relation_occurs_and_many_facts_are_inter_sentence() {
        let corpus = corpus();
        let occurring: HashSet<usize> =
            corpus.train.iter().flat_map(|d| &d.facts).map(|fact| fact.relation).collect();
        assert_eq!(occurring.len(), corpus.vocab.n_classes() - 1);
        let (mut n_facts, mut n_crossing) = (0, 0);
        for document in &corpus.train {
            let sentences = |entity: usize| -> HashSet<usize> {
                document.entities[entity].mentions.iter().map(|m| m.sentence).collect()
            };
            n_facts += document.facts.len();
            n_crossing += document
                .facts
                .iter()
                .filter(|f| sentences(f.pair.head).is_disjoint(&sentences(f.pair.tail)))
                .count();
        }
        let share = n_crossing as f64 / n_facts as f64;
        assert!((0.1..0.6).contains(&share), "{share}");
    }

    #[test]
    fn titles_are_unique_in_each_split() {
        let corpus = corpus();
        assert_eq!(all(&corpus).map(|d| &d.title).collect::<HashSet<_>>().len(), 550);
    }

    #[test]
    fn the_vocabulary_covers_every_word() {
        let words = vocabulary();
        assert!(words.is_sorted() && words.iter().all(|word| !word.contains(char::is_whitespace)));
        let known: HashSet<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(known.len(), words.len());
        for word in all(&corpus()).flat_map(|d| d.sentences.iter().flatten()) {
            assert!(known.contains(word.as_str()), "{word}");
        }
    }

    #[test]
    fn a_word_level_tokenizer_of_the_vocabulary_has_no_unknown_words() {
        let words = vocabulary();
        let tokenizer = DocumentTokenizer::word_level(words.iter().map(String::as_str)).unwrap();
        let unknown = 1;
        for document in &corpus().dev {
            assert!(!tokenizer.tokenize(document).unwrap().token_ids.contains(&unknown));
        }
    }

    #[test]
    fn distant_labels_have_about_the_configured_noise() {
        let (noisy, clean) = noisy_and_clean(&config());
        let (mut n_true, mut n_missing, mut n_labels, mut n_wrong) = (0, 0, 0, 0);
        for (noisy, clean) in noisy.iter().zip(&clean) {
            assert_eq!((&noisy.sentences, &noisy.entities), (&clean.sentences, &clean.entities));
            let (labels, truth) = (facts(noisy), facts(clean));
            n_true += truth.len();
            n_missing += truth.difference(&labels).count();
            n_labels += labels.len();
            n_wrong += labels.difference(&truth).count();
        }
        let (missing, wrong) = (n_missing as f64 / n_true as f64, n_wrong as f64 / n_labels as f64);
        assert!((0.33..0.47).contains(&missing), "{missing}");
        assert!((0.18..0.28).contains(&wrong), "{wrong}");
    }

    #[test]
    fn a_dropped_share_of_one_leaves_no_labels() {
        let config = SyntheticConfig { dropped: 1.0, ..config() };
        assert!(SyntheticCorpus::generate(&config).distant.iter().all(|d| d.facts.is_empty()));
    }

    #[test]
    fn a_saved_corpus_reads_back_equal() {
        let directory = tempfile::tempdir().unwrap();
        let corpus = corpus();
        for split in [&corpus.train, &corpus.dev, &corpus.distant] {
            let path = directory.path().join("split.json");
            let mut file = std::fs::File::create(&path).unwrap();
            write_documents(&mut file, split, &corpus.vocab).unwrap();
            assert_eq!(&read_documents(&path, Labels::Resolve(&corpus.vocab)).unwrap(), split);
        }
    }
}
