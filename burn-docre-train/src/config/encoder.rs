//! `[encoder]`: the origin of the text encoder.

use std::path::PathBuf;

use anyhow::Result;
use burn_docre::encoder::ScratchEncoderConfig;
use serde::{Deserialize, Serialize};

use super::HubAddress;

/// The origin of the text encoder: exactly one of the keys `pretrained` and `scratch`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", try_from = "EncoderTable")]
pub enum EncoderSource {
    /// A Hugging Face directory with `config.json`, `tokenizer.json` and the weights, or the
    /// address of a model on the Hugging Face Hub.
    Pretrained(PathBuf),
    /// A randomly initialised encoder over the words of the training documents.
    Scratch(ScratchEncoderConfig),
}

impl EncoderSource {
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::Pretrained(directory) => HubAddress::check_model(directory),
            Self::Scratch(scratch) => Ok(scratch.validate()?),
        }
    }
}

/// The TOML form of an [`EncoderSource`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EncoderTable {
    pretrained: Option<PathBuf>,
    scratch: Option<ScratchEncoderConfig>,
}

impl TryFrom<EncoderTable> for EncoderSource {
    type Error = &'static str;

    fn try_from(table: EncoderTable) -> Result<Self, Self::Error> {
        match (table.pretrained, table.scratch) {
            (Some(directory), None) => Ok(Self::Pretrained(directory)),
            (None, Some(scratch)) => Ok(Self::Scratch(scratch)),
            _ => Err("`encoder` takes exactly one of `pretrained` and `scratch`"),
        }
    }
}
