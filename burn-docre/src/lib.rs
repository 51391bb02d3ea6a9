//! Document-level relation extraction on the Burn framework.
//!
//! Given a document with its entities, say which relations hold between every ordered pair of them. The modules in
//! reading order: a [`document`] comes from a [`corpus`], is [tokenized](tokenize) into [`features`] and [batched](batch);
//! an [`encoder`] reads it, [`pooling`] makes entities of tokens, [`pair`] makes vectors of pairs, and a [`model`] wires
//! them; a [`loss`] trains, [`inference`] computes logits, [`mod@predict`] decides, [`eval`] scores.
//!
//! ```no_run
//! use std::{path::Path, sync::Arc};
//!
//! use burn_docre::{
//!     document::Document, features::EncodedDocument, inference::Inference, model_dir::ModelParts,
//!     ops::DocReBackend, predict::Prediction,
//! };
//!
//! /// The relations of each document, by a model directory, on any backend.
//! fn extract<B: DocReBackend>(
//!     documents: &[Document],
//!     directory: &Path,
//!     device: B::Device,
//! ) -> burn_docre::Result<Vec<Vec<Prediction>>> {
//!     let parts = ModelParts::load(directory)?;
//!     let (model, config) = (parts.load_model::<B>(directory, &device)?, parts.config);
//!     let encoded = documents
//!         .iter()
//!         .map(|document| Ok(Arc::new(EncodedDocument::encode(document, &parts.tokenizer)?)));
//!     let inference = Inference::new(model, config.clone(), device);
//!     inference.run(encoded).map(|found| found?.predictions(&config)).collect()
//! }
//! ```
#![recursion_limit = "256"]

pub mod atomic_file;
pub mod backend;
pub mod batch;
pub mod corpus;
pub mod document;
pub mod dropout;
pub mod encoder;
pub mod error;
pub mod eval;
pub mod features;
pub mod inference;
pub mod loss;
pub mod model;
pub mod model_dir;
pub mod norm;
pub mod ops;
pub mod packing;
pub mod pair;
pub mod pooling;
pub mod precision;
pub mod predict;
pub mod relation;
pub mod soft_labels;
pub mod submission;
pub mod tokenize;
pub mod weights;

pub use error::{Error, Result};
