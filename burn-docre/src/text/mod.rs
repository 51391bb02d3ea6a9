//! The tokenizer, and documents encoded as token ids.

pub mod encoded;
pub mod hex;
mod sentence_piece;
mod settings;
pub mod tokenizer;
mod vocabulary;
