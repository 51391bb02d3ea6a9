//! Document-level relation extraction on the Burn framework.
//!
//! Given a document with its entities, say which relations hold between every ordered pair of them. The modules in
//! reading order: a [`document`] comes from a [`corpus`], is [tokenized](tokenize) into [`features`] and [batched](batch);
//! an [`encoder`] reads it, [`pooling`] makes entities of tokens, [`pair`] makes vectors of pairs, and a [`model`] wires
//! them; a [`loss`] trains, [`mod@predict`] decides, [`eval`] scores.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use burn_docre::{
//!     batch::DocReBatch, document::Document, features::EncodedDocument, model_dir::ModelParts,
//!     ops::DocReBackend, predict::{Prediction, predict},
//! };
//!
//! /// The relations of one document, by a model directory, on any backend.
//! fn extract<B: DocReBackend>(
//!     document: &Document,
//!     directory: &Path,
//!     device: &B::Device,
//! ) -> burn_docre::Result<Vec<Prediction>> {
//!     let parts = ModelParts::load(directory)?;
//!     let model = parts.load_model::<B>(directory, device)?;
//!     let encoded = EncodedDocument::encode(document, &parts.tokenizer)?;
//!     if encoded.n_pairs() == 0 {
//!         return Ok(Vec::new());
//!     }
//!     let batch = DocReBatch::<B>::new(&[&encoded], &parts.config.encoder, device);
//!     let logits = model.forward(&batch).logits.into_data().convert::<f32>();
//!     let logits = logits.into_vec::<f32>().expect("just converted");
//!     let config = &parts.config;
//!     Ok(predict(&logits, encoded.n_entities(), config.n_classes, config.max_relations_per_pair))
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
