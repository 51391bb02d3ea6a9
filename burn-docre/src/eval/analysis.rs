//! The analyses of the papers: scores of subsets of the facts, binary scores, kinds of errors.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::gold::GoldCorpus;
use super::precision_recall::{PrecisionRecall, ratio};
use super::predictions::{FactKey, PredictionSet};
use crate::data::pair::EntityPair;

/// Infer F1: the scores of the facts that take part in logical reasoning (GAIN, section 4.6).
///
/// GAIN counts the gold facts r1, r2 and r3 with h –r1→ o –r2→ t and h –r3→ t. The code of this
/// metric is not published. Here three different entities form a *triangle* if the ordered pairs
/// (h, o), (o, t) and (h, t) are related. A fact takes part in reasoning if its pair, related or
/// not, forms a triangle with two pairs that gold facts relate. Recall counts the gold facts of
/// such pairs, precision all predictions for such pairs.
///
/// KD-DocRE's scorer divides by the number of all predictions instead. Its precision is
/// [`precision_all_predictions`](Self::precision_all_predictions), its F1
/// [`f1_all_predictions`](Self::f1_all_predictions). Recall is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct InferenceScore {
    /// The scores of the facts that take part in reasoning.
    #[serde(flatten)]
    pub score: PrecisionRecall,
    /// The correct predictions that take part in reasoning, as a share of all predictions.
    pub precision_all_predictions: f64,
    /// Harmonic mean of `precision_all_predictions` and the recall of `score`.
    pub f1_all_predictions: f64,
    /// Number of gold facts that take part in reasoning.
    pub support: usize,
}

/// Macro scores: means over the relation types that have a gold fact, each with equal weight.
///
/// A type without predictions has precision 0. A type that is predicted but has no gold fact is
/// not in the means. `f1` is the mean of the F1 scores, not the F1 of the two other means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct MacroScore {
    /// Mean of the precisions.
    pub precision: f64,
    /// Mean of the recalls.
    pub recall: f64,
    /// Mean of the F1 scores.
    pub f1: f64,
    /// Number of relation types in the means.
    pub n_relations: usize,
}

/// The numbers of correct facts and of errors by kind (KD-DocRE, table 7).
///
/// A missed gold fact counts only if nothing is predicted for its pair, as in the paper. Otherwise
/// the prediction for the pair counts, as correct or wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ErrorCounts {
    /// C: predicted facts that are gold facts.
    pub correct: usize,
    /// W: predicted facts with a wrong relation for a related pair.
    pub wrong: usize,
    /// MS: gold facts of a pair without predictions.
    pub missed: usize,
    /// MR: predicted facts of an unrelated pair or of an unknown document.
    pub spurious: usize,
}

/// Scores of the facts whose relation satisfies `is_member`.
pub(super) fn by_relation(
    gold: &GoldCorpus,
    predictions: &PredictionSet,
    is_member: impl Fn(usize) -> bool,
) -> PrecisionRecall {
    let known = by_key(gold, predictions, |key| is_member(key.relation));
    let n_unknown = predictions.unknown.iter().filter(|fact| is_member(fact.relation)).count();
    known.with_more_predictions(n_unknown).score()
}

/// Scores of the facts whose entities are mentioned in a common sentence.
pub(super) fn intra(gold: &GoldCorpus, predictions: &PredictionSet) -> PrecisionRecall {
    by_distance(gold, predictions, |n_sentences| n_sentences == 0)
}

/// Scores of the facts whose entities are mentioned in no common sentence.
pub(super) fn inter(gold: &GoldCorpus, predictions: &PredictionSet) -> PrecisionRecall {
    by_distance(gold, predictions, |n_sentences| n_sentences > 0)
}

/// Scores of the facts whose distance in sentences satisfies `is_member`. Facts of unknown
/// documents have no distance and are not counted.
fn by_distance(
    gold: &GoldCorpus,
    predictions: &PredictionSet,
    is_member: impl Fn(usize) -> bool,
) -> PrecisionRecall {
    by_key(gold, predictions, |key| gold.distance(key.document, key.pair).is_some_and(&is_member))
        .score()
}

/// Scores of the facts that take part in reasoning, as [`InferenceScore`] defines them.
pub(super) fn inference(gold: &GoldCorpus, predictions: &PredictionSet) -> InferenceScore {
    let graph = PairGraph::new(gold.facts.keys());
    let counts = by_key(gold, predictions, |key| graph.is_side_of_triangle(key.document, key.pair));
    let score = counts.score();
    let precision_all_predictions = ratio(counts.correct, predictions.len());
    InferenceScore {
        score,
        precision_all_predictions,
        f1_all_predictions: PrecisionRecall::from_ratios(precision_all_predictions, score.recall)
            .f1,
        support: counts.gold,
    }
}

/// Means over the relation types that have a gold fact.
pub(super) fn macro_average(gold: &GoldCorpus, predictions: &PredictionSet) -> MacroScore {
    let counts = counts_per_relation(gold, predictions);
    let scores: Vec<_> =
        counts.into_values().filter(|counts| counts.gold > 0).map(Counts::score).collect();
    let n_relations = scores.len();
    let mean = |value: fn(&PrecisionRecall) -> f64| {
        let sum: f64 = scores.iter().map(value).sum();
        if n_relations == 0 { 0.0 } else { sum / n_relations as f64 }
    };
    MacroScore {
        precision: mean(|score| score.precision),
        recall: mean(|score| score.recall),
        f1: mean(|score| score.f1),
        n_relations,
    }
}

/// Scores of the ordered pairs, related or not, without regard to the relation.
pub(super) fn binary(gold: &GoldCorpus, predictions: &PredictionSet) -> PrecisionRecall {
    let gold = related_pairs(gold.facts.keys());
    let predicted = related_pairs(predictions.facts.keys());
    let unknown: BTreeSet<_> =
        predictions.unknown.iter().map(|fact| (&fact.title, fact.pair)).collect();
    PrecisionRecall::from_counts(
        predicted.intersection(&gold).count(),
        predicted.len() + unknown.len(),
        gold.len(),
    )
}

/// Counts the errors by kind.
pub(super) fn errors(gold: &GoldCorpus, predictions: &PredictionSet) -> ErrorCounts {
    let related = related_pairs(gold.facts.keys());
    let predicted = related_pairs(predictions.facts.keys());
    let mut errors = ErrorCounts { spurious: predictions.unknown.len(), ..Default::default() };
    for key in predictions.facts.keys() {
        if gold.facts.contains_key(key) {
            errors.correct += 1;
        } else if related.contains(&(key.document, key.pair)) {
            errors.wrong += 1;
        } else {
            errors.spurious += 1;
        }
    }
    let is_missed = |key: &&FactKey| !predicted.contains(&(key.document, key.pair));
    errors.missed = gold.facts.keys().filter(is_missed).count();
    errors
}

/// The numbers of facts of a subset.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) correct: usize,
    pub(super) predicted: usize,
    pub(super) gold: usize,
}

impl Counts {
    pub(super) fn score(self) -> PrecisionRecall {
        PrecisionRecall::from_counts(self.correct, self.predicted, self.gold)
    }

    fn with_more_predictions(self, n_more: usize) -> Self {
        Self { predicted: self.predicted + n_more, ..self }
    }
}

/// Counts the gold and predicted facts that satisfy `is_member`.
fn by_key(
    gold: &GoldCorpus,
    predictions: &PredictionSet,
    is_member: impl Fn(&FactKey) -> bool,
) -> Counts {
    let n_gold = gold.facts.keys().filter(|key| is_member(key)).count();
    let mut counts = Counts { gold: n_gold, ..Counts::default() };
    for key in predictions.facts.keys().filter(|key| is_member(key)) {
        counts.predicted += 1;
        counts.correct += usize::from(gold.facts.contains_key(key));
    }
    counts
}

/// The numbers of facts of each relation with a gold or predicted fact.
pub(super) fn counts_per_relation(
    gold: &GoldCorpus,
    predictions: &PredictionSet,
) -> BTreeMap<usize, Counts> {
    let mut relations: BTreeMap<usize, Counts> = BTreeMap::new();
    for key in gold.facts.keys() {
        relations.entry(key.relation).or_default().gold += 1;
    }
    for key in predictions.facts.keys() {
        let counts = relations.entry(key.relation).or_default();
        counts.predicted += 1;
        counts.correct += usize::from(gold.facts.contains_key(key));
    }
    for fact in &predictions.unknown {
        relations.entry(fact.relation).or_default().predicted += 1;
    }
    relations
}

fn related_pairs<'a>(keys: impl Iterator<Item = &'a FactKey>) -> BTreeSet<(usize, EntityPair)> {
    keys.map(|key| (key.document, key.pair)).collect()
}

/// The related pairs of the gold documents, indexed by document and entity.
struct PairGraph {
    /// The tails of the pairs with this head.
    tails: BTreeMap<(usize, usize), BTreeSet<usize>>,
    /// The heads of the pairs with this tail.
    heads: BTreeMap<(usize, usize), BTreeSet<usize>>,
}

impl PairGraph {
    fn new<'a>(keys: impl Iterator<Item = &'a FactKey>) -> Self {
        let mut graph = Self { tails: BTreeMap::new(), heads: BTreeMap::new() };
        for &FactKey { document, pair: EntityPair { head, tail }, .. } in keys {
            graph.tails.entry((document, head)).or_default().insert(tail);
            graph.heads.entry((document, tail)).or_default().insert(head);
        }
        graph
    }

    /// Returns `true` if the pair forms a triangle a → b, b → c, a → c with two related pairs.
    fn is_side_of_triangle(&self, document: usize, pair: EntityPair) -> bool {
        let EntityPair { head, tail } = pair;
        let tails = |entity| self.tails.get(&(document, entity));
        let heads = |entity| self.heads.get(&(document, entity));
        let share_another = |left: Option<&BTreeSet<usize>>, right: Option<&BTreeSet<usize>>| {
            let (Some(left), Some(right)) = (left, right) else { return false };
            left.intersection(right).any(|&other| other != head && other != tail)
        };
        // The pair is a → c: head → other → tail.
        let is_conclusion = || share_another(tails(head), heads(tail));
        // The pair is a → b: head → other and tail → other.
        let is_first_step = || share_another(tails(head), tails(tail));
        // The pair is b → c: other → head and other → tail.
        let is_second_step = || share_another(heads(head), heads(tail));
        head != tail && (is_conclusion() || is_first_step() || is_second_step())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Scorer;
    use super::super::small_world::*;
    use super::*;

    fn gold() -> GoldCorpus {
        small_scorer().gold
    }

    fn score(n_correct: usize, n_predicted: usize, n_gold: usize) -> PrecisionRecall {
        PrecisionRecall::from_counts(n_correct, n_predicted, n_gold)
    }

    #[test]
    fn scores_of_a_set_of_relations_count_its_facts_only() {
        // P17 and P131 have 3 gold facts and 6 of the 7 predictions, 3 of them correct: precision
        // 3 / 6, recall 3 / 3, F1 2 · 0.5 · 1 / 1.5 = 2 / 3. P50 has 2 gold facts and the wrong
        // prediction A 0 1: all three scores are 0.
        let frequent = by_relation(&gold(), &small_predictions(), |relation| relation != P50);
        assert_eq!(frequent, score(3, 6, 3));
        assert!((frequent.f1 - 2.0 / 3.0).abs() < 1e-12);
        let long_tail = by_relation(&gold(), &small_predictions(), |relation| relation == P50);
        assert_eq!(long_tail, score(0, 1, 2));
    }

    #[test]
    fn intra_and_inter_scores_divide_the_facts_of_known_documents_by_distance() {
        // Intra: gold A 0 1; predicted A 0 1 with two relations, A 3 0, A 1 3. One is correct:
        // precision 1 / 4, recall 1 / 1.
        assert_eq!(intra(&gold(), &small_predictions()), score(1, 4, 1));
        // Inter: gold A 1 2, A 0 2, A 2 3, B 0 1; predicted A 1 2, A 0 2. Both are correct:
        // precision 2 / 2, recall 2 / 4.
        assert_eq!(inter(&gold(), &small_predictions()), score(2, 2, 4));
    }

    #[test]
    fn the_distance_of_a_pair_is_that_of_its_closest_mentions() {
        let pair = |head, tail| EntityPair { head, tail };
        let corpus = GoldCorpus::new(&[document("A", &[&[0, 9], &[3, 7], &[]], &[])]);
        assert_eq!(corpus.distance(0, pair(0, 1)), Some(2));
        assert_eq!(corpus.distance(0, pair(0, 2)), None);
        assert_eq!((corpus.distance(0, pair(0, 3)), corpus.distance(1, pair(0, 1))), (None, None));
    }

    #[test]
    fn infer_scores_count_the_facts_of_all_three_sides_of_a_triangle() {
        // Gold: the three sides of 0 → 1 → 2. Predicted: the same three facts, the wrong relation
        // A 0 1 P50, and A 1 3 P17, which forms the triangle 1 → 2 → 3.
        let infer = inference(&gold(), &small_predictions());
        // Precision 3 / 5, recall 3 / 3, F1 2 · 0.6 · 1 / 1.6 = 0.75.
        assert_eq!((infer.score, infer.support), (score(3, 5, 3), 3));
        assert!((infer.score.f1 - 0.75).abs() < 1e-12);
        // The other denominator is all 7 predictions: 3 / 7, F1 2 · (3 / 7) · 1 / (10 / 7) = 0.6.
        assert_eq!(infer.precision_all_predictions, 3.0 / 7.0);
        assert!((infer.f1_all_predictions - 0.6).abs() < 1e-12);
    }

    #[test]
    fn macro_scores_are_means_over_the_relations_with_gold_facts() {
        // P17: 2 of 5 predictions are correct, 2 gold facts; F1 2 · 0.4 · 1 / 1.4 = 4 / 7.
        // P131: 1 of 1, 1 gold fact; F1 1. P50: 0 of 1, 2 gold facts; F1 0.
        let MacroScore { precision, recall, f1, n_relations } =
            macro_average(&gold(), &small_predictions());
        let near = |actual: f64, expected: f64| assert!((actual - expected).abs() < 1e-12);
        near(precision, (0.4 + 1.0 + 0.0) / 3.0);
        near(recall, (1.0 + 1.0 + 0.0) / 3.0);
        near(f1, (4.0 / 7.0 + 1.0 + 0.0) / 3.0);
        assert_eq!(n_relations, 3);
    }

    #[test]
    fn a_relation_without_gold_facts_is_not_in_the_macro_scores() {
        let gold = [named("A", &["a", "b"], &[(0, 1, P17)])];
        let predicted = named("A", &["a", "b"], &[(0, 1, P17), (0, 1, P50)]);
        let predictions = PredictionSet::new(predicted.facts.iter().map(|fact| (0, fact)));
        let average = |gold: &[_]| macro_average(&GoldCorpus::new(gold), &predictions);
        let perfect = MacroScore { precision: 1.0, recall: 1.0, f1: 1.0, n_relations: 1 };
        assert_eq!(average(&gold), perfect);
        assert_eq!(average(&[]), MacroScore::default());
    }

    #[test]
    fn a_triangle_has_three_different_entities_and_is_not_a_cycle() {
        let n_inferred = |facts: &[(usize, usize, usize)]| {
            let document = named("A", &["a", "b", "c"], facts);
            let corpus = GoldCorpus::new(std::slice::from_ref(&document));
            let graph = PairGraph::new(corpus.facts.keys());
            document.facts.iter().filter(|fact| graph.is_side_of_triangle(0, fact.pair)).count()
        };
        assert_eq!(n_inferred(&[(0, 1, P17), (1, 2, P17), (0, 2, P50), (0, 2, P17)]), 4);
        assert_eq!(n_inferred(&[(0, 1, P17), (1, 2, P17), (2, 0, P17)]), 0, "a cycle");
        assert_eq!(n_inferred(&[(0, 1, P17), (1, 0, P17), (0, 0, P17)]), 0, "two entities");
        assert_eq!(n_inferred(&[(0, 1, P17), (1, 2, P17)]), 0, "no conclusion");
    }

    #[test]
    fn binary_scores_ignore_the_relation() {
        // 5 gold pairs; predicted A 0 1, A 1 2, A 0 2, A 3 0, A 1 3 and one of an unknown document.
        // 3 of these 6 pairs are related: precision 3 / 6, recall 3 / 5.
        assert_eq!(binary(&gold(), &small_predictions()), score(3, 6, 5));
    }

    #[test]
    fn errors_are_counted_by_kind() {
        // Correct: A 0 1 P17, A 1 2, A 0 2. Wrong: A 0 1 P50. Missed: A 2 3 and B 0 1, whose pairs
        // have no prediction. Spurious: A 3 0, A 1 3 and the unknown document.
        let expected = ErrorCounts { correct: 3, wrong: 1, missed: 2, spurious: 3 };
        assert_eq!(errors(&gold(), &small_predictions()), expected);
    }

    #[test]
    fn a_missed_fact_of_a_pair_with_predictions_is_not_counted() {
        let gold = [document("A", &[&[0], &[0]], &[(0, 1, P17, &[]), (0, 1, P50, &[])])];
        let scorer = Scorer::new(&gold, &[]).unwrap();
        let predictions = PredictionSet::new([(0, &gold[0].facts[0])]);
        let expected = ErrorCounts { correct: 1, ..ErrorCounts::default() };
        assert_eq!(errors(&scorer.gold, &predictions), expected);
    }

    #[test]
    fn facts_are_counted_by_relation() {
        // (correct, predicted, gold); P17 is also predicted for the unknown document.
        let counts = counts_per_relation(&gold(), &small_predictions());
        let row = |relation: usize| {
            let Counts { correct, predicted, gold } = counts[&relation];
            (correct, predicted, gold)
        };
        assert_eq!((row(P17), row(P131), row(P50)), ((2, 5, 2), (1, 1, 1), (0, 1, 2)));
    }
}
