//! The official DocRED scores: F1, Ign F1 and evidence F1.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::gold::GoldCorpus;
use super::precision_recall::{PrecisionRecall, ratio};
use super::predictions::PredictionSet;
use crate::Result;
use crate::data::document::Document;
use crate::data::pair::PairSet;

/// The scores of the official DocRED scorer, as fractions from 0 to 1.
///
/// Let p be the number of predicted facts, g of gold facts and c of correct facts. Let i be the
/// number of correct facts that also occur in training, with equal names of mentions and the same
/// relation.
///
/// * Precision is c / p and recall is c / g.
/// * Ign F1 is the harmonic mean of (c − i) / (p − i) and the *unchanged* recall c / g.
/// * An evidence sentence is correct if it is gold evidence of a correct fact. Evidence precision
///   divides by the evidence sentences of all predictions about gold documents, evidence recall by
///   those of all gold facts. If the gold corpus repeats a fact, the last evidence is the gold
///   evidence, and recall divides by the sentences of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Scores {
    /// F1 of the facts.
    pub f1: f64,
    /// Precision of the facts.
    pub precision: f64,
    /// Recall of the facts.
    pub recall: f64,
    /// Ign F1 with respect to the annotated training documents, as on the leaderboard; `None` from
    /// [`Scorer::without_training`].
    pub ign_f1: Option<f64>,
    /// Ign F1 with respect to the distant documents; `None` without [`Scorer::ignore_distant`].
    pub ign_f1_distant: Option<f64>,
    /// F1 of the evidence sentences.
    pub evidence_f1: f64,
    /// Precision of the evidence sentences.
    pub evidence_precision: f64,
    /// Recall of the evidence sentences.
    pub evidence_recall: f64,
}

/// Scores predictions against a gold corpus. One scorer can score many sets of predictions.
#[derive(Clone, Debug)]
pub struct Scorer {
    pub(super) gold: GoldCorpus,
    /// The number of facts of each relation in the annotated training documents.
    pub(super) training_counts: BTreeMap<usize, usize>,
    ignores_training: bool,
    ignores_distant: bool,
}

impl Scorer {
    /// A scorer for the `gold` documents, without Ign F1.
    ///
    /// # Errors
    ///
    /// [`Error::Document`](crate::Error::Document) when a document is not
    /// [valid](Document::validate_for) with [`PairSet::All`].
    pub fn without_training(gold: &[Document]) -> Result<Self> {
        for (index, document) in gold.iter().enumerate() {
            document.validate_for(PairSet::All).map_err(|error| error.at_index(index))?;
        }
        Ok(Self {
            gold: GoldCorpus::new(gold),
            training_counts: BTreeMap::new(),
            ignores_training: false,
            ignores_distant: false,
        })
    }

    /// A scorer for the `gold` documents. `training` are the annotated training documents, whose
    /// facts Ign F1 ignores. There may be none; Ign F1 is then F1.
    ///
    /// # Errors
    ///
    /// [`Error::Document`](crate::Error::Document) when a document is not
    /// [valid](Document::validate_for) with [`PairSet::All`].
    pub fn new<'a>(
        gold: &[Document],
        training: impl IntoIterator<Item = &'a Document>,
    ) -> Result<Self> {
        let mut scorer = Self { ignores_training: true, ..Self::without_training(gold)? };
        for (index, document) in training.into_iter().enumerate() {
            scorer.add_training_document(document).map_err(|error| error.at_index(index))?;
        }
        Ok(scorer)
    }

    /// Ignores the facts of distant documents in [`Scores::ign_f1_distant`]. There may be none.
    pub fn ignore_distant(&mut self) {
        self.ignores_distant = true;
    }

    /// Adds one annotated training document, for corpora that are read one document at a time.
    /// [`Scores::ign_f1`] is `Some` from then on.
    ///
    /// # Errors
    ///
    /// [`Error::Document`](crate::Error::Document) when the document is not
    /// [valid](Document::validate_for) with [`PairSet::All`].
    pub fn add_training_document(&mut self, document: &Document) -> Result<()> {
        document.validate_for(PairSet::All)?;
        self.ignores_training = true;
        let facts: BTreeSet<_> =
            document.facts.iter().map(|fact| (fact.pair, fact.relation)).collect();
        for (_, relation) in facts {
            *self.training_counts.entry(relation).or_default() += 1;
        }
        self.gold.mark_repeated(document, |fact| fact.in_training = true);
        Ok(())
    }

    /// Adds one distant document. [`Scores::ign_f1_distant`] is `Some` from then on.
    ///
    /// # Errors
    ///
    /// [`Error::Document`](crate::Error::Document) when the document is not
    /// [valid](Document::validate_for) with [`PairSet::All`].
    pub fn add_distant_document(&mut self, document: &Document) -> Result<()> {
        document.validate_for(PairSet::All)?;
        self.ignores_distant = true;
        self.gold.mark_repeated(document, |fact| fact.in_distant = true);
        Ok(())
    }

    /// Number of gold facts.
    pub fn n_gold_facts(&self) -> usize {
        self.gold.facts.len()
    }

    /// The official scores of `predictions`.
    pub fn score(&self, predictions: &PredictionSet) -> Scores {
        let counts = self.count(predictions);
        let n_gold = self.gold.facts.len();
        let facts = PrecisionRecall::from_counts(counts.correct, predictions.len(), n_gold);
        let ign_f1 = |n_ignored: usize| {
            let precision = ratio(counts.correct - n_ignored, predictions.len() - n_ignored);
            PrecisionRecall::from_ratios(precision, facts.recall).f1
        };
        let evidence = PrecisionRecall::from_counts(
            counts.correct_evidence,
            counts.evidence,
            self.gold.n_evidence,
        );
        Scores {
            f1: facts.f1,
            precision: facts.precision,
            recall: facts.recall,
            ign_f1: self.ignores_training.then(|| ign_f1(counts.correct_in_training)),
            ign_f1_distant: self.ignores_distant.then(|| ign_f1(counts.correct_in_distant)),
            evidence_f1: evidence.f1,
            evidence_precision: evidence.precision,
            evidence_recall: evidence.recall,
        }
    }

    fn count(&self, predictions: &PredictionSet) -> Counts {
        let mut counts = Counts::default();
        for (key, evidence) in &predictions.facts {
            counts.evidence += evidence.len();
            if let Some(gold) = self.gold.facts.get(key) {
                counts.correct += 1;
                counts.correct_in_training += usize::from(gold.in_training);
                counts.correct_in_distant += usize::from(gold.in_distant);
                counts.correct_evidence += gold.evidence.intersection(evidence).count();
            }
        }
        counts
    }
}

#[derive(Default)]
struct Counts {
    correct: usize,
    correct_in_training: usize,
    correct_in_distant: usize,
    evidence: usize,
    correct_evidence: usize,
}

#[cfg(test)]
mod tests {
    use super::super::small_world::*;
    use super::*;

    fn near(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-12, "{actual} instead of {expected}");
    }

    #[test]
    fn the_scores_of_the_small_corpus_equal_those_computed_by_hand() {
        let scores = small_scorer().score(&small_predictions());
        // 3 correct of 7 different predictions (one for an unknown document) and 5 gold facts.
        near(scores.precision, 3.0 / 7.0);
        near(scores.recall, 3.0 / 5.0);
        near(scores.f1, 0.5);
        // Training has 1 of the 3: precision (3 - 1) / (7 - 1), recall stays 3/5.
        near(scores.ign_f1.unwrap(), 2.0 * (1.0 / 3.0) * 0.6 / (1.0 / 3.0 + 0.6));
        // The distant corpus has 2 of the 3: precision (3 - 2) / (7 - 2).
        near(scores.ign_f1_distant.unwrap(), 2.0 * 0.2 * 0.6 / (0.2 + 0.6));
        // 2 correct sentences. Predicted: 2 + 1 + 0 with correct facts, 1 with wrong facts.
        // Gold: 2 + 1 + 0 + 1 + 0.
        near(scores.evidence_precision, 2.0 / 4.0);
        near(scores.evidence_recall, 2.0 / 4.0);
        near(scores.evidence_f1, 0.5);
    }

    #[test]
    fn the_last_evidence_of_a_repeated_gold_fact_is_correct_and_the_sentences_of_all_count() {
        let facts: &[Fact] =
            &[(0, 1, P17, &[0]), (1, 0, P50, &[3]), (0, 1, P17, &[1, 2]), (0, 1, P17, &[2, 4])];
        let gold = [document("A", &[&[0], &[0]], facts)];
        let scorer = Scorer::new(&gold, &gold).unwrap();
        assert_eq!(
            (scorer.n_gold_facts(), &scorer.training_counts),
            (2, &[(P17, 1), (P50, 1)].into())
        );
        // Gold evidence of P17 is {2, 4}; 1 + 1 + 2 + 2 sentences are in the denominator.
        for (evidence, correct) in [(&[0][..], 0.0), (&[1], 0.0), (&[2], 1.0), (&[4, 2], 2.0)] {
            let predicted = [submitted("A", 0, 1, "P17", evidence)];
            let path = std::path::Path::new("p");
            let set = PredictionSet::from_submission(path, &predicted, &gold, &vocab()).unwrap();
            let scores = scorer.score(&set);
            near(scores.evidence_recall, correct / 6.0);
            near(scores.evidence_precision, correct / evidence.len() as f64);
            near(scores.recall, 0.5);
        }
    }

    #[test]
    fn no_predictions_score_zero() {
        let scores = small_scorer().score(&PredictionSet::default());
        assert_eq!(
            scores,
            Scores { ign_f1: Some(0.0), ign_f1_distant: Some(0.0), ..Scores::default() }
        );
    }

    #[test]
    fn no_gold_facts_score_zero() {
        let scores = Scorer::without_training(&[]).unwrap().score(&small_predictions());
        assert_eq!(scores, Scores::default());
    }

    #[test]
    fn an_invalid_document_is_refused_with_its_index() {
        let mut gold = small_gold();
        gold[1].entities[0].mentions.clear();
        for scorer in [Scorer::new(&gold, &[]), Scorer::new(&[], &gold)] {
            let error = scorer.unwrap_err().to_string();
            assert!(error.contains("document 1 (\"B\"): entity 0 has no mentions"), "{error}");
        }
        let mut scorer = Scorer::without_training(&[]).unwrap();
        assert!(scorer.add_distant_document(&gold[1]).is_err());
        assert_eq!(scorer.score(&PredictionSet::default()).ign_f1_distant, None);
    }

    #[test]
    fn an_ign_score_exists_if_a_corpus_is_to_be_ignored_and_is_f1_if_that_is_empty() {
        let mut scorer = Scorer::without_training(&small_gold()).unwrap();
        let scores = scorer.score(&small_predictions());
        assert_eq!((scores.ign_f1, scores.ign_f1_distant), (None, None));
        scorer.ignore_distant();
        let scores = scorer.score(&small_predictions());
        assert_eq!((scores.ign_f1, scores.ign_f1_distant), (None, Some(scores.f1)));
        let scores = Scorer::new(&small_gold(), []).unwrap().score(&small_predictions());
        assert_eq!((scores.ign_f1, scores.ign_f1_distant), (Some(scores.f1), None));
    }

    #[test]
    fn facts_scored_by_position_equal_the_same_facts_from_a_submission() {
        let gold = small_gold();
        let facts: Vec<_> = gold.iter().enumerate().flat_map(by_position).collect();
        let submission: Vec<_> = gold.iter().flat_map(by_title).collect();
        let from_file =
            PredictionSet::from_submission(std::path::Path::new("p"), &submission, &gold, &vocab())
                .unwrap();
        let scorer = small_scorer();
        let scores = scorer.score(&PredictionSet::new(facts.iter().copied()));
        assert_eq!(scores, scorer.score(&from_file));
        assert_eq!((scores.f1, scores.evidence_f1), (1.0, 1.0));
    }

    #[test]
    fn ignored_facts_need_the_same_names_in_the_same_order_and_the_same_relation() {
        let gold = [named("G", &["Ana", "Tolm"], &[(0, 1, P17)])];
        for (training, is_ignored) in [
            (named("T", &["Ana", "Tolm"], &[(0, 1, P17)]), true),
            (named("T", &["Tolm", "Ana"], &[(0, 1, P17)]), false),
            (named("T", &["Ana", "Tolm"], &[(0, 1, P131)]), false),
            (named("T", &["ana", "Tolm"], &[(0, 1, P17)]), false),
        ] {
            let scorer = Scorer::new(&gold, [&training]).unwrap();
            let predictions = PredictionSet::new([(0, &gold[0].facts[0])]);
            let expected = if is_ignored { 0.0 } else { 1.0 };
            assert_eq!(scorer.score(&predictions).ign_f1, Some(expected), "{training:?}");
        }
    }
}
