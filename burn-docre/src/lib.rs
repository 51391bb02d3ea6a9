//! Document-level relation extraction on the Burn framework.
//!
//! Given a document with its entities, say which relations hold between every ordered pair of them. The modules in
//! reading order: a document comes from [`data`], is encoded by [`text`] and [batched](batch); an [`encoder`] reads it,
//! [`entity`] makes entities of tokens, [`pair`] makes vectors of pairs, and a [`model`] wires them; a [`loss`] trains,
//! [`inference`] computes logits and decodes them, [`eval`] scores.
//!
//! ```no_run
//! use std::{path::Path, sync::Arc};
//!
//! use burn_docre::{
//!     data::document::Document, inference::{Inference, decode::Prediction}, io::model_directory::ModelParts,
//!     ops::DocReBackend, text::encoded::EncodedDocument,
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

pub mod backend;
pub mod batch;
pub mod data;
pub mod encoder;
pub mod entity;
pub mod error;
pub mod eval;
pub mod inference;
pub mod io;
pub mod loss;
pub mod model;
pub mod nn;
pub mod ops;
pub mod pair;
pub mod text;

pub use error::{Error, Result};
