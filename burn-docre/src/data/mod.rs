//! Documents, relations, their file formats, text with marked entities, and a synthetic corpus.

pub mod docred;
pub mod document;
mod json_array;
pub mod marked_text;
pub mod pair;
pub mod relation;
pub mod submission;
pub mod synthetic;
