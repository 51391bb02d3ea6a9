//! The interface of a system.
//!
//! A system's configuration implements [`System`]. Its module has a method `forward`, which takes the
//! encoder's output and the batch, shows its intermediate tensors to an
//! [`Observer`](super::Observer), and returns a [`DocReOutput`].

use burn::tensor::{Tensor, backend::Backend};

use crate::{Result, encoder::EncoderConfig};

/// The questions that the configuration of every system answers without a backend.
pub(super) trait System {
    /// Checks the system's own sizes.
    fn validate(&self) -> Result<()>;

    /// Checks that the system fits the encoder.
    fn validate_on(&self, encoder: &EncoderConfig) -> Result<()>;

    /// The floating-point operations of the matrix products of a forward pass behind the encoder.
    fn flops(&self, encoder: &EncoderConfig, n_classes: usize, size: DocumentSize) -> u64;

    /// The names in weight files: prefixes of module paths below the relation module, and their
    /// replacements.
    fn weight_names(&self) -> &'static [(&'static str, &'static str)];
}

/// The sizes of a document that the cost of a forward pass depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentSize {
    /// Number of tokens.
    pub n_tokens: usize,
    /// Number of entities.
    pub n_entities: usize,
}

/// The output of a model.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DocReOutput<B: Backend> {
    /// The logits of each classified pair, documents one after the other, `[p, r]`.
    pub logits: Tensor<B, 2>,
}
