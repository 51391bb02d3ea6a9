//! Word, position and token type embeddings.

use burn::{
    module::{Module, Param, ParamId},
    nn::{Embedding, EmbeddingConfig, Initializer},
    tensor::{Int, Tensor, backend::Backend},
};

use super::EncoderConfig;
use crate::{
    DocReBackend,
    batch::packing::float_tensor,
    nn::{dropout::Dropout, layer_norm::LayerNorm},
};

/// Standard deviation of initial word and token type embeddings.
const WORD_STD: f64 = 0.1;
/// Amplitude of initial position embeddings.
const POSITION_AMPLITUDE: f32 = 0.5;

/// Token embeddings: `LayerNorm(word + position + token type)` with dropout.
#[derive(Module, Debug)]
pub struct EncoderEmbedding<B: Backend> {
    word: Embedding<B>,
    position: Embedding<B>,
    token_type: Embedding<B>,
    norm: LayerNorm<B>,
    dropout: Dropout,
}

impl<B: Backend> EncoderEmbedding<B> {
    /// Initialises the embeddings: words from a normal distribution, positions as sinusoids.
    ///
    /// Pretrained weights replace these values. An encoder without pretraining starts from
    /// sinusoids, because a few hundred documents are too few to learn the order of positions from
    /// random vectors (docs/experiments.md).
    pub(super) fn new(config: &EncoderConfig, device: &B::Device) -> Self {
        let d = config.hidden_size;
        let initializer = Initializer::Normal { mean: 0.0, std: WORD_STD };
        let embedding = |rows: usize| {
            EmbeddingConfig::new(rows, d).with_initializer(initializer.clone()).init(device)
        };
        let shape = [config.max_position_embeddings, d];
        let positions = move |device: &B::Device, is_trained: bool| {
            let values = sinusoids(shape[0], shape[1]);
            float_tensor(values, shape, device).set_require_grad(is_trained)
        };
        // Lazy, like Burn's own initialisers: loading weights never computes the sinusoids.
        let positions =
            Param::uninitialized(ParamId::new(), positions, device.clone(), true, shape.into());
        Self {
            word: embedding(config.vocab_size),
            position: Embedding { weight: positions },
            token_type: embedding(config.type_vocab_size),
            norm: LayerNorm::new(d, config.layer_norm_eps, device),
            dropout: Dropout::new(config.hidden_dropout_prob),
        }
    }
}

/// Sines and cosines of wavelengths from 2π to 20,000π, alternating (Vaswani et al., 2017),
/// `[n, d]` row-major.
fn sinusoids(n: usize, d: usize) -> Vec<f32> {
    let angle = |position: usize, column: usize| {
        let exponent = (column - column % 2) as f64 / d as f64;
        position as f64 / 10_000f64.powf(exponent)
    };
    let cells = (0..n).flat_map(|position| (0..d).map(move |column| (position, column)));
    cells
        .map(|(position, column)| {
            let angle = angle(position, column);
            let value = if column % 2 == 0 { angle.sin() } else { angle.cos() };
            POSITION_AMPLITUDE * value as f32
        })
        .collect()
}

impl<B: DocReBackend> EncoderEmbedding<B> {
    /// Embeds tokens.
    ///
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
