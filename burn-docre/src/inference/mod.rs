//! Inference with a trained model.
//!
//! [`Extractor`] computes the relations of documents, [`Inference`] the logits of encoded
//! documents.

mod batching;
pub mod decode;
mod evidence;
mod extractor;
mod logits;
mod workers;

pub use evidence::DocumentEvidence;
pub use extractor::{Device, ExtractedRelation, Extractor, ExtractorBuilder};
pub use logits::{DocumentLogits, Inference, Logits};
