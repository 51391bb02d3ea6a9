//! The choice of an encoder's files.

/// The files of an encoder that a command reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncoderFiles {
    /// Configuration, tokenizer and weights.
    All,
    /// Configuration and tokenizer.
    WithoutWeights,
}
