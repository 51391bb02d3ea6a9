//! The objectives of the plans.

mod distillation;
mod relation;

pub use self::{
    distillation::{DistillationBatch, DistillationObjective},
    relation::{RelationBatch, RelationObjective},
};
