//! Documents, relations, their file formats, and a synthetic corpus.

pub mod docred;
pub mod document;
mod json_array;
pub mod pair;
pub mod relation;
pub mod submission;
pub mod synthetic;
