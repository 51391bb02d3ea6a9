//! The interface of a system.
//!
//! A system's configuration implements [`System`]. Its module has a method `forward`, which takes
//! the encoder's output and the batch, passes its intermediate tensors to an
//! [`Observer`](super::Observer), and returns a [`DocReOutput`].

use burn::tensor::{Tensor, backend::Backend};

use crate::{
    Result,
    encoder::{EncoderConfig, names::NameTable},
    mention_pair::KeySelection,
    text::encoded::EncodedDocument,
};

/// The checks and tables of a system's configuration that need no backend.
pub(super) trait System {
    /// The name in configurations, as `kind = "atlop"`.
    fn kind(&self) -> &'static str;

    /// Checks the system's own sizes.
    fn validate(&self) -> Result<()>;

    /// Checks that the system fits the encoder.
    fn validate_on(&self, _encoder: &EncoderConfig) -> Result<()> {
        Ok(())
    }

    /// The floating-point operations of the matrix products in the relation module's forward pass
    /// over one document.
    fn flops(&self, encoder: &EncoderConfig, n_classes: usize, size: DocumentSize) -> u64;

    /// Reports whether the output has the [`Evidence`] of its logits.
    fn names_evidence(&self) -> bool {
        false
    }

    /// The rule that selects the key mention pairs. `None` if the system has no key classifier.
    fn key_selection(&self) -> Option<KeySelection> {
        None
    }

    /// The names in weight files of parameter paths below the relation module.
    fn weight_names(&self) -> NameTable;

    /// The names of parameter paths below the relation module in checkpoints of the authors' code.
    /// `None` if that code has no such model.
    fn published_names(&self) -> Option<NameTable> {
        None
    }
}

/// The sizes of a document that determine the cost of a forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentSize {
    /// Number of tokens.
    pub n_tokens: usize,
    /// Number of entities.
    pub n_entities: usize,
    /// Number of mentions.
    pub n_mentions: usize,
    /// Number of mention pairs of the classified pairs.
    pub n_mention_pairs: usize,
}

impl DocumentSize {
    /// The sizes of an encoded document.
    pub fn of(document: &EncodedDocument) -> Self {
        Self {
            n_tokens: document.token_ids.len(),
            n_entities: document.n_entities(),
            n_mentions: document.mentions.iter().map(Vec::len).sum(),
            n_mention_pairs: document.n_mention_pairs(),
        }
    }
}

/// The output of a model.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DocReOutput<B: Backend> {
    /// The logits of each classified pair, in the order of documents, `[p, r]`.
    pub logits: Tensor<B, 2>,
    /// The parts of the documents that the logits rest on; `None` for a system that names none.
    pub evidence: Option<Evidence<B>>,
}

/// The parts of the documents that the logits of a batch rest on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Evidence<B: Backend> {
    /// 1 for each key mention pair and 0 for every other mention pair, `[q]`.
    ///
    /// Mention pairs are ordered by document, by classified pair (the rows of the logits), by
    /// mention of the head, then by mention of the tail.
    KeyMentionPairs(Tensor<B, 1>),
}
