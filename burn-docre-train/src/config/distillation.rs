//! `distillation` of a stage: the loss on the teacher's logits.

use anyhow::{Result, bail};
use burn_docre::loss::Distillation;
use serde::{Deserialize, Serialize};

/// The loss on the teacher's logits, or its absence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "toml::Table", into = "DistillationTable")]
pub enum DistillationConfig {
    /// Naive adaptation, `{ kind = "none" }`: training on the distant labels alone. No teacher
    /// logits are computed.
    None,
    /// A distillation loss in addition to the relation loss.
    Teacher(Distillation),
}

impl DistillationConfig {
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::None => Ok(()),
            Self::Teacher(distillation) => Ok(distillation.validate()?),
        }
    }

    /// The loss and its weights; `None` for naive adaptation.
    pub fn distillation(self) -> Option<Distillation> {
        match self {
            Self::None => None,
            Self::Teacher(distillation) => Some(distillation),
        }
    }
}

impl TryFrom<toml::Table> for DistillationConfig {
    type Error = anyhow::Error;

    fn try_from(table: toml::Table) -> Result<Self> {
        if table.get("kind").and_then(toml::Value::as_str) != Some("none") {
            return Ok(Self::Teacher(table.try_into()?));
        }
        match table.keys().find(|key| *key != "kind") {
            Some(key) => bail!("`{key}` has no effect where `kind` is \"none\""),
            None => Ok(Self::None),
        }
    }
}

/// The TOML form of a [`DistillationConfig`].
#[derive(Serialize)]
#[serde(untagged)]
enum DistillationTable {
    None { kind: &'static str },
    Teacher(Distillation),
}

impl From<DistillationConfig> for DistillationTable {
    fn from(config: DistillationConfig) -> Self {
        match config {
            DistillationConfig::None => Self::None { kind: "none" },
            DistillationConfig::Teacher(distillation) => Self::Teacher(distillation),
        }
    }
}
