//! The encoder's configuration, in the field names of Hugging Face's `config.json`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Error, Result, batch::EncoderInput};

/// The minimum of [`EncoderConfig::max_tokens`].
const MIN_TOKENS: usize = 8;

/// The supported families of encoders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EncoderFamily {
    /// BERT and its descendants with the same architecture (MiniLM).
    #[serde(rename = "bert")]
    Bert,
    /// RoBERTa: the first position id is `pad_token_id + 1`; a cut window ends with two closing
    /// tokens.
    #[serde(rename = "roberta")]
    Roberta,
    /// XLM-RoBERTa: RoBERTa's architecture with another vocabulary.
    #[serde(rename = "xlm-roberta")]
    XlmRoberta,
}

/// Sizes and dropout rates of an encoder.
///
/// Unknown keys are ignored, because Hugging Face's `config.json` also holds keys of other tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EncoderConfig {
    /// The family.
    pub model_type: EncoderFamily,
    /// Rows of the word embedding, at least 1.
    pub vocab_size: usize,
    /// Hidden size `d`, at least 1.
    pub hidden_size: usize,
    /// Number of layers, at least 1.
    pub num_hidden_layers: usize,
    /// Number of attention heads; divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Size inside the feed-forward blocks, at least 1.
    pub intermediate_size: usize,
    /// Dropout on embeddings and on each block's output, in `[0, 1)`.
    pub hidden_dropout_prob: f64,
    /// Dropout on the attention probabilities, in `[0, 1)`.
    pub attention_probs_dropout_prob: f64,
    /// Rows of the position embedding, at least 8 more than the first position id.
    pub max_position_embeddings: usize,
    /// Length of the longest window in tokens, special tokens included: at least 8. `None` is all
    /// that the position embedding has. No key of Hugging Face.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_window: Option<usize>,
    /// Rows of the token type embedding, at least 1; only row 0 is used.
    pub type_vocab_size: usize,
    /// Epsilon of layer normalisation, added to the variance; finite and above 0.
    pub layer_norm_eps: f64,
    /// The id of the padding token; RoBERTa's first position id is one more.
    #[serde(default)]
    pub pad_token_id: usize,
    /// The activation; only `gelu`, the exact form, is supported.
    #[serde(default = "default_activation")]
    pub hidden_act: String,
    /// The encoding of positions; only `absolute` is supported.
    #[serde(default = "default_positions")]
    pub position_embedding_type: String,
}

fn default_activation() -> String {
    "gelu".into()
}

fn default_positions() -> String {
    "absolute".into()
}

impl EncoderConfig {
    /// Reads the `config.json` of a Hugging Face directory and checks it.
    ///
    /// # Errors
    /// If the file cannot be read, lacks a key, or describes an unsupported encoder.
    pub fn from_file(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, "reading", e))?;
        Self::parse(&bytes, path)
    }

    /// Reads the bytes of a `config.json`, by which errors call it, and checks it.
    ///
    /// # Errors
    /// As [`from_file`](Self::from_file).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::parse(bytes, Path::new("config.json"))
    }

    fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        let config: Self = serde_json::from_slice(bytes)
            .map_err(|e| Error::format(path, "not an encoder configuration").with_source(e))?;
        config
            .validate()
            .map_err(|e| Error::format(path, "an unsupported encoder").with_source(e))?;
        Ok(config)
    }

    /// Checks that the sizes fit together.
    ///
    /// # Errors
    /// If a value is out of its range or contradicts another; the error names the key.
    pub fn validate(&self) -> Result<()> {
        let positive = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("type_vocab_size", self.type_vocab_size),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(Error::config(format!("encoder: `{name}` must be at least 1")));
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(Error::config(format!(
                "encoder: hidden_size {} is not a multiple of num_attention_heads {}",
                self.hidden_size, self.num_attention_heads
            )));
        }
        let least = self.position_offset().checked_add(MIN_TOKENS);
        if least.is_none_or(|least| self.max_position_embeddings < least) {
            return Err(Error::config(format!(
                "encoder: max_position_embeddings {} leaves no room for {MIN_TOKENS} tokens from \
                 position {} on",
                self.max_position_embeddings,
                self.position_offset()
            )));
        }
        let most = self.max_position_embeddings - self.position_offset();
        if let Some(window) = self.max_window
            && !(MIN_TOKENS..=most).contains(&window)
        {
            return Err(Error::config(format!(
                "encoder: `max_window` is {window}; it must lie between {MIN_TOKENS} and {most}, \
                 the positions of the encoder"
            )));
        }
        if !(self.layer_norm_eps.is_finite() && self.layer_norm_eps > 0.0) {
            return Err(Error::config(format!(
                "encoder: layer_norm_eps {} must be finite and above 0",
                self.layer_norm_eps
            )));
        }
        for (name, rate) in [
            ("hidden_dropout_prob", self.hidden_dropout_prob),
            ("attention_probs_dropout_prob", self.attention_probs_dropout_prob),
        ] {
            if !(0.0..1.0).contains(&rate) {
                return Err(Error::config(format!(
                    "encoder: `{name}` is {rate}; it must lie in [0, 1)"
                )));
            }
        }
        for (name, value, known) in [
            ("hidden_act", &self.hidden_act, "gelu"),
            ("position_embedding_type", &self.position_embedding_type, "absolute"),
        ] {
            if value != known {
                return Err(Error::config(format!(
                    "encoder: `{name}` is {value:?}; only {known:?} is supported"
                )));
            }
        }
        Ok(())
    }

    /// The floating-point operations of the matrix products in a forward pass over a document of
    /// `n_tokens` tokens.
    pub fn forward_flops(&self, n_tokens: usize) -> u64 {
        let (l, d) = (n_tokens as u64, self.hidden_size as u64);
        let inner = self.intermediate_size as u64;
        let layer = l * (4 * d * d + 2 * d * inner) + 2 * l * l * d;
        2 * self.num_hidden_layers as u64 * layer
    }

    /// The position id of the first token: 0 for BERT, `pad_token_id + 1` for RoBERTa.
    pub fn position_offset(&self) -> usize {
        match self.model_type {
            EncoderFamily::Bert => 0,
            EncoderFamily::Roberta | EncoderFamily::XlmRoberta => {
                self.pad_token_id.saturating_add(1)
            }
        }
    }

    /// The length of the longest input in tokens, special tokens included.
    pub fn max_tokens(&self) -> usize {
        let positions = self.max_position_embeddings - self.position_offset();
        self.max_window.unwrap_or(positions)
    }

    /// The number of closing tokens behind a window that does not end its document.
    ///
    /// The authors' code appends `[SEP]` for BERT and `</s></s>` for RoBERTa.
    pub fn n_window_end_tokens(&self) -> usize {
        match self.model_type {
            EncoderFamily::Bert => 1,
            EncoderFamily::Roberta | EncoderFamily::XlmRoberta => 2,
        }
    }
}

impl From<&EncoderConfig> for EncoderInput {
    fn from(config: &EncoderConfig) -> Self {
        Self {
            max_tokens: config.max_tokens(),
            position_offset: config.position_offset(),
            n_window_end_tokens: config.n_window_end_tokens(),
            n_heads: config.num_attention_heads,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small BERT for tests.
    fn tiny_bert() -> EncoderConfig {
        serde_json::from_str(
            r#"{"model_type": "bert", "vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2,
                "num_attention_heads": 4, "intermediate_size": 32, "hidden_dropout_prob": 0.1,
                "attention_probs_dropout_prob": 0.1, "max_position_embeddings": 24,
                "type_vocab_size": 2, "layer_norm_eps": 1e-12, "some_other_key": true}"#,
        )
        .expect("a valid configuration")
    }

    #[test]
    fn the_first_position_id_of_roberta_is_one_more_than_the_padding_id() {
        let config = EncoderConfig {
            model_type: EncoderFamily::Roberta,
            pad_token_id: 1,
            max_position_embeddings: 514,
            ..tiny_bert()
        };
        assert_eq!(config.position_offset(), 2);
        assert_eq!(config.max_tokens(), 512);
    }

    #[test]
    fn a_shorter_window_must_fit_the_positions_of_the_encoder() {
        let with_window = |window| EncoderConfig { max_window: Some(window), ..tiny_bert() };
        assert_eq!(tiny_bert().max_tokens(), 24);
        for window in [8, 24] {
            with_window(window).validate().unwrap();
            assert_eq!(with_window(window).max_tokens(), window);
        }
        for window in [0, 7, 25] {
            let error = with_window(window).validate().unwrap_err().to_string();
            assert!(error.contains("`max_window`") && error.contains("8 and 24"), "{error}");
        }
    }

    #[test]
    fn an_unknown_activation_is_refused_by_the_name_of_its_key() {
        let config = EncoderConfig { hidden_act: "relu".into(), ..tiny_bert() };
        assert!(config.validate().unwrap_err().to_string().contains("hidden_act"));
    }

    #[test]
    fn a_padding_id_that_leaves_no_room_for_text_is_refused_however_large() {
        let with_padding_id = |pad_token_id| {
            let model_type = EncoderFamily::Roberta;
            EncoderConfig { model_type, pad_token_id, ..tiny_bert() }.validate()
        };
        assert!(with_padding_id(24 - MIN_TOKENS - 1).is_ok());
        for id in [24 - MIN_TOKENS, 24, usize::MAX - MIN_TOKENS, usize::MAX - 1, usize::MAX] {
            let error = with_padding_id(id).unwrap_err().to_string();
            assert!(error.contains("max_position_embeddings 24 leaves no room"), "{id}: {error}");
        }
    }

    #[test]
    fn an_epsilon_of_layer_normalisation_that_is_not_positive_and_finite_is_refused() {
        for layer_norm_eps in [0.0, -1e-12, f64::NAN, f64::INFINITY] {
            let error = EncoderConfig { layer_norm_eps, ..tiny_bert() }.validate().unwrap_err();
            assert!(error.to_string().contains("layer_norm_eps"), "{error}");
        }
    }

    #[test]
    fn a_dropout_rate_out_of_range_is_refused_by_the_name_of_its_key() {
        for rate in [-0.1, 1.0, f64::NAN] {
            let hidden = EncoderConfig { hidden_dropout_prob: rate, ..tiny_bert() };
            let error = hidden.validate().unwrap_err().to_string();
            assert!(error.contains("`hidden_dropout_prob`"), "{error}");
            let attention = EncoderConfig { attention_probs_dropout_prob: rate, ..tiny_bert() };
            let error = attention.validate().unwrap_err().to_string();
            assert!(error.contains("`attention_probs_dropout_prob`"), "{error}");
        }
    }

    #[test]
    fn attention_heads_that_do_not_divide_the_hidden_size_are_refused() {
        let config = EncoderConfig { num_attention_heads: 5, ..tiny_bert() };
        assert!(config.validate().unwrap_err().to_string().contains("multiple"));
    }

    #[test]
    fn the_flops_of_a_tiny_encoder_equal_a_count_by_hand() {
        let config = EncoderConfig {
            hidden_size: 2,
            num_hidden_layers: 3,
            num_attention_heads: 1,
            intermediate_size: 3,
            ..tiny_bert()
        };
        // A layer on five tokens: projections 5·4·4, feed-forward 5·2·2·3, attention 2·25·2.
        assert_eq!(config.forward_flops(5), 2 * 3 * (80 + 60 + 100));
    }
}
