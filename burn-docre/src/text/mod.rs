//! Text as token ids: the tokenizer and encoded documents.

pub mod encoded;
pub(crate) mod hex;
pub mod tokenizer;
