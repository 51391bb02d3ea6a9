//! A short form of [`EncoderConfig`] for encoders without pretraining.

use serde::{Deserialize, Serialize};

use super::{EncoderConfig, EncoderFamily};
use crate::{Error, Result};

/// The minimum of [`ScratchEncoderConfig::max_tokens`].
const MIN_WINDOW: usize = 16;

/// The sizes of a BERT that starts from random weights.
///
/// All other values of its [`EncoderConfig`] are fixed or follow from these and the vocabulary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScratchEncoderConfig {
    /// Number of transformer layers, at least 1.
    pub layers: usize,
    /// Hidden size, at least 1.
    pub hidden_size: usize,
    /// Number of attention heads; divides `hidden_size`.
    pub heads: usize,
    /// Size inside the feed-forward blocks, at least 1.
    pub intermediate_size: usize,
    /// Length of the longest window in word pieces, at least 16; longer documents are read in
    /// overlapping windows.
    pub max_tokens: usize,
    /// Dropout on hidden states and attention, in `[0, 1)`; by default 0.1.
    #[serde(default = "default_dropout")]
    pub dropout: f64,
}

fn default_dropout() -> f64 {
    0.1
}

impl ScratchEncoderConfig {
    /// Checks the range of every value.
    ///
    /// # Errors
    /// If a value is out of its range; the error names the key.
    pub fn validate(&self) -> Result<()> {
        let refuse = |reason: String| Err(Error::config(format!("encoder: {reason}")));
        for (key, value) in [
            ("layers", self.layers),
            ("hidden_size", self.hidden_size),
            ("heads", self.heads),
            ("intermediate_size", self.intermediate_size),
        ] {
            if value == 0 {
                return refuse(format!("`{key}` must be at least 1"));
            }
        }
        if self.max_tokens < MIN_WINDOW {
            return refuse(format!("`max_tokens` must be at least {MIN_WINDOW}"));
        }
        if !self.hidden_size.is_multiple_of(self.heads) {
            let Self { hidden_size, heads, .. } = self;
            return refuse(format!(
                "`hidden_size` {hidden_size} must be a multiple of `heads` {heads}"
            ));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return refuse(format!("`dropout` is {}; it must lie in [0, 1)", self.dropout));
        }
        Ok(())
    }

    /// The configuration of an encoder with a vocabulary of `vocab_size` tokens.
    pub fn encoder(&self, vocab_size: usize) -> EncoderConfig {
        EncoderConfig {
            model_type: EncoderFamily::Bert,
            vocab_size,
            hidden_size: self.hidden_size,
            num_hidden_layers: self.layers,
            num_attention_heads: self.heads,
            intermediate_size: self.intermediate_size,
            hidden_dropout_prob: self.dropout,
            attention_probs_dropout_prob: self.dropout,
            max_position_embeddings: self.max_tokens,
            max_window: None,
            type_vocab_size: 1,
            layer_norm_eps: 1e-12,
            pad_token_id: 0,
            hidden_act: "gelu".into(),
            position_embedding_type: "absolute".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: ScratchEncoderConfig = ScratchEncoderConfig {
        layers: 2,
        hidden_size: 64,
        heads: 4,
        intermediate_size: 128,
        max_tokens: 256,
        dropout: 0.1,
    };

    #[test]
    fn valid_sizes_give_a_valid_encoder() {
        SMALL.validate().unwrap();
        SMALL.encoder(50).validate().unwrap();
    }

    #[test]
    fn a_value_out_of_range_is_refused_by_the_name_of_its_key() {
        for (config, key) in [
            (ScratchEncoderConfig { layers: 0, ..SMALL }, "`layers`"),
            (ScratchEncoderConfig { heads: 3, ..SMALL }, "multiple of `heads` 3"),
            (ScratchEncoderConfig { max_tokens: 15, ..SMALL }, "`max_tokens`"),
            (ScratchEncoderConfig { dropout: 1.0, ..SMALL }, "`dropout`"),
            (ScratchEncoderConfig { dropout: f64::NAN, ..SMALL }, "`dropout`"),
        ] {
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }
}
