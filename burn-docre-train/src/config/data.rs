//! `[data]`: the origin of the documents.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use burn_docre::{
    PairSet,
    data::{corpora::HacRedView, docred::OnInvalid, synthetic::SyntheticConfig},
};
use serde::{Deserialize, Serialize};

use super::HubAddress;

/// The origin of the documents: the synthetic corpus, or files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// The synthetic corpus, which replaces all files.
    pub synthetic: Option<SyntheticConfig>,
    /// Human-annotated documents, for the teacher and fine-tuning; Ign F1 ignores their facts.
    pub train: Option<PathBuf>,
    /// The dev documents, on which every stage is scored.
    pub dev: Option<PathBuf>,
    /// Distantly labelled documents for the student.
    pub distant: Option<PathBuf>,
    /// A `rel2id.json` file, which maps relation ids to class indices; `Na` is 0.
    pub relations: Option<PathBuf>,
    /// A `rel_info.json` file, which maps relation ids to names; without it the ids serve as names.
    pub relation_names: Option<PathBuf>,
    /// The id of the threshold class, class 0; without it, one of the known names.
    pub threshold_class: Option<String>,
    /// The pairs of entities that labels can be about: with self relations, all pairs.
    #[serde(default, rename = "self_relations", skip_serializing_if = "PairSet::is_default")]
    pub pair_set: PairSet,
    /// The treatment of invalid documents in files.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_invalid: OnInvalid,
    /// The words of HacRED's documents; without it the characters, or the words of a document that
    /// has no characters.
    pub hacred_view: Option<HacRedView>,
}

fn is_default(on_invalid: &OnInvalid) -> bool {
    *on_invalid == OnInvalid::default()
}

impl DataConfig {
    /// The files, each a path or the address of a file of the Hugging Face Hub.
    pub fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let Self { train, dev, distant, relations, relation_names, .. } = self;
        [train, dev, distant, relations, relation_names].into_iter().flatten()
    }

    pub(super) fn check(&self) -> Result<()> {
        let files = [&self.train, &self.dev, &self.distant, &self.relations, &self.relation_names];
        files.into_iter().flatten().try_for_each(|file| HubAddress::check_file(file))?;
        if let Some(synthetic) = &self.synthetic {
            synthetic.validate()?;
            ensure!(
                files.iter().all(|file| file.is_none())
                    && is_default(&self.on_invalid)
                    && self.hacred_view.is_none()
                    && self.threshold_class.is_none(),
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
