//! BERT, RoBERTa and XLM-RoBERTa: hidden states and the last layer's attention.
//!
//! Burn's own encoder is not used: it returns no attention probabilities, and applies dropout to
//! scores instead of probabilities.

mod attention;
mod config;
mod embedding;
mod layer;
pub mod names;
mod scratch;

use burn::{
    module::Module,
    tensor::{Tensor, backend::Backend},
};

#[doc(hidden)]
pub use attention::{AttentionOutput, SelfAttention};
pub use config::{EncoderConfig, EncoderFamily};
#[doc(hidden)]
pub use embedding::EncoderEmbedding;
#[doc(hidden)]
pub use layer::{EncoderLayer, LayerOutput};
pub use scratch::ScratchEncoderConfig;

use crate::{DocReBackend, batch::TokenGrid};

/// A transformer encoder.
#[derive(Module, Debug)]
pub struct Encoder<B: Backend> {
    embedding: EncoderEmbedding<B>,
    layers: Vec<EncoderLayer<B>>,
}

/// The output of an encoder.
#[derive(Clone, Debug)]
pub struct EncoderOutput<B: Backend> {
    /// Hidden states of the last layer, `[rows, d]`.
    pub hidden: Tensor<B, 2>,
    /// Attention probabilities of the last layer, `[windows, n_heads, l, l]`.
    pub attention: Tensor<B, 4>,
}

impl EncoderConfig {
    /// Initialises an encoder.
    ///
    /// # Panics
    /// If the configuration is not [valid](EncoderConfig::validate).
    pub fn init<B: Backend>(&self, device: &B::Device) -> Encoder<B> {
        if let Err(error) = self.validate() {
            panic!("{error}");
        }
        Encoder {
            embedding: EncoderEmbedding::new(self, device),
            layers: (0..self.num_hidden_layers).map(|_| EncoderLayer::new(self, device)).collect(),
        }
    }
}

impl<B: DocReBackend> Encoder<B> {
    /// Encodes every window of the grid.
    ///
    /// Only the last layer returns its probabilities, which the localized context needs.
    pub fn forward(&self, grid: &TokenGrid<B>) -> EncoderOutput<B> {
        let mut hidden = self.embedding.forward(grid.ids.clone(), grid.positions.clone());
        let (last, inner) = self.layers.split_last().expect("a valid encoder has a layer");
        for layer in inner {
            hidden = layer.forward(hidden, grid);
        }
        let output = last.forward_with_probabilities(hidden, grid);
        EncoderOutput { hidden: output.rows, attention: output.probabilities }
    }
}
