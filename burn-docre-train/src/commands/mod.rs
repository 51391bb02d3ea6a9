//! One module for each command.

pub mod backends;
pub mod evaluate;
pub mod predict;
