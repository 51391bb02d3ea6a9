//! Training: objectives, the loop, data loading, the optimizer, checkpoints and metrics.
//!
//! [`Training`](training_loop::Training) trains any [`Objective`](objective::Objective).

pub mod checkpoint;
pub mod dev_set;
pub mod failure;
pub mod learner;
pub mod loader;
pub mod metric_log;
pub mod metrics;
pub mod objective;
pub mod objectives;
pub mod optim;
pub mod state;
pub mod training_loop;
