//! A report of all metrics of a set of predictions.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::analysis::{self, ErrorCounts, InferenceScore, MacroScore};
use super::official::{Scorer, Scores};
use super::precision_recall::PrecisionRecall;
use super::predictions::PredictionSet;
use super::ranges::{self, RangeScore};
use crate::data::relation::RelationVocab;

/// The number of relation types that count as frequent.
const N_FREQUENT: usize = 10;

/// The ten most frequent relation types of Re-DocRED, a constant list in its scorer.
const RE_DOCRED_FREQUENT: [&str; N_FREQUENT] =
    ["P17", "P131", "P27", "P150", "P175", "P577", "P463", "P527", "P495", "P361"];

/// The choice of the frequent relation types. All other types are the long tail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FrequentRelations {
    /// The ten relation types with the most facts in the annotated training documents, as in
    /// KD-DocRE. Of equally frequent types the lower class comes first.
    #[default]
    Train,
    /// The constant list of the Re-DocRED scorer.
    ReDocRed,
}

/// The scores of one relation type.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RelationScore {
    /// Precision, recall and F1 of the facts of the relation type.
    #[serde(flatten)]
    pub score: PrecisionRecall,
    /// Number of gold facts.
    pub support: usize,
}

/// All metrics of the papers.
///
/// Serialises to one object with the field names as keys. The fields of `official` stand at the top
/// level.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The official scores.
    #[serde(flatten)]
    pub official: Scores,
    /// Means over the relation types.
    #[serde(rename = "macro")]
    pub macro_average: MacroScore,
    /// Scores of the facts with a frequent relation type. `None` if no type of the vocabulary is
    /// frequent, as with Re-DocRED's list in another corpus.
    pub frequent: Option<PrecisionRecall>,
    /// Scores of the facts with another relation type. `None` if `frequent` is.
    pub long_tail: Option<PrecisionRecall>,
    /// Scores of the facts whose entities are mentioned in a common sentence.
    pub intra: PrecisionRecall,
    /// Scores of the facts whose entities are mentioned in no common sentence.
    pub inter: PrecisionRecall,
    /// Scores by the distance between the entities in sentences.
    pub by_distance: Vec<RangeScore>,
    /// Scores by the number of mentions of head and tail together.
    pub by_mentions: Vec<RangeScore>,
    /// Scores by the number of entities of the document.
    pub by_entities: Vec<RangeScore>,
    /// Scores of the facts that take part in logical reasoning.
    pub infer: InferenceScore,
    /// Scores of the ordered pairs, related or not, without regard to the relation.
    pub binary: PrecisionRecall,
    /// The errors by kind.
    pub errors: ErrorCounts,
    /// Scores of each relation type with a gold or predicted fact, by relation id.
    pub per_relation: BTreeMap<String, RelationScore>,
}

impl Report {
    /// Computes all metrics of `predictions`.
    ///
    /// # Panics
    ///
    /// When a gold or predicted relation is not a class of `vocab`. Documents and predictions must
    /// have been read with the same vocabulary.
    pub fn new(
        scorer: &Scorer,
        predictions: &PredictionSet,
        vocab: &RelationVocab,
        frequent: FrequentRelations,
    ) -> Self {
        let gold = &scorer.gold;
        let frequent = frequent.classes(scorer, vocab);
        let known = !frequent.is_empty();
        let by_relation =
            |is_member: &dyn Fn(usize) -> bool| analysis::by_relation(gold, predictions, is_member);
        Self {
            official: scorer.score(predictions),
            macro_average: analysis::macro_average(gold, predictions),
            frequent: known.then(|| by_relation(&|relation| frequent.contains(&relation))),
            long_tail: known.then(|| by_relation(&|relation| !frequent.contains(&relation))),
            intra: analysis::intra(gold, predictions),
            inter: analysis::inter(gold, predictions),
            by_distance: ranges::by_distance(gold, predictions),
            by_mentions: ranges::by_mentions(gold, predictions),
            by_entities: ranges::by_entities(gold, predictions),
            infer: analysis::inference(gold, predictions),
            binary: analysis::binary(gold, predictions),
            errors: analysis::errors(gold, predictions),
            per_relation: per_relation(scorer, predictions, vocab),
        }
    }
}

impl FrequentRelations {
    /// The number of types of the constant list that `vocab` lacks; 0 for [`Train`](Self::Train).
    pub fn n_unknown(self, vocab: &RelationVocab) -> usize {
        match self {
            Self::Train => 0,
            Self::ReDocRed => {
                RE_DOCRED_FREQUENT.iter().filter(|id| vocab.index_of(id).is_none()).count()
            }
        }
    }

    /// The classes of the frequent relation types. Types of the constant list that `vocab` lacks
    /// are omitted.
    fn classes(self, scorer: &Scorer, vocab: &RelationVocab) -> BTreeSet<usize> {
        match self {
            Self::Train => most_frequent(&scorer.training_counts),
            Self::ReDocRed => {
                RE_DOCRED_FREQUENT.iter().filter_map(|id| vocab.index_of(id)).collect()
            }
        }
    }
}

fn most_frequent(counts: &BTreeMap<usize, usize>) -> BTreeSet<usize> {
    let mut relations: Vec<_> =
        counts.iter().map(|(&class, &count)| (Reverse(count), class)).collect();
    relations.sort_unstable();
    relations.into_iter().take(N_FREQUENT).map(|(_, class)| class).collect()
}

fn per_relation(
    scorer: &Scorer,
    predictions: &PredictionSet,
    vocab: &RelationVocab,
) -> BTreeMap<String, RelationScore> {
    analysis::counts_per_relation(&scorer.gold, predictions)
        .into_iter()
        .map(|(relation, counts)| {
            let score = RelationScore { score: counts.score(), support: counts.gold };
            (vocab.id(relation).to_owned(), score)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::small_world::*;
    use super::*;

    fn report(frequent: FrequentRelations) -> Report {
        Report::new(&small_scorer(), &small_predictions(), &vocab(), frequent)
    }

    #[test]
    fn the_report_contains_the_official_scores_and_those_of_subsets() {
        let report = report(FrequentRelations::ReDocRed);
        assert_eq!(report.official, small_scorer().score(&small_predictions()));
        // P17 and P131 are in Re-DocRED's list: 3 of 6 predictions are correct, 3 gold facts.
        assert_eq!(report.frequent, Some(PrecisionRecall::from_counts(3, 6, 3)));
        // P50 is not: 0 of 1 prediction, 2 gold facts.
        assert_eq!(report.long_tail, Some(PrecisionRecall::from_counts(0, 1, 2)));
        // P17: A 0 1 and A 1 2 of 5 predictions, the unknown document's among them.
        assert_eq!(report.per_relation["P17"].support, 2);
        assert_eq!(report.per_relation["P17"].score, PrecisionRecall::from_counts(2, 5, 2));
    }

    #[test]
    fn frequent_relations_can_be_those_of_the_training_documents() {
        // The training documents have facts of P17 and P50, none of P131: 2 of 6 predictions are
        // correct, 4 gold facts. The rest is A 0 2 P131, predicted correctly.
        let report = report(FrequentRelations::Train);
        assert_eq!(report.frequent, Some(PrecisionRecall::from_counts(2, 6, 4)));
        assert_eq!(report.long_tail, Some(PrecisionRecall::from_counts(1, 1, 1)));
    }

    #[test]
    fn without_a_frequent_relation_there_are_no_scores_of_frequent_and_long_tail_relations() {
        let scorer = Scorer::new(&small_gold(), []).unwrap();
        let report = Report::new(&scorer, &small_predictions(), &vocab(), FrequentRelations::Train);
        assert_eq!((report.frequent, report.long_tail), (None, None));
        assert_eq!(FrequentRelations::ReDocRed.n_unknown(&vocab()), 8);
    }

    #[test]
    fn of_equally_frequent_relations_the_lower_classes_are_chosen() {
        let counts =
            BTreeMap::from_iter((1..=12).map(|class| (class, if class == 12 { 9 } else { 5 })));
        assert_eq!(most_frequent(&counts), (1..=9).chain([12]).collect());
    }

    #[test]
    fn the_json_has_the_documented_keys() {
        let json = serde_json::to_value(report(FrequentRelations::Train)).unwrap();
        let keys = |value: &serde_json::Value| -> BTreeSet<String> {
            value.as_object().unwrap().keys().cloned().collect()
        };
        let set = |keys: &[&str]| keys.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        let top = "f1 precision recall ign_f1 ign_f1_distant evidence_f1 evidence_precision \
                   evidence_recall macro frequent long_tail intra inter by_distance by_mentions \
                   by_entities infer binary errors per_relation";
        assert_eq!(keys(&json), set(&top.split_whitespace().collect::<Vec<_>>()));
        for subset in ["frequent", "long_tail", "intra", "inter", "binary"] {
            assert_eq!(keys(&json[subset]), set(&["precision", "recall", "f1"]));
        }
        let infer = "precision recall f1 precision_all_predictions f1_all_predictions support";
        assert_eq!(keys(&json["infer"]), set(&infer.split_whitespace().collect::<Vec<_>>()));
        assert_eq!(keys(&json["macro"]), set(&["precision", "recall", "f1", "n_relations"]));
        for ranges in ["by_distance", "by_mentions", "by_entities"] {
            let expected = set(&["from", "to", "precision", "recall", "f1", "support"]);
            let ranges = json[ranges].as_array().unwrap();
            assert!(!ranges.is_empty() && ranges.iter().all(|range| keys(range) == expected));
        }
        assert_eq!(keys(&json["errors"]), set(&["correct", "wrong", "missed", "spurious"]));
        let relation = set(&["precision", "recall", "f1", "support"]);
        assert_eq!(keys(&json["per_relation"]["P50"]), relation);
    }
}
