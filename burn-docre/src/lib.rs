//! Document-level relation extraction on the Burn framework.
//!
//! Given a document with its entities, say which relations hold between every ordered pair of them. The modules in
//! reading order: a [`document`] comes from a [`corpus`], is [tokenized](tokenize) into [`features`] and [batched](batch);
//! an [`encoder`] reads it, [`pooling`] makes entities of tokens, [`pair`] makes vectors of pairs, and a [`model`] wires
//! them; a [`loss`] trains, [`mod@predict`] decides, [`eval`] scores.
#![recursion_limit = "256"]

mod atomic_file;
pub mod backend;
pub mod batch;
pub mod corpus;
pub mod document;
pub mod dropout;
pub mod encoder;
pub mod error;
pub mod eval;
pub mod features;
pub mod loss;
pub mod model;
pub mod model_dir;
pub mod norm;
pub mod ops;
pub mod packing;
pub mod pair;
pub mod pooling;
pub mod predict;
pub mod relation;
pub mod soft_labels;
pub mod submission;
pub mod tokenize;
pub mod weights;

pub use error::{Error, Result};
