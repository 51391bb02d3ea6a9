//! Ablations: the papers' tables as runs of variants of one configuration.
//!
//! ```text
//! OUT/ablation.toml     the base configuration
//! OUT/SEED/RUN/         the run of a variant, an ordinary run directory
//! OUT/ablations.json    scores by table, row and seed, beside the paper's
//! OUT/ablations.md      the same as tables
//! ```
//!
//! [`Ablation::run`] skips finished runs and resumes the interrupted one, so it can be killed at
//! any moment.

mod catalogue;
pub mod results;
mod running;
mod schedule;
pub mod table;
mod variants;

pub use self::running::{Ablation, AblationOptions};
