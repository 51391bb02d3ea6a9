//! The objectives of the built-in plans.

mod em;
mod evidence_agreement;
mod pair_loss;
mod relation;

pub use self::{
    em::{EmBatch, EmObjective},
    pair_loss::{PairLoss, PairTargets, SoftLabels},
    relation::{RelationBatch, RelationObjective},
};
