//! Documents in the JSON of DocRED and Re-DocRED: the only place that knows `vertexSet`, `h`, `t`, `r`.
//!
//! A file is one array of documents. It is read one document at a time, so that memory does not
//! grow with the file, and whatever is wrong with a document is an
//! [`Error::Document`](crate::Error::Document) that names it.

mod reader;
mod record;
#[cfg(test)]
mod sample;
mod writer;

pub use reader::{DocRedReader, read_documents};
pub use record::Labels;
pub use writer::write_documents;
