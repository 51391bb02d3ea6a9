//! Documents as tensors: index tensors with their masks.
//!
//! Tokens, documents, mentions, mention pairs, pairs and labels have an index each, in a file of
//! its own. All indices are computed on the CPU and then copied to the device. Grids are padded to
//! the maximum of their batch. The numbers of mentions and tokens are not limited; that of entities is
//! at most [`MAX_ENTITIES`](crate::Document::MAX_ENTITIES).

mod documents;
mod labels;
mod mention_pairs;
mod mentions;
pub mod packing;
mod padded_pairs;
mod pairs;
mod sources;
pub mod tokens;
pub mod windows;

use burn::tensor::{Tensor, backend::Backend};

#[cfg(test)]
pub(crate) use self::mention_pairs::testing as mention_pair_testing;
pub use self::{
    documents::DocumentIndex,
    mention_pairs::{MentionPairGroup, MentionPairIndex},
    mentions::{AppearanceMerge, MentionIndex, WindowAppearances},
    padded_pairs::PaddedPairIndex,
    pairs::PairIndex,
    sources::Sources,
    tokens::TokenGrid,
    windows::EncoderInput,
};
use self::{labels::LabelIndex, mention_pairs::MentionPairSource, windows::WindowPlan};
use crate::text::encoded::EncodedDocument;

/// A batch of documents, ready for a model.
#[derive(Clone, Debug)]
pub struct DocReBatch<B: Backend> {
    /// The windows that the encoder reads.
    pub tokens: TokenGrid<B>,
    /// The mapping from windows to documents.
    pub documents: DocumentIndex<B>,
    /// The tokens and entities of mentions.
    pub mentions: MentionIndex<B>,
    /// The pairs of entities.
    pub pairs: PairIndex<B>,
    labels: LabelIndex,
    mention_pairs: MentionPairSource,
    pairs_per_document: Vec<usize>,
    device: B::Device,
}

impl<B: Backend> DocReBatch<B> {
    /// Builds the batch for an encoder, given by its [`EncoderInput`] or its configuration.
    ///
    /// # Panics
    /// If `documents` is empty, if their pair sets differ, or if a document has no token or a
    /// mention outside its tokens. A document from the tokenizer has its special tokens and all
    /// mentions among its tokens.
    pub fn new(
        documents: &[&EncodedDocument],
        encoder: impl Into<EncoderInput>,
        device: &B::Device,
    ) -> Self {
        assert!(!documents.is_empty(), "a batch needs at least one document");
        let pair_set = documents[0].pair_set;
        assert!(
            documents.iter().all(|document| document.pair_set == pair_set),
            "the documents of a batch have one pair set, that of the model"
        );
        let input = encoder.into();
        let texts: Vec<&[u32]> = documents.iter().map(|d| d.token_ids.as_slice()).collect();
        let plan = WindowPlan::new(texts.iter().map(|ids| ids.len()), input.window_rule());
        let n_entities: Vec<usize> = documents.iter().map(|d| d.n_entities()).collect();
        Self {
            tokens: TokenGrid::from_plan(&texts, &plan, &input, device),
            documents: DocumentIndex::new(documents.len(), &plan, device),
            mentions: MentionIndex::new(documents, &plan, input.n_heads, device),
            pairs: PairIndex::new(&n_entities, pair_set, device),
            labels: LabelIndex::new(documents),
            mention_pairs: MentionPairSource::new(documents),
            pairs_per_document: documents.iter().map(|d| d.n_pairs()).collect(),
            device: device.clone(),
        }
    }

    /// The number of classified pairs of all documents. The forward pass of a model needs at least
    /// one.
    pub fn n_pairs(&self) -> usize {
        self.pairs_per_document.iter().sum()
    }

    /// The number of classified pairs of each document: the sizes for splitting logits.
    pub fn pairs_per_document(&self) -> &[usize] {
        &self.pairs_per_document
    }

    /// The labels of the classified pairs: 1 for each relation that holds, 1 for the threshold
    /// class of a pair without relations, 0 elsewhere.
    ///
    /// # Shapes
    /// - output: `[p, r]`, with `r = n_classes`
    ///
    /// # Panics
    /// If a fact's relation is not below `n_classes`.
    pub fn labels(&self, n_classes: usize) -> Tensor<B, 2> {
        self.labels.tensor(n_classes, &self.device)
    }

    /// Indexes the mention pairs of the classified pairs. Only systems that classify mention pairs
    /// need it.
    ///
    /// # Panics
    /// If an entity has no mention.
    pub fn mention_pairs(&self) -> MentionPairIndex<B> {
        self.mention_pairs.index(&self.device)
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Small documents for an encoder of eight tokens.

    use burn::tensor::{Int, Tensor, backend::Backend};

    use super::EncoderInput;
    use crate::{data::pair::PairSet, text::encoded::EncodedDocument};

    /// An encoder that reads eight tokens with one attention head.
    pub(crate) const INPUT: EncoderInput =
        EncoderInput { max_tokens: 8, position_offset: 0, n_window_end_tokens: 1, n_heads: 1 };

    /// A document of `n_tokens` tokens; `mentions` are the token positions of each entity.
    pub(crate) fn document(n_tokens: u32, mentions: &[&[usize]]) -> EncodedDocument {
        EncodedDocument {
            title: format!("{n_tokens} tokens"),
            token_ids: (0..n_tokens).collect(),
            sentences: Vec::new(),
            mentions: mentions.iter().map(|positions| positions.to_vec()).collect(),
            facts: Vec::new(),
            pair_set: PairSet::OffDiagonal,
        }
    }

    /// The values of a tensor of indices.
    pub(crate) fn indices<B: Backend>(tensor: Tensor<B, 1, Int>) -> Vec<i64> {
        tensor.into_data().iter::<i64>().collect()
    }
}
