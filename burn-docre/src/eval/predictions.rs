//! Sets of predicted facts, matched to the documents of the gold corpus.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use crate::data::document::{Document, RelationFact};
use crate::data::pair::EntityPair;
use crate::data::relation::RelationVocab;
use crate::data::submission::SubmittedFact;
use crate::{Error, Result};

/// Identifies a fact by its document, its pair of entities and its relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FactKey {
    /// Index of the document in the gold corpus.
    pub document: usize,
    /// The head and the tail.
    pub pair: EntityPair,
    /// Class index of the relation.
    pub relation: usize,
}

impl FactKey {
    /// The key of a `fact` of the gold document with index `document`.
    pub fn new(document: usize, fact: &RelationFact) -> Self {
        Self { document, pair: fact.pair, relation: fact.relation }
    }
}

/// A set of predicted facts. Of equal facts only the first counts, with its evidence, as in the
/// official scorer.
#[derive(Clone, Debug, Default)]
pub struct PredictionSet {
    /// The facts of gold documents with their evidence.
    pub(super) facts: BTreeMap<FactKey, BTreeSet<usize>>,
    /// The facts of documents that are not in the gold corpus. They count as wrong predictions.
    pub(super) unknown: BTreeSet<UnknownFact>,
}

/// A predicted fact of a document that is not in the gold corpus.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct UnknownFact {
    pub(super) title: String,
    pub(super) pair: EntityPair,
    pub(super) relation: usize,
}

impl PredictionSet {
    /// The set of pairs `(document, fact)`; `document` is an index into the gold corpus.
    pub fn new<'a>(facts: impl IntoIterator<Item = (usize, &'a RelationFact)>) -> Self {
        let mut set = Self::default();
        for (document, fact) in facts {
            set.insert(FactKey::new(document, fact), &fact.evidence);
        }
        set
    }

    /// The set of the facts in a submission. Error messages name its `path`.
    ///
    /// A fact of a title that is not in `gold` counts as a wrong prediction, as in the official
    /// scorer.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] with the position of a record, when
    /// - its relation is not in `vocab`;
    /// - its document does not have one of its entities;
    /// - several gold documents have its title.
    pub fn from_submission(
        path: &Path,
        submission: &[SubmittedFact],
        gold: &[Document],
        vocab: &RelationVocab,
    ) -> Result<Self> {
        let titles = Titles::new(gold);
        let mut set = Self::default();
        for (index, fact) in submission.iter().enumerate() {
            let refuse = |reason: String| {
                Error::format(path, format!("record {index} ({:?}): {reason}", fact.title))
            };
            let relation = vocab.relation_index(&fact.r).map_err(refuse)?;
            let pair = fact.pair();
            match titles.find(&fact.title).map_err(refuse)? {
                Some(document) => {
                    check_entities(pair, gold[document].entities.len()).map_err(refuse)?;
                    set.insert(FactKey { document, pair, relation }, &fact.evidence);
                }
                None => {
                    let title = fact.title.clone();
                    set.unknown.insert(UnknownFact { title, pair, relation });
                }
            }
        }
        Ok(set)
    }

    /// Number of different predicted facts, those of unknown documents included.
    pub fn len(&self) -> usize {
        self.facts.len() + self.unknown.len()
    }

    /// Returns `true` if the set has no facts.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of facts of documents that are not in the gold corpus.
    pub fn n_of_unknown_documents(&self) -> usize {
        self.unknown.len()
    }

    fn insert(&mut self, key: FactKey, evidence: &[usize]) {
        self.facts.entry(key).or_insert_with(|| evidence.iter().copied().collect());
    }
}

/// Finds documents by their titles.
struct Titles<'a>(HashMap<&'a str, Vec<usize>>);

impl<'a> Titles<'a> {
    fn new(documents: &'a [Document]) -> Self {
        let mut titles: HashMap<&str, Vec<usize>> = HashMap::with_capacity(documents.len());
        for (index, document) in documents.iter().enumerate() {
            titles.entry(&document.title).or_default().push(index);
        }
        Self(titles)
    }

    /// The index of the document with this title; `None` if there is none. An ambiguous title is an
    /// error.
    fn find(&self, title: &str) -> Result<Option<usize>, String> {
        match self.0.get(title).map(Vec::as_slice) {
            None => Ok(None),
            Some([document]) => Ok(Some(*document)),
            Some(several) => Err(format!("{} gold documents have this title", several.len())),
        }
    }
}

fn check_entities(pair: EntityPair, n_entities: usize) -> Result<(), String> {
    for (field, entity) in [("h_idx", pair.head), ("t_idx", pair.tail)] {
        if entity >= n_entities {
            return Err(format!("{field} is {entity}, but the document has {n_entities} entities"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::small_world::{document, submitted, vocab};
    use super::*;

    fn refused(facts: &[SubmittedFact], gold: &[Document]) -> String {
        let path = Path::new("predictions.json");
        PredictionSet::from_submission(path, facts, gold, &vocab()).unwrap_err().to_string()
    }

    #[test]
    fn the_first_of_equal_facts_gives_the_evidence() {
        let facts = [submitted("A", 0, 1, "P17", &[2, 2]), submitted("A", 0, 1, "P17", &[0, 1])];
        let gold = [document("A", &[&[0], &[0]], &[])];
        let set = PredictionSet::from_submission(Path::new("p"), &facts, &gold, &vocab()).unwrap();
        assert_eq!(set.len(), 1);
        assert_eq!(set.facts.values().next().unwrap(), &BTreeSet::from([2]));
    }

    #[test]
    fn a_fact_about_an_unknown_document_is_kept_as_unknown() {
        let fact = submitted("Nowhere", 7, 8, "P17", &[]);
        let set =
            PredictionSet::from_submission(Path::new("p"), &[fact.clone(), fact], &[], &vocab())
                .unwrap();
        assert_eq!((set.len(), set.n_of_unknown_documents(), set.is_empty()), (1, 1, false));
    }

    #[test]
    fn the_error_of_an_invalid_record_gives_its_position_title_and_cause() {
        let gold = [document("A", &[&[0], &[0]], &[])];
        let good = submitted("A", 0, 1, "P17", &[]);
        let with = |bad| refused(&[good.clone(), bad], &gold);
        for (bad, cause) in [
            (submitted("A", 0, 1, "P0", &[]), "\"P0\""),
            (submitted("A", 0, 1, "Na", &[]), "not a relation"),
            (submitted("A", 2, 1, "P17", &[]), "h_idx is 2, but the document has 2 entities"),
            (submitted("A", 0, usize::MAX, "P17", &[]), "t_idx is"),
        ] {
            let error = with(bad);
            assert!(error.contains("predictions.json: record 1 (\"A\")"), "{error}");
            assert!(error.contains(cause), "{error}");
        }
    }

    #[test]
    fn an_ambiguous_title_is_refused() {
        let gold = [document("A", &[&[0], &[0]], &[]), document("A", &[&[0]], &[])];
        let error = refused(&[submitted("A", 0, 1, "P17", &[])], &gold);
        assert!(error.contains("2 gold documents"), "{error}");
    }
}
