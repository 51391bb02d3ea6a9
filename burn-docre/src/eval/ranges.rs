//! Scores by ranges of a number: the distance of a pair's entities in sentences, the number of
//! their mentions, or the number of the document's entities.

use serde::Serialize;

use super::analysis::Counts;
use super::gold::GoldCorpus;
use super::precision_recall::PrecisionRecall;
use super::predictions::{FactKey, PredictionSet};

/// The first distance of each range, in sentences. The last range, more than five sentences, is
/// `inter_long` of Re-DocRED's scorer.
const DISTANCES: [usize; 6] = [0, 1, 2, 3, 4, 6];
/// The first number of mentions of head and tail of each range. The ranges have 40, 24, 14, 14 and
/// 8 per cent of the facts of Re-DocRED's dev split.
const MENTIONS: [usize; 5] = [2, 3, 4, 5, 7];
/// The first number of entities of each range. 42 is the most in Re-DocRED.
const ENTITIES: [usize; 6] = [1, 11, 16, 21, 26, 31];

/// The scores of the gold and predicted facts whose number is in a range.
///
/// Facts of unknown documents have no number and are in no range.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RangeScore {
    /// The smallest number of the range.
    pub from: usize,
    /// The largest number of the range; `None` if there is no limit.
    pub to: Option<usize>,
    /// The scores of the facts in the range.
    #[serde(flatten)]
    pub score: PrecisionRecall,
    /// Number of gold facts in the range.
    pub support: usize,
}

/// Scores by the smallest distance in sentences between a mention of the head and one of the tail.
pub(super) fn by_distance(gold: &GoldCorpus, predictions: &PredictionSet) -> Vec<RangeScore> {
    by_range(gold, predictions, &DISTANCES, |key| gold.distance(key.document, key.pair))
}

/// Scores by the number of mentions of head and tail together.
pub(super) fn by_mentions(gold: &GoldCorpus, predictions: &PredictionSet) -> Vec<RangeScore> {
    by_range(gold, predictions, &MENTIONS, |key| gold.n_mentions(key.document, key.pair))
}

/// Scores by the number of entities of the document.
pub(super) fn by_entities(gold: &GoldCorpus, predictions: &PredictionSet) -> Vec<RangeScore> {
    by_range(gold, predictions, &ENTITIES, |key| gold.n_entities(key.document))
}

/// Scores by `number_of`, in ranges that start at each of `first_numbers` (ascending).
fn by_range(
    gold: &GoldCorpus,
    predictions: &PredictionSet,
    first_numbers: &[usize],
    number_of: impl Fn(&FactKey) -> Option<usize>,
) -> Vec<RangeScore> {
    let range_of = |key: &FactKey| {
        let number = number_of(key)?;
        first_numbers.partition_point(|&first| first <= number).checked_sub(1)
    };
    let mut counts = vec![Counts::default(); first_numbers.len()];
    for range in gold.facts.keys().filter_map(range_of) {
        counts[range].gold += 1;
    }
    for key in predictions.facts.keys() {
        if let Some(range) = range_of(key) {
            counts[range].predicted += 1;
            counts[range].correct += usize::from(gold.facts.contains_key(key));
        }
    }
    let last_numbers = first_numbers.iter().skip(1).map(|next| Some(next - 1)).chain([None]);
    let scores = first_numbers.iter().zip(last_numbers).zip(counts);
    scores
        .map(|((&from, to), counts)| RangeScore {
            from,
            to,
            score: counts.score(),
            support: counts.gold,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::small_world::*;
    use super::*;

    /// From, to, correct, predicted and gold facts.
    type Row = (usize, Option<usize>, usize, usize, usize);

    fn assert_rows(actual: &[RangeScore], expected: &[Row]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|&(from, to, n_correct, n_predicted, support)| {
                let score = PrecisionRecall::from_counts(n_correct, n_predicted, support);
                RangeScore { from, to, score, support }
            })
            .collect();
        assert_eq!(actual, expected);
    }

    #[test]
    fn facts_are_scored_by_the_distance_of_their_entities() {
        let scores = by_distance(&small_scorer().gold, &small_predictions());
        let expected = [
            // Gold A 0 1; predicted A 0 1 P17 (correct), A 0 1 P50, A 3 0, A 1 3.
            (0, Some(0), 1, 4, 1),
            // Gold B 0 1, which is not predicted.
            (1, Some(1), 0, 0, 1),
            // Gold A 1 2, A 0 2, A 2 3; predicted A 1 2 and A 0 2, both correct.
            (2, Some(2), 2, 2, 3),
            (3, Some(3), 0, 0, 0),
            (4, Some(5), 0, 0, 0),
            (6, None, 0, 0, 0),
        ];
        assert_rows(&scores, &expected);
    }

    #[test]
    fn facts_are_scored_by_the_mentions_of_head_and_tail() {
        let scores = by_mentions(&small_scorer().gold, &small_predictions());
        let expected = [
            // Entity 3 of A has two mentions, all others have one. Gold A 0 1, A 1 2, A 0 2, B 0 1;
            // predicted the first three and A 0 1 P50.
            (2, Some(2), 3, 4, 4),
            // Gold A 2 3; predicted A 3 0 and A 1 3, both wrong.
            (3, Some(3), 0, 2, 1),
            (4, Some(4), 0, 0, 0),
            (5, Some(6), 0, 0, 0),
            (7, None, 0, 0, 0),
        ];
        assert_rows(&scores, &expected);
    }

    #[test]
    fn facts_are_scored_by_the_entities_of_their_document() {
        let gold = small_scorer().gold;
        let scores = by_entities(&gold, &small_predictions());
        // All documents have at most ten entities. The prediction for an unknown document is in no
        // range, so 6 of the 7 predictions are.
        assert_rows(&scores[..1], &[(1, Some(10), 3, 6, 5)]);
        // B has two entities and one gold fact, A four entities and all predictions.
        let number_of = |key: &FactKey| gold.n_entities(key.document);
        let scores = by_range(&gold, &small_predictions(), &[1, 3], number_of);
        assert_rows(&scores, &[(1, Some(2), 0, 0, 1), (3, None, 3, 6, 4)]);
    }

    #[test]
    fn a_number_at_the_limit_of_two_ranges_is_in_one_of_them() {
        let facts: &[Fact] = &[(0, 1, P17, &[]), (0, 2, P17, &[]), (0, 3, P17, &[])];
        let document = document("A", &[&[0], &[1, 5, 5, 5, 5, 6], &[2; 5], &[3; 4]], facts);
        let gold = GoldCorpus::new(std::slice::from_ref(&document));
        let predictions = PredictionSet::new(by_position((0, &document)));
        let supports = |scores: Vec<RangeScore>| -> Vec<usize> {
            assert!(scores.iter().all(|range| range.score.recall == f64::from(range.support > 0)));
            scores.iter().map(|range| range.support).collect()
        };
        // 1 + 6, 1 + 5 and 1 + 4 mentions; distances 1, 2 and 3.
        assert_eq!(supports(by_mentions(&gold, &predictions)), [0, 0, 0, 2, 1]);
        assert_eq!(supports(by_distance(&gold, &predictions)), [0, 1, 1, 1, 0, 0]);
    }
}
