//! The JSON format of DocRED and Re-DocRED.
//!
//! A file is one array of documents, or has one document a line. Documents are read one at a time,
//! so memory does not grow with the size of the file. Every fault of a document is an
//! [`Error::Document`](crate::Error::Document) with its file, index and title.

mod invalid;
mod reader;
mod record;
#[cfg(test)]
pub(super) mod sample;
mod writer;

pub use invalid::{OnInvalid, Skipped};
pub use reader::{DocRedReader, read_documents};
pub use record::Labels;
pub use writer::{DocumentWriter, Layout, write_documents};
