//! Ablations: the papers' tables as runs of variants of one configuration.

pub mod results;
