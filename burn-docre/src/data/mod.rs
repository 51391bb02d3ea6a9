//! Documents, relations, their file formats, text with marked entities, and a synthetic corpus.

pub mod corpora;
pub mod docred;
pub mod document;
mod json_array;
mod lines;
pub mod marked_text;
pub mod pair;
mod raw;
pub mod relation;
pub mod submission;
pub mod synthetic;
