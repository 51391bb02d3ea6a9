//! The gold facts, with marks for those that also occur in training documents.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::predictions::FactKey;
use crate::data::document::{Document, Entity, RelationFact};
use crate::data::pair::EntityPair;

/// The properties of one gold fact.
#[derive(Clone, Debug, Default)]
pub(super) struct GoldFact {
    pub(super) evidence: BTreeSet<usize>,
    /// An annotated training document has a fact with the same relation and equal names of
    /// mentions.
    pub(super) in_training: bool,
    /// A distant document has such a fact.
    pub(super) in_distant: bool,
}

/// The gold corpus, reduced to the data that the metrics read.
#[derive(Clone, Debug, Default)]
pub(super) struct GoldCorpus {
    pub(super) facts: BTreeMap<FactKey, GoldFact>,
    /// Number of evidence sentences of all facts. As in the official scorer, repeated sentences
    /// count repeatedly, and so do the sentences of a repeated fact.
    pub(super) n_evidence: usize,
    /// The entities of each document.
    entities: Vec<Vec<GoldEntity>>,
    names: NameIndex,
}

/// The properties of one entity that subsets of the facts are defined by.
#[derive(Clone, Debug)]
struct GoldEntity {
    n_mentions: usize,
    /// The sentences that mention the entity.
    sentences: BTreeSet<usize>,
}

impl GoldEntity {
    fn new(entity: &Entity) -> Self {
        let sentences = entity.mentions.iter().map(|mention| mention.sentence).collect();
        Self { n_mentions: entity.mentions.len(), sentences }
    }
}

impl GoldCorpus {
    pub(super) fn new(documents: &[Document]) -> Self {
        let mut corpus = Self::default();
        for (index, document) in documents.iter().enumerate() {
            corpus.entities.push(document.entities.iter().map(GoldEntity::new).collect());
            for fact in &document.facts {
                let key = FactKey::new(index, fact);
                // The last evidence of a repeated fact counts as correct.
                corpus.n_evidence += fact.evidence.len();
                let evidence = fact.evidence.iter().copied().collect();
                corpus.facts.insert(key, GoldFact { evidence, ..GoldFact::default() });
                corpus.names.add(document, fact, key);
            }
        }
        corpus
    }

    /// Calls `mark` on every gold fact whose relation and names occur in a fact of `document`.
    pub(super) fn mark_repeated(&mut self, document: &Document, mark: fn(&mut GoldFact)) {
        for fact in &document.facts {
            for key in self.names.same_names(document, fact) {
                if let Some(gold) = self.facts.get_mut(key) {
                    mark(gold);
                }
            }
        }
    }

    /// The smallest distance in sentences between a mention of the head and one of the tail; 0 in
    /// the same sentence. `None` if the document or the mentions do not exist.
    pub(super) fn distance(&self, document: usize, pair: EntityPair) -> Option<usize> {
        let [head, tail] = self.sides(document, pair)?;
        let tail = &tail.sentences;
        head.sentences.iter().flat_map(|h| tail.iter().map(move |t| h.abs_diff(*t))).min()
    }

    /// The number of mentions of the head and the tail together. `None` if the document or an
    /// entity does not exist.
    pub(super) fn n_mentions(&self, document: usize, pair: EntityPair) -> Option<usize> {
        let [head, tail] = self.sides(document, pair)?;
        Some(head.n_mentions + tail.n_mentions)
    }

    /// The number of entities of a document. `None` if it does not exist.
    pub(super) fn n_entities(&self, document: usize) -> Option<usize> {
        self.entities.get(document).map(Vec::len)
    }

    /// The head and the tail.
    fn sides(&self, document: usize, pair: EntityPair) -> Option<[&GoldEntity; 2]> {
        let entities = self.entities.get(document)?;
        Some([entities.get(pair.head)?, entities.get(pair.tail)?])
    }
}

/// Finds gold facts by the names of their mentions.
///
/// The index contains only the names of the gold corpus. Training documents are looked up one at a
/// time, so their number is not limited by memory.
#[derive(Clone, Debug, Default)]
struct NameIndex {
    /// The id of each name.
    ids: HashMap<String, usize>,
    facts: HashMap<NamedFact, Vec<FactKey>>,
}

/// A fact between two names, by their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct NamedFact {
    head: usize,
    tail: usize,
    relation: usize,
}

impl NameIndex {
    fn add(&mut self, document: &Document, fact: &RelationFact, key: FactKey) {
        for (head, tail) in name_pairs(document, fact.pair) {
            let (head, tail) = (self.intern(head), self.intern(tail));
            let named = NamedFact { head, tail, relation: fact.relation };
            self.facts.entry(named).or_default().push(key);
        }
    }

    /// The id of `name`, a new one if there is none yet.
    fn intern(&mut self, name: &str) -> usize {
        if let Some(&id) = self.ids.get(name) {
            return id;
        }
        let id = self.ids.len();
        self.ids.insert(name.to_owned(), id);
        id
    }

    /// The gold facts with the relation of `fact` and the names of a pair of its mentions.
    fn same_names<'a>(
        &'a self,
        document: &'a Document,
        fact: &'a RelationFact,
    ) -> impl Iterator<Item = &'a FactKey> {
        name_pairs(document, fact.pair)
            .filter_map(|(head, tail)| {
                let (head, tail) = (*self.ids.get(head)?, *self.ids.get(tail)?);
                self.facts.get(&NamedFact { head, tail, relation: fact.relation })
            })
            .flatten()
    }
}

/// All combinations of a name of the head and a name of the tail.
fn name_pairs(document: &Document, pair: EntityPair) -> impl Iterator<Item = (&str, &str)> {
    let names = |entity: usize| document.entities.get(entity).into_iter().flat_map(|e| &e.mentions);
    names(pair.head).flat_map(move |head| {
        names(pair.tail).map(move |tail| (head.name.as_str(), tail.name.as_str()))
    })
}
