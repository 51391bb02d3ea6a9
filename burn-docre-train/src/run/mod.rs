//! The files of a run: its directory, its manifest and its documents.

pub mod corpora;
pub mod directory;
pub mod files;
pub mod hub;
pub mod manifest;
