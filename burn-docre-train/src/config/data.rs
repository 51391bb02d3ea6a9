//! `[data]`: the origin of the documents.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use burn_docre::data::synthetic::SyntheticConfig;
use serde::{Deserialize, Serialize};

/// The origin of the documents: the bundled synthetic world, or files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// The bundled synthetic world, instead of files.
    pub synthetic: Option<SyntheticConfig>,
    /// Human-annotated documents: teacher, fine-tuning, and the facts that Ign F1 ignores.
    pub train: Option<PathBuf>,
    /// The documents that every stage is scored on.
    pub dev: Option<PathBuf>,
    /// Distantly labelled documents for the student.
    pub distant: Option<PathBuf>,
    /// `rel2id.json`: relation ids to class indices, `Na` is 0.
    pub relations: Option<PathBuf>,
    /// `rel_info.json`: relation ids to names; without it the ids stand for the names.
    pub relation_names: Option<PathBuf>,
}

impl DataConfig {
    pub(super) fn check(&self) -> Result<()> {
        let files = [&self.train, &self.dev, &self.distant, &self.relations, &self.relation_names];
        if let Some(synthetic) = &self.synthetic {
            synthetic.validate()?;
            ensure!(
                files.iter().all(|file| file.is_none()),
                "`data.synthetic` replaces all files: remove it or the other keys of `data`"
            );
            return Ok(());
        }
        for (key, file) in
            [("train", &self.train), ("dev", &self.dev), ("relations", &self.relations)]
        {
            ensure!(file.is_some(), "`data.{key}` is missing; give files or `data.synthetic`");
        }
        Ok(())
    }
}
