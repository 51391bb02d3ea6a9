//! The objectives of the built-in plans.

mod distillation;
mod relation;

pub use self::{
    distillation::{DistillationBatch, DistillationObjective},
    relation::{RelationBatch, RelationObjective},
};
