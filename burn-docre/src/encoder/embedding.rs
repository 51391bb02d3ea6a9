//! Word, position and token type embeddings.

use burn::{
    module::Module,
    nn::{Dropout, DropoutConfig, Embedding, EmbeddingConfig, Initializer},
    tensor::{Int, Tensor, backend::Backend},
};

use super::EncoderConfig;
use crate::{norm::LayerNorm, ops::DocReBackend};

/// `LayerNorm(word + position + type)` with dropout.
#[derive(Module, Debug)]
pub struct EncoderEmbedding<B: Backend> {
    word: Embedding<B>,
    position: Embedding<B>,
    token_type: Embedding<B>,
    norm: LayerNorm<B>,
    dropout: Dropout,
}

impl<B: Backend> EncoderEmbedding<B> {
    /// Fresh embeddings, normal with the configured deviation.
    pub(super) fn new(config: &EncoderConfig, device: &B::Device) -> Self {
        let initializer = Initializer::Normal { mean: 0.0, std: config.initializer_range };
        let embedding = |rows: usize| {
            EmbeddingConfig::new(rows, config.hidden_size)
                .with_initializer(initializer.clone())
                .init(device)
        };
        Self {
            word: embedding(config.vocab_size),
            position: embedding(config.max_position_embeddings),
            token_type: embedding(config.type_vocab_size),
            norm: LayerNorm::new(config.hidden_size, config.layer_norm_eps, device),
            dropout: DropoutConfig::new(config.hidden_dropout_prob).init(),
        }
    }
}

impl<B: DocReBackend> EncoderEmbedding<B> {
    /// # Shapes
    /// - `ids`, `positions`: `[rows]`
    /// - output: `[rows, d]`
    pub(super) fn forward(
        &self,
        ids: Tensor<B, 1, Int>,
        positions: Tensor<B, 1, Int>,
    ) -> Tensor<B, 2> {
        let word = self.word.weight.val().select(0, ids);
        let position = self.position.weight.val().select(0, positions);
        let d = word.dims()[1];
        let token_type = self.token_type.weight.val().slice([0..1, 0..d]);
        let sum = word + position + token_type;
        self.dropout.forward(self.norm.forward(sum))
    }
}
