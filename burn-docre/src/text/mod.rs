//! The tokenizer, and documents encoded as token ids.

pub mod encoded;
pub(crate) mod hex;
pub mod tokenizer;
