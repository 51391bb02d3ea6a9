//! `[data]`: where the documents come from.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use burn_docre::data::synthetic::SyntheticConfig;
use serde::{Deserialize, Serialize};

/// Where the documents come from: the bundled synthetic world, or files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// The bundled synthetic world, instead of files.
    pub synthetic: Option<SyntheticSection>,
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
            ensure!(
                synthetic.n_train > 0 && synthetic.n_dev > 0,
                "`data.synthetic` needs documents"
            );
            ensure!(
                (0.0..=1.0).contains(&synthetic.dropped)
                    && (0.0..1.0).contains(&synthetic.spurious),
                "`data.synthetic.dropped` must lie in 0..=1 and `spurious` in 0..1"
            );
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

/// How much of the synthetic world to invent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyntheticSection {
    /// Seeds the corpus, independently of the training.
    pub seed: u64,
    /// Annotated training documents.
    pub n_train: usize,
    /// Annotated dev documents.
    pub n_dev: usize,
    /// Distantly labelled documents.
    pub n_distant: usize,
    /// Share of the true facts that the distant labels lack.
    pub dropped: f64,
    /// Share of the distant labels that the text does not support.
    pub spurious: f64,
}

impl SyntheticSection {
    /// The library's configuration of the same corpus.
    pub fn resolve(&self) -> SyntheticConfig {
        SyntheticConfig {
            seed: self.seed,
            n_train: self.n_train,
            n_dev: self.n_dev,
            n_distant: self.n_distant,
            dropped: self.dropped,
            spurious: self.spurious,
        }
    }
}
