//! `[encoder]` and `[model]`: what is trained.

use std::path::PathBuf;

use anyhow::{Result, anyhow, bail, ensure};
use burn_docre::{
    encoder::{EncoderConfig as EncoderSizes, EncoderFamily},
    model::{HeadConfig, ModelConfig, ModelKind},
    pair::PairAttentionKind,
};
use serde::{Deserialize, Serialize};

/// Either a pretrained Hugging Face directory or an encoder that starts from nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// A directory with `config.json`, `tokenizer.json` and the weights.
    pub pretrained: Option<PathBuf>,
    /// A randomly initialised encoder over the words of the training documents.
    pub scratch: Option<ScratchEncoder>,
}

impl EncoderConfig {
    pub(super) fn check(&self) -> Result<()> {
        match (&self.pretrained, &self.scratch) {
            (Some(_), None) => Ok(()),
            (None, Some(scratch)) => scratch.check(),
            _ => bail!("`encoder` takes exactly one of `pretrained` and `scratch`"),
        }
    }
}

/// The shape of an encoder that starts from nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScratchEncoder {
    /// Transformer layers.
    pub layers: usize,
    /// Width of the hidden states.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of the feed-forward layers.
    pub intermediate: usize,
    /// Longest window in word pieces; longer documents are read in overlapping windows.
    pub max_tokens: usize,
    /// Dropout in training.
    #[serde(default = "tenth")]
    pub dropout: f64,
}

impl ScratchEncoder {
    pub(super) fn check(&self) -> Result<()> {
        for (key, value) in [
            ("layers", self.layers),
            ("width", self.width),
            ("heads", self.heads),
            ("intermediate", self.intermediate),
        ] {
            ensure!(value > 0, "`encoder.scratch.{key}` must be at least 1");
        }
        ensure!(self.max_tokens >= 16, "`encoder.scratch.max_tokens` must be at least 16");
        ensure!(
            self.width.is_multiple_of(self.heads),
            "`encoder.scratch.width` ({}) must be a multiple of `heads` ({})",
            self.width,
            self.heads
        );
        ensure!((0.0..1.0).contains(&self.dropout), "`encoder.scratch.dropout` must lie in 0..1");
        Ok(())
    }

    /// The library's configuration of the same encoder, over `vocab_size` tokens.
    pub fn resolve(&self, vocab_size: usize) -> EncoderSizes {
        EncoderSizes {
            model_type: EncoderFamily::Bert,
            vocab_size,
            hidden_size: self.width,
            num_hidden_layers: self.layers,
            num_attention_heads: self.heads,
            intermediate_size: self.intermediate,
            hidden_dropout_prob: self.dropout,
            attention_probs_dropout_prob: self.dropout,
            max_position_embeddings: self.max_tokens,
            type_vocab_size: 1,
            layer_norm_eps: 1e-12,
            pad_token_id: 0,
            hidden_act: "gelu".into(),
            position_embedding_type: "absolute".into(),
        }
    }
}

/// What stands on the encoder; the names are those of the library's `ModelConfig`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSection {
    /// `kd-docre` or `atlop`.
    pub kind: ModelKind,
    /// Width of the entity representations before the bilinear layer.
    pub emb_size: usize,
    /// Width of one group of the bilinear layer; divides `emb_size`.
    pub group_size: usize,
    /// `axial-stack`, `two-hop` or `none`; only for `kd-docre`.
    pub pair_attention: Option<PairAttentionKind>,
    /// Layers of the axial stack.
    pub axial_layers: Option<usize>,
    /// Attention heads of each axial layer.
    pub axial_heads: Option<usize>,
    /// At most so many relations are predicted for a pair.
    #[serde(default = "four")]
    pub max_relations_per_pair: usize,
}

impl ModelSection {
    pub(super) fn check(&self) -> Result<()> {
        ensure!(
            self.group_size > 0
                && self.emb_size > 0
                && self.emb_size.is_multiple_of(self.group_size),
            "`model.emb_size` ({}) must be a positive multiple of `model.group_size` ({})",
            self.emb_size,
            self.group_size
        );
        ensure!(
            self.max_relations_per_pair > 0,
            "`model.max_relations_per_pair` must be at least 1"
        );
        let axial = self.pair_attention == Some(PairAttentionKind::AxialStack);
        for (key, value) in [("axial_layers", self.axial_layers), ("axial_heads", self.axial_heads)]
        {
            match value {
                None if axial => bail!("`model.{key}` is missing; the axial stack needs it"),
                Some(_) if !axial => {
                    bail!("`model.{key}` has no effect without `pair_attention = \"axial-stack\"`")
                }
                Some(0) => bail!("`model.{key}` must be at least 1"),
                _ => {}
            }
        }
        match (self.kind, self.pair_attention) {
            (ModelKind::KdDocre, None) => {
                bail!("`model.pair_attention` is missing; `kd-docre` needs it")
            }
            (ModelKind::Atlop, Some(_)) => {
                bail!("`model.pair_attention` has no effect in `atlop`; remove it")
            }
            _ => Ok(()),
        }
    }

    /// The library's configuration of the same model.
    pub fn resolve(&self, encoder: EncoderSizes, n_classes: usize) -> Result<ModelConfig> {
        let config = ModelConfig {
            kind: self.kind,
            encoder,
            head: HeadConfig {
                emb_size: self.emb_size,
                group_size: self.group_size,
                pair_attention: self.pair_attention.unwrap_or(PairAttentionKind::None),
                axial_layers: self.axial_layers.unwrap_or(0),
                axial_heads: self.axial_heads.unwrap_or(0),
            },
            n_classes,
            max_relations_per_pair: self.max_relations_per_pair,
        };
        config.validate().map_err(|reason| anyhow!("{reason}"))?;
        Ok(config)
    }
}

fn four() -> usize {
    4
}

fn tenth() -> f64 {
    0.1
}
