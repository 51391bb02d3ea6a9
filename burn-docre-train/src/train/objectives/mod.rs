//! The objectives of the built-in plans.

mod pair_loss;
mod relation;

pub use self::{
    pair_loss::{PairLoss, PairTargets, SoftLabels},
    relation::{RelationBatch, RelationObjective},
};
