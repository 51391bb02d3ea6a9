//! The terminal: lines, progress, tables, Burn's interface and signals.

mod output;
mod progress;
pub mod renderer;
pub mod signals;
pub mod table;
pub mod terminal;

pub use self::{
    output::{Ui, duration, metric_key, percent, three_digits},
    progress::Task,
};
