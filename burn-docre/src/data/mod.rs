//! Documents, relations, and the files they come from: DocRED's format, submissions, and an invented world.

pub mod docred;
pub mod document;
mod json_array;
pub mod relation;
pub mod submission;
pub mod synthetic;
