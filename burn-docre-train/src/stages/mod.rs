//! Runs: the stages of a plan, trained one after the other in one directory.

mod context;
mod dev_report;
pub mod dry_run;
mod fit;
pub mod label;
mod run;

pub use self::run::{Run, RunOptions, Selection};
