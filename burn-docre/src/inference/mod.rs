//! Documents through a model: [`Extractor`] from documents to relations, [`Inference`] from encoded documents to logits.

mod batching;
pub mod decode;
mod extractor;
mod logits;
mod workers;

pub use extractor::{Device, ExtractedRelation, Extractor, ExtractorBuilder};
pub use logits::{DocumentLogits, Inference, Logits};
