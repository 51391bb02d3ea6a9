//! Training: objective, data loader, loop, optimizer, checkpoints, metrics.

pub mod checkpoint;
pub mod dev_set;
pub mod failure;
pub mod loader;
pub mod metric_log;
pub mod metrics;
pub mod objective;
pub mod optim;
pub mod state;
pub mod training_loop;
