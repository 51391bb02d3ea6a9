//! Document-level relation extraction on the Burn framework.
#![recursion_limit = "256"]

mod atomic_file;
pub mod corpus;
pub mod document;
pub mod error;
pub mod eval;
pub mod features;
pub mod relation;
pub mod soft_labels;
pub mod submission;
pub mod tokenize;

pub use error::{Error, Result};
