//! Documents as plain data, without tensors.
//!
//! A [`Document`] holds the contents of a DocRED record. Spans are half-open ranges of words.

use super::pair::EntityPair;
use super::{pair::PairSet, relation::THRESHOLD_CLASS};
use crate::{Error, Result};

/// One occurrence of an entity in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// The text of the mention as the corpus gives it. Ign F1 compares it.
    pub name: String,
    /// Index of the sentence.
    pub sentence: usize,
    /// Index of the first word in the sentence.
    pub start: usize,
    /// Index after the last word in the sentence.
    pub end: usize,
}

/// One entity with its mentions, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    /// The corpus's type label (`PER`, `LOC`, …).
    pub kind: String,
    /// Its mentions, in the order of the corpus.
    pub mentions: Vec<Mention>,
}

/// A relation between two entities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationFact {
    /// The head and the tail.
    pub pair: EntityPair,
    /// Class index in the [`RelationVocab`](crate::data::relation::RelationVocab); never the
    /// threshold class.
    pub relation: usize,
    /// Indices of the sentences that support the fact; empty if they are not annotated.
    pub evidence: Vec<usize>,
}

/// A document with its entities and its labelled facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The title. Submissions refer to documents by it, so it must be unique within a scored
    /// corpus.
    pub title: String,
    /// The words of each sentence.
    pub sentences: Vec<Vec<String>>,
    /// The entities; a document may have none.
    pub entities: Vec<Entity>,
    /// The labelled facts; empty for unlabelled documents.
    ///
    /// A corpus may state a fact again with other evidence. It is then one fact. The official
    /// scorer takes the last evidence as correct, and counts the sentences of all.
    pub facts: Vec<RelationFact>,
}

impl Document {
    /// The largest number of entities of a [valid](Self::validate) document: ⌊√(2³¹ − 1)⌋.
    ///
    /// Models index the cells of the `[e, e]` pair grid with 32-bit integers.
    pub const MAX_ENTITIES: usize = 46_340;

    /// Checks that the document is consistent.
    ///
    /// Sentences and words may be empty, and a document may have no entities. Readers and writers
    /// of files, tokenization, [`Scorer`](crate::eval::Scorer) and [`Extractor`](crate::Extractor)
    /// call this function or [`validate_for`](Self::validate_for).
    ///
    /// # Errors
    ///
    /// [`Error::Document`] with the title, when
    /// - an entity has no mention, or there are more than [`MAX_ENTITIES`](Self::MAX_ENTITIES);
    /// - a mention is not a span of at least one word of a sentence;
    /// - a fact names an entity or an evidence sentence that does not exist;
    /// - a fact relates an entity to itself, or its relation is the threshold class.
    pub fn validate(&self) -> Result<()> {
        self.validate_for(PairSet::OffDiagonal)
    }

    /// Checks that the document is consistent and that its facts are about pairs of `pair_set`.
    ///
    /// # Errors
    ///
    /// Those of [`validate`](Self::validate). With [`PairSet::All`], a fact can relate an entity to
    /// itself.
    pub fn validate_for(&self, pair_set: PairSet) -> Result<()> {
        let checked = self.check_entities().and_then(|()| self.check_facts(pair_set));
        checked.map_err(|reason| self.error(reason))
    }

    /// Checks that the relation of each fact is below `n_classes`.
    ///
    /// # Errors
    ///
    /// [`Error::Document`] with the title, when a fact's relation is the threshold class or not
    /// below `n_classes`.
    pub fn validate_relations(&self, n_classes: usize) -> Result<()> {
        check_relations(&self.facts, n_classes).map_err(|reason| self.error(reason))
    }

    /// Checks that the number of entities does not exceed [`MAX_ENTITIES`](Self::MAX_ENTITIES).
    pub(crate) fn check_entity_count(n_entities: usize) -> Result<(), String> {
        if n_entities > Self::MAX_ENTITIES {
            let max = Self::MAX_ENTITIES;
            return Err(format!("{n_entities} entities; at most {max} are possible"));
        }
        Ok(())
    }

    fn error(&self, reason: String) -> Error {
        Error::document(self.title.clone(), reason)
    }

    fn check_entities(&self) -> Result<(), String> {
        Self::check_entity_count(self.entities.len())?;
        for (entity_index, entity) in self.entities.iter().enumerate() {
            if entity.mentions.is_empty() {
                return Err(format!("entity {entity_index} has no mentions"));
            }
            for (mention_index, mention) in entity.mentions.iter().enumerate() {
                self.check_mention(mention).map_err(|reason| {
                    format!("entity {entity_index}, mention {mention_index}: {reason}")
                })?;
            }
        }
        Ok(())
    }

    /// Checks that a mention is a span of at least one word of a sentence.
    pub(crate) fn check_mention(&self, mention: &Mention) -> Result<(), String> {
        let Mention { sentence, start, end, .. } = *mention;
        let Some(words) = self.sentences.get(sentence) else {
            let n_sentences = self.sentences.len();
            return Err(format!("sentence {sentence} in a document of {n_sentences} sentences"));
        };
        if start < end && end <= words.len() {
            return Ok(());
        }
        let n_words = words.len();
        Err(format!(
            "[{start}, {end}] is not a span of sentence {sentence}, which has {n_words} words"
        ))
    }

    fn check_facts(&self, pair_set: PairSet) -> Result<(), String> {
        let check =
            |fact| self.check_fact(fact, pair_set).map_err(|reason| fault_of(fact, &reason));
        self.facts.iter().try_for_each(check)
    }

    fn check_fact(&self, fact: &RelationFact, pair_set: PairSet) -> Result<(), String> {
        check_pair_and_relation(fact, self.entities.len(), pair_set)?;
        let n_sentences = self.sentences.len();
        match fact.evidence.iter().find(|&&sentence| sentence >= n_sentences) {
            Some(sentence) => {
                Err(format!("evidence {sentence} in a document of {n_sentences} sentences"))
            }
            None => Ok(()),
        }
    }
}

/// The reason why a fact is refused whose head is its tail.
const SELF_RELATION: &str =
    "an entity is related to itself; set `self_relations` for a corpus with such facts";

/// Checks that a fact is about two entities of the document whose pair `pair_set` contains, and
/// that its relation is not the threshold class.
pub(crate) fn check_pair_and_relation(
    fact: &RelationFact,
    n_entities: usize,
    pair_set: PairSet,
) -> Result<(), String> {
    if fact.pair.head >= n_entities || fact.pair.tail >= n_entities {
        return Err(format!("the document has {n_entities} entities"));
    }
    if !pair_set.contains(fact.pair) {
        return Err(SELF_RELATION.to_owned());
    }
    if fact.relation == THRESHOLD_CLASS {
        return Err("the threshold class is not a relation".to_owned());
    }
    Ok(())
}

/// Checks that the relation of each fact is a class below `n_classes` and not the threshold class.
pub(crate) fn check_relations(facts: &[RelationFact], n_classes: usize) -> Result<(), String> {
    let relations = THRESHOLD_CLASS + 1..n_classes;
    match facts.iter().find(|fact| !relations.contains(&fact.relation)) {
        Some(fact) => Err(fault_of(
            fact,
            &format!("relations are the classes 1 to {}", n_classes.saturating_sub(1)),
        )),
        None => Ok(()),
    }
}

/// The message of a fault of `fact`.
pub(crate) fn fault_of(fact: &RelationFact, reason: &str) -> String {
    let RelationFact { pair: EntityPair { head, tail }, relation, .. } = fact;
    format!("fact with head {head}, tail {tail} and class {relation}: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mention(sentence: usize, start: usize, end: usize) -> Mention {
        Mention { name: String::new(), sentence, start, end }
    }

    fn fact(head: usize, tail: usize, relation: usize, evidence: &[usize]) -> RelationFact {
        RelationFact { pair: EntityPair { head, tail }, relation, evidence: evidence.to_vec() }
    }

    /// Two sentences, the second empty, and two entities of one mention each.
    fn document() -> Document {
        let entity =
            |start| Entity { kind: "X".to_owned(), mentions: vec![mention(0, start, start + 1)] };
        Document {
            title: "Anna".to_owned(),
            sentences: vec![["Anna", "in", "Oslo"].map(str::to_owned).to_vec(), Vec::new()],
            entities: vec![entity(0), entity(2)],
            facts: vec![fact(0, 1, 1, &[0, 1]), fact(0, 1, 2, &[]), fact(1, 0, 1, &[])],
        }
    }

    #[track_caller]
    fn assert_refused(change: impl FnOnce(&mut Document), reason: &str) {
        let mut document = document();
        change(&mut document);
        let error = document.validate().unwrap_err().to_string();
        assert_eq!(error, format!("document \"Anna\": {reason}"));
    }

    #[test]
    fn a_pair_may_have_several_relations_and_a_sentence_may_be_empty() {
        document().validate().unwrap();
        document().validate_relations(3).unwrap();
        let empty = Document { sentences: vec![], entities: vec![], facts: vec![], ..document() };
        empty.validate().unwrap();
    }

    #[test]
    fn a_mention_that_is_not_a_span_of_a_sentence_is_refused() {
        for (wrong, reason) in [
            (mention(2, 0, 1), "sentence 2 in a document of 2 sentences"),
            (mention(1, 0, 1), "[0, 1] is not a span of sentence 1, which has 0 words"),
            (mention(0, 1, 1), "[1, 1] is not a span of sentence 0, which has 3 words"),
            (mention(0, 2, 1), "[2, 1] is not a span of sentence 0, which has 3 words"),
            (mention(0, 2, 4), "[2, 4] is not a span of sentence 0, which has 3 words"),
        ] {
            let reason = format!("entity 1, mention 0: {reason}");
            assert_refused(|document| document.entities[1].mentions[0] = wrong, &reason);
        }
        assert_refused(
            |document| document.entities[1].mentions.clear(),
            "entity 1 has no mentions",
        );
    }

    #[test]
    fn an_inconsistent_fact_is_refused_and_a_repeated_one_is_not() {
        let evidence = "evidence 2 in a document of 2 sentences";
        for (wrong, reason) in [
            (fact(2, 0, 1, &[]), "the document has 2 entities"),
            (fact(0, usize::MAX, 1, &[]), "the document has 2 entities"),
            (fact(1, 1, 1, &[]), SELF_RELATION),
            (fact(1, 0, THRESHOLD_CLASS, &[]), "the threshold class is not a relation"),
            (fact(1, 0, 2, &[0, 2]), evidence),
        ] {
            let reason = fault_of(&wrong, reason);
            assert_refused(|document| document.facts.push(wrong), &reason);
        }
        let mut document = document();
        document.facts.push(fact(0, 1, 1, &[1]));
        document.validate().unwrap();
    }

    #[test]
    fn an_entity_may_be_related_to_itself_where_the_corpus_has_such_facts() {
        let mut document = document();
        document.facts.push(fact(1, 1, 1, &[]));
        document.validate_for(PairSet::All).unwrap();
        let error = document.validate().unwrap_err().to_string();
        assert!(error.contains("related to itself; set `self_relations`"), "{error}");
        document.facts.push(fact(2, 2, 1, &[]));
        assert!(document.validate_for(PairSet::All).is_err());
    }

    #[test]
    fn more_than_the_maximum_number_of_entities_are_refused() {
        let entity = document().entities[0].clone();
        let reason = "46341 entities; at most 46340 are possible";
        assert_refused(|document| document.entities = vec![entity; 46_341], reason);
    }

    #[test]
    fn a_relation_outside_the_classes_is_refused() {
        let error = document().validate_relations(2).unwrap_err().to_string();
        assert!(error.contains("class 2: relations are the classes 1 to 1"), "{error}");
    }
}
