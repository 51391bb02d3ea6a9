//! BERT, RoBERTa and XLM-RoBERTa: hidden states and the last layer's attention.
//!
//! Written in plain matrix products and softmax, because Burn's ready-made encoder returns no attention and drops out
//! scores rather than probabilities.

mod attention;
mod config;
mod embedding;
mod layer;
pub mod pretrained;

use burn::{
    module::Module,
    tensor::{Int, Tensor, backend::Backend},
};

pub use attention::{AttentionOutput, SelfAttention};
pub use config::{EncoderConfig, EncoderFamily};
pub use embedding::EncoderEmbedding;
pub use layer::{EncoderLayer, LayerOutput};

use crate::{
    batch::packing::Packing,
    ops::{DocReBackend, Lines},
};

/// The tokens of a batch of windows.
#[derive(Clone, Debug)]
pub struct TokenGrid<B: Backend> {
    /// Windows and the longest window's length, `[windows, l]`.
    pub shape: [usize; 2],
    /// Token ids by row, `[rows]`.
    pub ids: Tensor<B, 1, Int>,
    /// Position ids by row, `[rows]`.
    pub positions: Tensor<B, 1, Int>,
    /// Rows ↔ cells of the grid.
    pub packing: Packing<B>,
    /// The rows of each window.
    pub lines: Lines,
    /// The mask of the padding: 0 for real tokens, hugely negative for padding, `[windows, l]`; `None` without padding.
    pub key_bias: Option<Tensor<B, 2>>,
}

/// A transformer encoder.
#[derive(Module, Debug)]
pub struct Encoder<B: Backend> {
    embedding: EncoderEmbedding<B>,
    layers: Vec<EncoderLayer<B>>,
}

/// What the encoder returns.
pub struct EncoderOutput<B: Backend> {
    /// Hidden states of the last layer, `[rows, d]`.
    pub hidden: Tensor<B, 2>,
    /// Attention probabilities of the last layer, `[windows, n_heads, l, l]`.
    pub attention: Tensor<B, 4>,
}

impl EncoderConfig {
    /// A freshly initialised encoder.
    ///
    /// # Panics
    /// If the configuration is not [valid](EncoderConfig::validate).
    pub fn init<B: Backend>(&self, device: &B::Device) -> Encoder<B> {
        if let Err(reason) = self.validate() {
            panic!("{reason}");
        }
        Encoder {
            embedding: EncoderEmbedding::new(self, device),
            layers: (0..self.num_hidden_layers).map(|_| EncoderLayer::new(self, device)).collect(),
        }
    }
}

impl<B: DocReBackend> Encoder<B> {
    /// Encodes every window of the grid.
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
