//! Files of a run: its directory, manifest and documents.

pub mod corpora;
pub mod directory;
pub mod files;
pub mod manifest;
