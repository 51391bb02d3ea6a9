//! Metrics of predicted facts: the official DocRED scores and the analyses of the papers.
//!
//! A [`Scorer`] holds the gold facts, a [`PredictionSet`] the predicted facts without duplicates.
//! [`Scorer::score`] computes the official scores and is fast enough for every epoch of a training
//! run. [`Report::new`] computes the same scores and all analyses.

mod analysis;
mod gold;
mod official;
mod precision_recall;
mod predictions;
mod ranges;
mod report;

#[cfg(test)]
mod small_world;

pub use analysis::{ErrorCounts, InferenceScore, MacroScore};
pub use official::{Scorer, Scores};
pub use precision_recall::PrecisionRecall;
pub use predictions::{FactKey, PredictionSet};
pub use ranges::RangeScore;
pub use report::{FrequentRelations, RelationScore, Report};
