//! The tokenizer, and documents encoded as token ids.

pub mod encoded;
pub mod hex;
pub mod tokenizer;
mod vocabulary;
