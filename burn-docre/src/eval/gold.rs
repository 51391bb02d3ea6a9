//! Gold facts, and which of them training has already shown.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::predictions::FactKey;
use crate::data::document::{Document, Entity, EntityPair, RelationFact};

/// The properties of one gold fact.
#[derive(Clone, Debug, Default)]
pub(super) struct GoldFact {
    pub(super) evidence: BTreeSet<usize>,
    /// Some training fact relates mentions of the same two names by the same relation.
    pub(super) in_training: bool,
    /// The same, in the distant corpus.
    pub(super) in_distant: bool,
}

/// The gold corpus, reduced to what scores need.
#[derive(Clone, Debug, Default)]
pub(super) struct GoldCorpus {
    pub(super) facts: BTreeMap<FactKey, GoldFact>,
    /// Sentences of evidence over all labels, repeated ones counted again as the official scorer
    /// does.
    pub(super) n_evidence: usize,
    /// By document and entity: the sentences that mention it.
    sentences: Vec<Vec<BTreeSet<usize>>>,
    names: NameIndex,
}

impl GoldCorpus {
    pub(super) fn new(documents: &[Document]) -> Self {
        let mut corpus = Self::default();
        for (index, document) in documents.iter().enumerate() {
            corpus.sentences.push(document.entities.iter().map(sentences_of).collect());
            for fact in &document.facts {
                let key = FactKey::new(index, fact);
                corpus.n_evidence += fact.evidence.len();
                let evidence = fact.evidence.iter().copied().collect();
                corpus.facts.insert(key, GoldFact { evidence, ..GoldFact::default() });
                corpus.names.add(document, fact, key);
            }
        }
        corpus
    }

    /// The gold facts that a fact of another document repeats by name.
    pub(super) fn mark_repeated(&mut self, document: &Document, mark: fn(&mut GoldFact)) {
        for fact in &document.facts {
            for key in self.names.same_names(document, fact) {
                if let Some(gold) = self.facts.get_mut(key) {
                    mark(gold);
                }
            }
        }
    }

    /// Fewest sentences between a mention of the one entity and a mention of the other; `None`
    /// without mentions.
    pub(super) fn distance(&self, document: usize, pair: EntityPair) -> Option<usize> {
        let entities = self.sentences.get(document)?;
        let (head, tail) = (entities.get(pair.head)?, entities.get(pair.tail)?);
        head.iter().flat_map(|h| tail.iter().map(move |t| h.abs_diff(*t))).min()
    }
}

fn sentences_of(entity: &Entity) -> BTreeSet<usize> {
    entity.mentions.iter().map(|mention| mention.sentence).collect()
}

/// Finds gold facts by the names of their mentions. It holds the gold corpus's names alone, so that
/// a training corpus of any size can pass by document after document.
#[derive(Clone, Debug, Default)]
struct NameIndex {
    ids: HashMap<String, usize>,
    facts: HashMap<(usize, usize, usize), Vec<FactKey>>,
}

impl NameIndex {
    fn add(&mut self, document: &Document, fact: &RelationFact, key: FactKey) {
        for (head, tail) in name_pairs(document, fact.pair) {
            let names = (self.intern(head), self.intern(tail), fact.relation);
            self.facts.entry(names).or_default().push(key);
        }
    }

    fn intern(&mut self, name: &str) -> usize {
        if let Some(&id) = self.ids.get(name) {
            return id;
        }
        let id = self.ids.len();
        self.ids.insert(name.to_owned(), id);
        id
    }

    fn same_names<'a>(
        &'a self,
        document: &'a Document,
        fact: &'a RelationFact,
    ) -> impl Iterator<Item = &'a FactKey> {
        name_pairs(document, fact.pair)
            .filter_map(|(head, tail)| {
                let names = (*self.ids.get(head)?, *self.ids.get(tail)?, fact.relation);
                self.facts.get(&names)
            })
            .flatten()
    }
}

/// Every name of the head beside every name of the tail.
fn name_pairs(document: &Document, pair: EntityPair) -> impl Iterator<Item = (&str, &str)> {
    let names = |entity: usize| document.entities.get(entity).into_iter().flat_map(|e| &e.mentions);
    names(pair.head).flat_map(move |head| {
        names(pair.tail).map(move |tail| (head.name.as_str(), tail.name.as_str()))
    })
}
