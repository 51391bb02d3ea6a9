//! Document-level relation extraction on the Burn framework.
//!
//! [`Extractor`] opens a model directory on a backend and device chosen at run time. It extracts
//! the relations between the entities of each [`Document`]. Training writes model directories, for
//! example with the command `docre` of the crate `burn-docre-train`.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use burn_docre::{Device, Document, Entity, Extractor, Mention};
//!
//! /// An entity that is mentioned once, in one word of the first sentence.
//! fn entity(name: &str, word: usize) -> Entity {
//!     let mention = Mention { name: name.into(), sentence: 0, start: word, end: word + 1 };
//!     Entity { kind: String::new(), mentions: vec![mention] }
//! }
//!
//! fn main() -> burn_docre::Result<()> {
//!     let document = Document {
//!         title: "Anna".into(),
//!         sentences: vec![["Anna", "lives", "in", "Oslo", "."].map(String::from).to_vec()],
//!         entities: vec![entity("Anna", 0), entity("Oslo", 3)],
//!         facts: Vec::new(),
//!     };
//!     let extractor = Extractor::open(Path::new("model"), Device::default())?;
//!     for relation in extractor.extract(&[document])?.remove(0) {
//!         let (head, tail) = (relation.head, relation.tail);
//!         println!("entity {head} | {} | entity {tail} | {:.2}", relation.name, relation.score);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Backends
//!
//! Each backend is a cargo feature: `flex` (default; pure Rust on the CPU), `tch` (libtorch),
//! `cuda`, `vulkan`, `metal` and `wgpu`. [`BackendKind::compiled`] lists the backends of the build,
//! [`BackendKind::devices`] lists the devices of a backend, and [`dispatch`] runs generic code on a
//! device.
//!
//! Models are generic over [`DocReBackend`], which this crate implements for these backends.
//! Another crate can add a backend type of its own:
//!
//! - The type implements Burn's [`Backend`](burn::tensor::backend::Backend) and the two parts of
//!   `DocReBackend`: [`backend::DeviceBackend`] and [`ops::DocReOps`]. All methods of these two
//!   traits have a body, so two empty `impl` blocks suffice. The bodies of `DocReOps` are its
//!   reference bodies.
//! - Models run on it through [`Inference`]. `Extractor` and `dispatch` cover only the backends of
//!   this crate.
//! - The orphan rule forbids these implementations for a type of a third crate, such as NdArray or
//!   Candle. Such a backend needs a feature in this crate.
//!
//! # Modules in reading order
//!
//! | module | contents |
//! |---|---|
//! | [`input`] | files, pipes and standard input; JSON with errors in plain words |
//! | [`data`] | documents, relations and their file formats |
//! | [`text`] | tokenizer and encoded documents |
//! | [`encoder`] | BERT and RoBERTa |
//! | [`model`] | the systems, from a batch of documents to logits |
//! | [`loss`] | training losses |
//! | [`inference`] | batching of documents, decoding of logits |
//! | [`io`] | model directories, weights, soft labels |
//! | [`eval`] | metrics |
//! | [`backend`], [`ops`] | devices and tensor operations, for the implementer of a backend |
//!
//! The modules between encoder and model (`batch`, `entity`, `pair`, `mention_pair`, `nn`) are
//! public for the trainer of this project. They are hidden here and change without notice.
#![recursion_limit = "256"]

pub mod backend;
#[doc(hidden)]
pub mod batch;
pub mod data;
pub mod encoder;
#[doc(hidden)]
pub mod entity;
pub mod error;
pub mod eval;
pub mod inference;
pub mod input;
pub mod io;
pub mod loss;
#[doc(hidden)]
pub mod mention_pair;
pub mod model;
#[doc(hidden)]
pub mod nn;
pub mod ops;
#[doc(hidden)]
pub mod pair;
mod runtime;
pub mod text;

pub use backend::BackendKind;
pub use data::document::{Document, Entity, Mention, RelationFact};
pub use data::pair::{EntityPair, MentionPair, PairSet};
pub use data::relation::RelationVocab;
pub use error::{Error, Result};
pub use inference::{Device, ExtractedRelation, Extractor, Inference};
pub use io::model_directory::ModelBytes;
pub use nn::precision::{Precision, PrecisionChoice};
pub use runtime::{BackendTask, DocReBackend, dispatch};

/// Compiles the Rust code of the project's README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct ProjectReadme;

/// Compiles the Rust code of this crate's README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct CrateReadme;
