//! Scores of predicted facts: the official DocRED metrics and the papers' analyses. Integers and
//! sets, no tensors.
//!
//! A [`Scorer`] holds the gold facts; a [`PredictionSet`] the predicted ones, without duplicates.
//! The cheap [`Scorer::score`] serves every epoch of a training run, and [`Report::new`] adds the
//! analyses to that very result.

mod analysis;
mod gold;
mod official;
mod precision_recall;
mod predictions;
mod report;

#[cfg(test)]
mod small_world;

pub use analysis::{ErrorCounts, InferenceScore};
pub use official::{Scorer, Scores};
pub use precision_recall::PrecisionRecall;
pub use predictions::{FactKey, PredictionSet};
pub use report::{FrequentRelations, RelationScore, Report};
