//! Text as token ids: the tokenizer and encoded documents.

pub mod encoded;
pub mod tokenizer;
