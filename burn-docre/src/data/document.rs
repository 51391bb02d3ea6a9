//! Documents as plain data, without tensors.
//!
//! A [`Document`] is DocRED's record with its names spelled out. Spans count words and are half open.

use std::collections::HashSet;

use crate::{Error, Result, data::relation::THRESHOLD_CLASS};

/// One occurrence of an entity in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// The text of the mention as the corpus gives it (used by Ign F1).
    pub name: String,
    /// Index of the sentence.
    pub sentence: usize,
    /// First word within the sentence.
    pub start: usize,
    /// One past the last word within the sentence.
    pub end: usize,
}

/// One entity: all the mentions that refer to it, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    /// The corpus's type label (`PER`, `LOC`, …).
    pub kind: String,
    /// Its mentions, in the order of the corpus.
    pub mentions: Vec<Mention>,
}

/// An ordered pair of entities, by index into [`Document::entities`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityPair {
    /// The entity that the relation starts from.
    pub head: usize,
    /// The entity that the relation points at.
    pub tail: usize,
}

/// A relation that holds between two entities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationFact {
    /// The head and the tail.
    pub pair: EntityPair,
    /// Class index in the [`RelationVocab`](crate::data::relation::RelationVocab); never the threshold class.
    pub relation: usize,
    /// Indices of the sentences that support it; often empty.
    pub evidence: Vec<usize>,
}

/// A document with its entities and, where they are known, its facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Unique within a corpus: the key by which predictions are scored.
    pub title: String,
    /// Words by sentence.
    pub sentences: Vec<Vec<String>>,
    /// The entities; a document may have none.
    pub entities: Vec<Entity>,
    /// The labelled facts; empty for unlabelled documents.
    pub facts: Vec<RelationFact>,
}

impl Document {
    /// The largest number of entities that a [valid](Self::validate) document has. The indices of a model's entity
    /// pairs are 32 bits wide.
    pub const MAX_ENTITIES: usize = 46_340;

    /// Checks that the document is consistent. Readers and writers of files, tokenization and
    /// [`Extractor`](crate::Extractor) call it.
    ///
    /// Sentences and words may be empty, and a document may have no entity at all.
    ///
    /// # Errors
    ///
    /// [`Error::Document`] with the title, when
    /// - an entity has no mention, or there are more than [`MAX_ENTITIES`](Self::MAX_ENTITIES);
    /// - a mention is no span of at least one word in one sentence;
    /// - a fact names an entity or an evidence sentence that does not exist, relates an entity to itself, has the
    ///   threshold class as its relation, or repeats the pair and relation of an earlier fact.
    pub fn validate(&self) -> Result<()> {
        let checked = self.check_entities().and_then(|()| self.check_facts());
        checked.map_err(|reason| self.error(reason))
    }

    /// Checks that the relation of each fact is below `n_classes`.
    ///
    /// # Errors
    ///
    /// [`Error::Document`] with the title, when a fact's relation is the threshold class or not below `n_classes`.
    pub fn validate_relations(&self, n_classes: usize) -> Result<()> {
        check_relations(&self.facts, n_classes).map_err(|reason| self.error(reason))
    }

    fn error(&self, reason: String) -> Error {
        Error::document(self.title.clone(), reason)
    }

    fn check_entities(&self) -> Result<(), String> {
        let n_entities = self.entities.len();
        if n_entities > Self::MAX_ENTITIES {
            return Err(format!(
                "{n_entities} entities; at most {} are possible",
                Self::MAX_ENTITIES
            ));
        }
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

    fn check_mention(&self, mention: &Mention) -> Result<(), String> {
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
            "[{start}, {end}] is no span of words in sentence {sentence}, which has {n_words}"
        ))
    }

    fn check_facts(&self) -> Result<(), String> {
        let mut seen = HashSet::with_capacity(self.facts.len());
        for fact in &self.facts {
            self.check_fact(fact).map_err(|reason| of_fact(fact, &reason))?;
            if !seen.insert((fact.pair, fact.relation)) {
                return Err(of_fact(fact, "stated more than once"));
            }
        }
        Ok(())
    }

    fn check_fact(&self, fact: &RelationFact) -> Result<(), String> {
        let EntityPair { head, tail } = fact.pair;
        let (n_entities, n_sentences) = (self.entities.len(), self.sentences.len());
        if head >= n_entities || tail >= n_entities {
            return Err(format!("the document has {n_entities} entities"));
        }
        if head == tail {
            return Err("an entity is related to itself".to_owned());
        }
        if fact.relation == THRESHOLD_CLASS {
            return Err("the threshold class is no relation".to_owned());
        }
        match fact.evidence.iter().find(|&&sentence| sentence >= n_sentences) {
            Some(sentence) => {
                Err(format!("evidence {sentence} in a document of {n_sentences} sentences"))
            }
            None => Ok(()),
        }
    }
}

/// Checks that the relation of each fact is a class below `n_classes` and not the threshold class.
pub(crate) fn check_relations(facts: &[RelationFact], n_classes: usize) -> Result<(), String> {
    let relations = THRESHOLD_CLASS + 1..n_classes;
    match facts.iter().find(|fact| !relations.contains(&fact.relation)) {
        Some(fact) => Err(of_fact(fact, &format!("no relation of the {n_classes} classes"))),
        None => Ok(()),
    }
}

fn of_fact(fact: &RelationFact, reason: &str) -> String {
    let RelationFact { pair: EntityPair { head, tail }, relation, .. } = fact;
    format!("fact with head {head}, tail {tail} and class {relation}: {reason}")
}

impl EntityPair {
    /// The pair's place among the off-diagonal pairs of `n_entities` entities, heads slower than tails.
    ///
    /// # Panics
    /// If the pair is on the diagonal.
    pub fn off_diagonal_row(self, n_entities: usize) -> usize {
        assert_ne!(self.head, self.tail, "the diagonal is not classified");
        let tail = if self.tail > self.head { self.tail - 1 } else { self.tail };
        self.head * (n_entities - 1) + tail
    }

    /// The pair at a place among the off-diagonal pairs: the inverse of [`EntityPair::off_diagonal_row`].
    ///
    /// # Panics
    /// If there are fewer than two entities.
    pub fn from_off_diagonal_row(row: usize, n_entities: usize) -> Self {
        let (head, tail) = (row / (n_entities - 1), row % (n_entities - 1));
        Self { head, tail: if tail >= head { tail + 1 } else { tail } }
    }
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
    fn a_pair_may_have_several_relations_and_a_sentence_no_word() {
        document().validate().unwrap();
        document().validate_relations(3).unwrap();
        let empty = Document { sentences: vec![], entities: vec![], facts: vec![], ..document() };
        empty.validate().unwrap();
    }

    #[test]
    fn a_mention_must_be_words_of_one_sentence() {
        for (wrong, reason) in [
            (mention(2, 0, 1), "sentence 2 in a document of 2 sentences"),
            (mention(1, 0, 1), "[0, 1] is no span of words in sentence 1, which has 0"),
            (mention(0, 1, 1), "[1, 1] is no span of words in sentence 0, which has 3"),
            (mention(0, 2, 1), "[2, 1] is no span of words in sentence 0, which has 3"),
            (mention(0, 2, 4), "[2, 4] is no span of words in sentence 0, which has 3"),
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
    fn a_fact_must_relate_two_entities_and_stand_once() {
        let evidence = "evidence 2 in a document of 2 sentences";
        for (wrong, reason) in [
            (fact(2, 0, 1, &[]), "the document has 2 entities"),
            (fact(0, usize::MAX, 1, &[]), "the document has 2 entities"),
            (fact(1, 1, 1, &[]), "an entity is related to itself"),
            (fact(1, 0, THRESHOLD_CLASS, &[]), "the threshold class is no relation"),
            (fact(1, 0, 2, &[0, 2]), evidence),
            (fact(0, 1, 2, &[]), "stated more than once"),
        ] {
            let reason = of_fact(&wrong, reason);
            assert_refused(|document| document.facts.push(wrong), &reason);
        }
    }

    #[test]
    fn more_entities_than_the_pairs_can_number_are_refused() {
        let entity = document().entities[0].clone();
        let reason = "46341 entities; at most 46340 are possible";
        assert_refused(|document| document.entities = vec![entity; 46_341], reason);
    }

    #[test]
    fn a_relation_outside_the_classes_is_refused() {
        let error = document().validate_relations(2).unwrap_err().to_string();
        assert!(error.contains("class 2: no relation of the 2 classes"), "{error}");
    }
}
