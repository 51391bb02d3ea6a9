//! Entities of a batch: windows merged, mentions pooled, and the localized context of each pair.

mod context;
mod mentions;
mod windows;

use burn::tensor::{Tensor, backend::Backend};

pub use context::{PairContext, context_flops, localized_context};
pub use mentions::{entity_attention, entity_embeddings};
pub use windows::{document_hidden, mention_attention};

use crate::{batch::DocReBatch, encoder::EncoderOutput, nn::observer::Observer};

/// The encoded documents of a batch with their mentions.
#[derive(Clone, Debug)]
pub struct MentionEncoding<B: Backend> {
    /// Hidden states by document, `[b, l, d]`. The values at padding are unspecified, but finite if
    /// all others are.
    pub hidden: Tensor<B, 3>,
    /// The hidden state of each mention's marker, `[m, d]`.
    pub mentions: Tensor<B, 2>,
    /// Attention of each mention over its document, `[m, n_heads, l]`; 0 at padding.
    pub attention: Tensor<B, 3>,
}

impl<B: Backend> MentionEncoding<B> {
    /// Merges the windows of the encoder's output.
    pub fn new(output: EncoderOutput<B>, batch: &DocReBatch<B>) -> Self {
        let hidden = document_hidden(output.hidden, &batch.tokens, &batch.documents);
        let [b, l, d] = hidden.dims();
        Self {
            mentions: hidden.clone().reshape([b * l, d]).select(0, batch.mentions.cell.clone()),
            attention: mention_attention(output.attention, l, &batch.mentions),
            hidden,
        }
    }
}

/// The encoded documents of a batch with their entities.
#[derive(Clone, Debug)]
pub struct DocumentEncoding<B: Backend> {
    /// Hidden states by document, `[b, l, d]`. The values at padding are unspecified, but finite if
    /// all others are.
    pub hidden: Tensor<B, 3>,
    /// Entity embeddings, `[entities, d]`.
    pub entities: Tensor<B, 2>,
    /// Attention of each entity over the document, the mean over its mentions,
    /// `[b, e, n_heads, l]`; 0 at padding.
    pub entity_attention: Tensor<B, 4>,
}

impl<B: Backend> DocumentEncoding<B> {
    /// Merges the windows of the encoder's output and pools mentions into entities.
    pub fn new(output: EncoderOutput<B>, batch: &DocReBatch<B>) -> Self {
        let MentionEncoding { hidden, mentions, attention } = MentionEncoding::new(output, batch);
        Self {
            hidden,
            entities: entity_embeddings(mentions, &batch.mentions),
            entity_attention: entity_attention(attention, batch.pairs.shape, &batch.mentions),
        }
    }

    /// Passes `hidden`, `entities` and `entity_attention` to the observer.
    pub fn observe(&self, observer: &mut impl Observer<B>) {
        observer.observe("hidden", || self.hidden.clone());
        observer.observe("entities", || self.entities.clone());
        observer.observe("entity_attention", || self.entity_attention.clone());
    }
}
