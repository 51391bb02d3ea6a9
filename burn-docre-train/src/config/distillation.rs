//! `distillation` of a stage: the student's use of its teacher.

use anyhow::{Result, bail};
use burn_docre::loss::Distillation;
use serde::{Deserialize, Serialize};

/// The student's use of its teacher.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "toml::Table", into = "DistillationTable")]
pub enum DistillationConfig {
    /// Naive adaptation, `{ kind = "none" }`: the distant labels alone; no teacher logits are made.
    None,
    /// A distillation loss beside the relation loss.
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

/// [`DistillationConfig`] as it is written.
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
