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

use crate::data::document::{Document, Entity, EntityPair, Mention, RelationFact};
use crate::data::relation::{Relation, RelationVocab};
use crate::{Error, Result};

/// No sentence is begun once a document has this many words.
const ENOUGH_WORDS: usize = 60;
/// The share of its stateable facts that a document tells.
const TOLD: f64 = 0.65;

/// The sizes of the corpus and the noise of its distant labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyntheticConfig {
    /// The corpus is a function of the configuration: same seed, same documents, everywhere.
    pub seed: u64,
    /// Number of annotated documents to train on, at least 1.
    pub n_train: usize,
    /// Number of annotated documents to evaluate on, at least 1.
    pub n_dev: usize,
    /// Number of distantly labelled documents.
    pub n_distant: usize,
    /// Share of the true facts whose label is missing from the distant documents, in \[0, 1\];
    /// some relations lose more than others.
    pub dropped: f64,
    /// Share of the labels of the distant documents that the text does not support, in \[0, 1).
    pub spurious: f64,
}

impl SyntheticConfig {
    /// Checks the range of every value.
    ///
    /// # Errors
    /// If a value is out of its range; the error names the key.
    pub fn validate(&self) -> Result<()> {
        if self.n_train == 0 || self.n_dev == 0 {
            return Err(Error::config("synthetic: `n_train` and `n_dev` must be at least 1"));
        }
        if !(0.0..=1.0).contains(&self.dropped) {
            return Err(Error::config("synthetic: `dropped` must lie in 0..=1"));
        }
        if !(0.0..1.0).contains(&self.spurious) {
            return Err(Error::config("synthetic: `spurious` must lie in 0..1"));
        }
        Ok(())
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
        let annotated =
            |split, name, n| (0..n).map(move |i| annotated_document(config, split, name, i));
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

fn annotated_document(config: &SyntheticConfig, split: u32, name: &str, index: usize) -> Document {
    let story = Story::invent(&mut Dice::new(config.seed, split, index));
    story.document(format!("{name} {}", index + 1), story.told.clone())
}

fn distant_document(config: &SyntheticConfig, index: usize) -> Document {
    let mut dice = Dice::new(config.seed, 2, index);
    let story = Story::invent(&mut dice);
    let labels = story.distant_labels(config, &mut dice);
    story.document(format!("distant {}", index + 1), labels)
}

/// A document before it is put into the corpus's form.
struct Story {
    cast: Cast,
    sentences: Vec<Vec<String>>,
    mentions: Vec<Vec<Mention>>,
    /// The facts that the text states, and those that follow from them.
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
            if dice.chance(0.25) {
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

    /// The labels of a knowledge base: a part of the stated facts, and some true facts that are not stated.
    fn distant_labels(&self, config: &SyntheticConfig, dice: &mut Dice) -> Vec<Supported> {
        let told = self.told.iter().map(|(fact, _)| *fact);
        let mut labels: Vec<Fact> =
            told.filter(|fact| !dice.chance(drop_rate(fact.rel, config.dropped))).collect();
        let everything: Vec<Supported> =
            self.cast.facts.iter().map(|&fact| (fact, Vec::new())).collect();
        let mut untold: Vec<Fact> =
            closure(&everything).into_iter().map(|(fact, _)| fact).collect();
        untold.retain(|fact| self.told.iter().all(|(told, _)| told != fact));
        untold.retain(|fact| [fact.head, fact.tail].iter().all(|&m| !self.mentions[m].is_empty()));
        dice.shuffle(&mut untold);
        let wanted = labels.len() as f64 * config.spurious / (1.0 - config.spurious);
        let n_spurious = wanted as usize + usize::from(dice.chance(wanted.fract()));
        untold.truncate(n_spurious);
        labels.extend(untold);
        labels.into_iter().map(|fact| (fact, Vec::new())).collect()
    }

    /// Leaves out who is never mentioned and numbers the others in the order of the text.
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

/// Takes out the next fact to tell: rather one about `subject`.
fn next_fact(facts: &mut Vec<Fact>, subject: Option<usize>, dice: &mut Dice) -> Fact {
    let same_subject = facts.iter().position(|fact| Some(fact.head) == subject);
    match same_subject {
        Some(position) if dice.chance(0.8) => facts.remove(position),
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

/// The probability that the label of a `rel` is missing. It differs by relation, as in a knowledge base.
/// Around `dropped` on average, half as much more or less for every other relation.
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

    /// The distant documents of `config` and, with perfect labels, the same documents again.
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
    fn a_document_does_not_depend_on_how_many_there_are() {
        let fewer = SyntheticConfig { n_train: 3, n_dev: 2, n_distant: 1, ..config() };
        let (fewer, more) = (SyntheticCorpus::generate(&fewer), corpus());
        assert_eq!(fewer.train, more.train[..3]);
        assert_eq!(fewer.dev, more.dev[..2]);
        assert_eq!(fewer.distant, more.distant[..1]);
    }

    #[test]
    fn documents_are_short_and_name_several_entities_several_times() {
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
    fn facts_are_distinct_join_different_entities_and_never_mean_no_relation() {
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
    fn every_relation_occurs_and_many_facts_cross_sentences() {
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
    fn a_word_level_tokenizer_knows_every_word() {
        let words = vocabulary();
        let tokenizer = DocumentTokenizer::word_level(words.iter().map(String::as_str)).unwrap();
        let unknown = 1;
        for document in &corpus().dev {
            assert!(!tokenizer.tokenize(document).unwrap().token_ids.contains(&unknown));
        }
    }

    #[test]
    fn distant_labels_miss_and_invent_about_as_many_facts_as_asked() {
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
    fn everything_can_be_dropped() {
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
