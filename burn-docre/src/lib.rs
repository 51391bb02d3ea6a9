//! Document-level relation extraction on the Burn framework: the relations between all entities of a document.
//!
//! [`Extractor`] opens a model directory on a backend and device chosen at run time and extracts relations from
//! [`Document`]s. A model directory is the result of training, for example with the command `docre` of the crate
//! `burn-docre-train`.
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
//! Each cargo feature compiles a backend in: `flex` (default; pure Rust on the processor), `tch` (libtorch), `cuda`,
//! `vulkan`, `metal` and `wgpu`. [`BackendKind::compiled`] lists those of the build, [`BackendKind::devices`] their
//! devices, and [`dispatch`] runs generic code on one of them.
//!
//! Models are generic over [`DocReBackend`], which this crate implements for the backends above. A crate outside can
//! implement its two halves, [`backend::DeviceBackend`] and [`ops::DocReOps`], for a type of its own that is a Burn
//! [`Backend`](burn::tensor::backend::Backend); all methods have default bodies. It cannot implement it for a backend of a third crate, such as NdArray or Candle, because of the
//! orphan rule: neither the trait nor the type is its own. Such a backend needs a feature in this crate. `Extractor`
//! and `dispatch` reach only the backends of this crate; a backend of one's own is used through [`Inference`].
//!
//! # Modules in reading order
//!
//! A document comes from [`data`] and is encoded by [`text`]. The [`encoder`] and a [`model`] compute logits, a [`loss`]
//! trains them, [`inference`] batches documents and decodes logits, [`io`] reads and writes files, and [`eval`] scores.
//! The modules between encoder and model (`batch`, `entity`, `pair`, `nn`, `ops`) are public for the trainer of this
//! project and hidden here; they change without notice.
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
pub mod io;
pub mod loss;
pub mod model;
#[doc(hidden)]
pub mod nn;
#[doc(hidden)]
pub mod ops;
#[doc(hidden)]
pub mod pair;
mod runtime;
pub mod text;

pub use backend::BackendKind;
pub use data::document::{Document, Entity, EntityPair, Mention, RelationFact};
pub use data::relation::RelationVocab;
pub use error::{Error, Result};
pub use inference::{Device, ExtractedRelation, Extractor, Inference};
pub use io::model_directory::ModelBytes;
pub use nn::precision::Precision;
pub use runtime::{BackendTask, DocReBackend, dispatch};

/// Compiles the Rust code of the project's README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
