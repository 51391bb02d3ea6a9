//! Checkpoints of the KD-DocRE and ATLOP authors' code, under their published names.
//!
//! A checkpoint is the state dict of the whole model. The encoder's weights begin with `model.`.
//! The table of the other names is in the system's file in `model/`. A prefix before all names,
//! such as the `module.` of PyTorch's `DistributedDataParallel`, does not matter.

use std::{cell::RefCell, collections::BTreeSet, path::Path};

use burn::tensor::backend::Backend;

use super::weights::{self, WeightFile};
use crate::{
    Error, Result,
    model::{AtlopConfig, DocReModel, KdDocreConfig, ModelConfig, SystemConfig},
    ops::DocReOps,
    pair::{PairMixerConfig, mixer::AxialStackConfig},
};

const HEAD_EXTRACTOR: &str = "head_extractor.weight";
const PROJECTION: &str = "projection.weight";
const CLASSIFIER: &str = "classifier.weight";
const BILINEAR: &str = "bilinear.weight";
/// Beginnings of the names of an axial stack's weights; the layer's index follows.
const AXIAL_LISTS: [&str; 3] =
    ["axial_transformer.axial_attns.", "axial_transformer.ffns.", "axial_transformer.lns."];
/// Beginnings of the names that only KD-DocRE has.
const ONLY_KD_DOCRE: [&str; 3] = ["projection.", "classifier.", "axial_transformer."];

/// The authors' code that wrote a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishedSystem {
    /// KD-DocRE: projection, axial stack and classifier.
    KdDocre,
    /// ATLOP: the bilinear form straight to the classes.
    Atlop,
}

/// An open checkpoint whose sizes have been read from the shapes of its weights.
pub struct PublishedCheckpoint {
    file: WeightFile<'static>,
    /// The prefix of the published names in the file.
    prefix: String,
    system: PublishedSystem,
    emb_size: usize,
    group_size: usize,
    n_classes: usize,
    /// Number of axial layers; 0 in ATLOP.
    layers: usize,
}

/// The properties of the axial stack that are in the authors' code and not in its checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedAxial {
    /// Number of attention heads; 8 in the code.
    pub heads: usize,
    /// The number of entities to which documents are padded without a mask; 42 in the code. `None`
    /// masks all padding.
    pub pad_to: Option<usize>,
}

impl Default for PublishedAxial {
    fn default() -> Self {
        Self { heads: 8, pad_to: Some(42) }
    }
}

/// A model with the weights of a checkpoint.
#[derive(Debug)]
pub struct Imported<B: Backend> {
    /// The model.
    pub model: DocReModel<B>,
    /// The names of the tensors without use, sorted: the pooler, position ids, and in KD-DocRE the
    /// classifier that it inherits from ATLOP.
    pub ignored: Vec<String>,
}

impl PublishedCheckpoint {
    /// Opens a checkpoint in any format of [`WeightFile::open`] and reads the system and its sizes.
    ///
    /// # Errors
    /// If the file cannot be read, or has several models. [`Error::Weights`] if the weights that
    /// determine the sizes are missing or contradict each other.
    pub fn open(path: &Path) -> Result<Self> {
        let file = WeightFile::open(path)?;
        let prefix = weights::prefix_of(&file, HEAD_EXTRACTOR)?.to_owned();
        let published = || file.names().filter_map(|name| name.strip_prefix(&prefix));
        let is_kd_docre = |name: &str| ONLY_KD_DOCRE.iter().any(|begin| name.starts_with(begin));
        let system = if published().any(is_kd_docre) {
            PublishedSystem::KdDocre
        } else {
            PublishedSystem::Atlop
        };
        let mut sizes = SizeReader { file: &file, prefix: &prefix, faults: Vec::new() };
        let [emb_size, _] = sizes.matrix(HEAD_EXTRACTOR);
        let (group_size, n_classes, layers) = match system {
            PublishedSystem::KdDocre => {
                let projection = sizes.matrix(PROJECTION);
                let group_size = sizes.group_size(PROJECTION, projection, emb_size);
                (group_size, sizes.matrix(CLASSIFIER)[0], n_layers(published()))
            }
            PublishedSystem::Atlop => {
                let bilinear = sizes.matrix(BILINEAR);
                (sizes.group_size(BILINEAR, bilinear, emb_size), bilinear[0], 0)
            }
        };
        sizes.finish()?;
        Ok(Self { file, prefix, system, emb_size, group_size, n_classes, layers })
    }

    /// The code that wrote the checkpoint.
    pub fn system(&self) -> PublishedSystem {
        self.system
    }

    /// The number of classes, the threshold class included.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// The configuration of the system. ATLOP has no axial stack and does not use `axial`.
    pub fn system_config(&self, axial: PublishedAxial) -> SystemConfig {
        let Self { emb_size, group_size, layers, .. } = *self;
        match self.system {
            PublishedSystem::KdDocre => {
                let PublishedAxial { heads, pad_to } = axial;
                let stack = AxialStackConfig { layers, heads, pad_to };
                let mixer = PairMixerConfig::AxialStack(stack);
                SystemConfig::KdDocre(KdDocreConfig { emb_size, group_size, mixer })
            }
            PublishedSystem::Atlop => SystemConfig::Atlop(AtlopConfig { emb_size, group_size }),
        }
    }

    /// Builds the model of `config`, whose system is the checkpoint's, with the checkpoint's
    /// weights.
    ///
    /// # Errors
    /// [`Error::Weights`] with every missing and misshapen weight, and every tensor that is neither
    /// used nor known to be without use. If a tensor cannot be read, or if the authors' code has no
    /// model of this configuration.
    ///
    /// # Panics
    /// If `config` is not valid.
    pub fn model<B: DocReOps>(
        &self,
        config: &ModelConfig,
        device: &B::Device,
    ) -> Result<Imported<B>> {
        let published = published_names(self.file.path(), config)?;
        let used = RefCell::new(BTreeSet::new());
        let loaded = weights::load(config.init_lazy::<B>(device), &self.file, |path| {
            let name = format!("{}{}", self.prefix, published(path));
            used.borrow_mut().insert(name.clone());
            name
        });
        let used = used.into_inner();
        let others = self.file.names().filter(|name| !used.contains(*name)).map(str::to_owned);
        let (ignored, unused): (Vec<_>, Vec<_>) = others.partition(|name| self.is_ignored(name));
        let faults = match loaded {
            Ok(loaded) if unused.is_empty() => {
                return Ok(Imported { model: loaded.module, ignored });
            }
            Ok(_) => Vec::new(),
            // The loader counts the ignored tensors as unused.
            Err(Error::Weights { faults, .. }) => faults,
            Err(error) => return Err(error),
        };
        Err(Error::Weights { path: self.file.path().to_path_buf(), faults, unused })
    }

    /// Reports whether the authors' code has the tensor `name` and does not use it.
    fn is_ignored(&self, name: &str) -> bool {
        let Some(name) = name.strip_prefix(&self.prefix) else { return false };
        let is_inherited = self.system == PublishedSystem::KdDocre && name.starts_with("bilinear.");
        is_inherited || name.starts_with("model.pooler.") || name.ends_with(".position_ids")
    }
}

/// Writes the weights of `model` as safetensors under the published names of its system.
///
/// # Errors
/// If the authors' code has no model of this configuration, or the file cannot be written.
pub fn export<B: Backend>(path: &Path, config: &ModelConfig, model: &DocReModel<B>) -> Result<()> {
    let weights = weights::collect(model, published_names(path, config)?);
    weights::write_safetensors(path, &weights)
}

fn published_names(path: &Path, config: &ModelConfig) -> Result<impl Fn(&str) -> String + use<>> {
    config.published_names().ok_or_else(|| {
        let reason = "the authors published code for ATLOP, and for KD-DocRE with the mixer \
                      `axial-stack`; this model is neither";
        Error::format(path, reason)
    })
}

/// The number of axial layers by the names of a file, at least 1. If there is none, the loader
/// lists the weights of the first layer as missing.
fn n_layers<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    let index = |name: &str| {
        let rest = AXIAL_LISTS.iter().find_map(|list| name.strip_prefix(list))?;
        rest.split('.').next().map(str::to_owned)
    };
    // Indices are counted and not read as numbers: their number is limited by the file's length.
    let indices: BTreeSet<String> = names.filter_map(index).collect();
    indices.len().max(1)
}

/// Reads sizes from the shapes of weights and collects the faults.
struct SizeReader<'a> {
    file: &'a WeightFile<'static>,
    prefix: &'a str,
    faults: Vec<String>,
}

impl SizeReader<'_> {
    /// The shape of the matrix `name`, `[out, in]`; `[1, 1]` and a fault if there is none.
    fn matrix(&mut self, name: &str) -> [usize; 2] {
        let name = &format!("{}{name}", self.prefix);
        match self.file.shape(name) {
            Some(&[rows, columns]) if rows > 0 && columns > 0 => return [rows, columns],
            Some(shape) => {
                self.faults
                    .push(format!("`{name}` has the shape {shape:?}, the model needs a matrix"));
            }
            None => self.faults.push(format!("`{name}` is missing")),
        }
        [1, 1]
    }

    /// The size of a group of the bilinear form whose weight is `name`. The weight has this
    /// `shape`, with `emb_size · group_size` columns.
    fn group_size(&mut self, name: &str, shape: [usize; 2], emb_size: usize) -> usize {
        let [_, columns] = shape;
        let group_size = columns / emb_size;
        let fits = columns.is_multiple_of(emb_size)
            && group_size > 0
            && emb_size.is_multiple_of(group_size);
        // Without one of the matrices, the sizes are not known.
        if !fits && self.faults.is_empty() {
            self.faults.push(format!(
                "`{}{name}` has the shape {shape:?}, the model needs {emb_size} columns for each \
                 element of a group, whose size divides {emb_size}",
                self.prefix
            ));
        }
        group_size
    }

    /// Returns the faults, if there are any, with the names of all tensors in the file.
    fn finish(self) -> Result<()> {
        if self.faults.is_empty() {
            return Ok(());
        }
        let unused = self.file.names().map(str::to_owned).collect();
        Err(Error::Weights { path: self.file.path().to_path_buf(), faults: self.faults, unused })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tempfile::TempDir;

    use super::{super::weights::Weight, *};
    use crate::{backend::TestBackend, model::testing::with_system};

    fn kd_docre() -> ModelConfig {
        let mixer = json!({ "kind": "axial-stack", "layers": 3, "heads": 2, "pad_to": 42 });
        with_system(json!({ "kind": "kd-docre", "emb_size": 6, "group_size": 2, "mixer": mixer }))
    }

    fn atlop() -> ModelConfig {
        with_system(json!({ "kind": "atlop", "emb_size": 6, "group_size": 3 }))
    }

    /// The weights of a random model under their published names.
    fn published_weights(config: &ModelConfig) -> Vec<(String, Weight)> {
        let model = config.init::<TestBackend>(&Default::default());
        weights::collect(&model, config.published_names().expect("a published system"))
    }

    fn matrix(name: &str, shape: [usize; 2]) -> (String, Weight) {
        let values = vec![0.5; shape[0] * shape[1]];
        (name.to_owned(), Weight { shape: shape.to_vec(), values })
    }

    /// Writes a checkpoint to `directory` and opens it.
    fn written(directory: &TempDir, weights: &[(String, Weight)]) -> Result<PublishedCheckpoint> {
        let path = directory.path().join("checkpoint.safetensors");
        weights::write_safetensors(&path, weights).unwrap();
        PublishedCheckpoint::open(&path)
    }

    /// The error of importing a KD-DocRE checkpoint after a change of its tensors.
    fn refusal(change: impl FnOnce(&mut Vec<(String, Weight)>)) -> String {
        let mut weights = published_weights(&kd_docre());
        change(&mut weights);
        let directory = tempfile::tempdir().unwrap();
        let imported = written(&directory, &weights).and_then(|checkpoint| {
            let axial = PublishedAxial { heads: 2, pad_to: Some(42) };
            let system = checkpoint.system_config(axial);
            let config = ModelConfig { system, ..kd_docre() };
            checkpoint.model::<TestBackend>(&config, &Default::default())
        });
        imported.map(|_| ()).expect_err("a checkpoint with a fault").to_string()
    }

    #[test]
    fn the_published_names_of_both_systems_are_those_of_the_authors_code() {
        let names = |config: &ModelConfig| {
            let names = published_weights(config).into_iter().map(|(name, _)| name);
            names.collect::<BTreeSet<String>>()
        };
        let kd_docre = names(&kd_docre());
        for name in [
            "model.embeddings.word_embeddings.weight",
            "model.encoder.layer.1.attention.self.query.bias",
            "head_extractor.weight",
            "tail_extractor.bias",
            "projection.weight",
            "axial_transformer.axial_attns.2.axial_attentions.0.fn.to_q.weight",
            "axial_transformer.axial_attns.2.axial_attentions.0.fn.to_kv.weight",
            "axial_transformer.axial_attns.0.axial_attentions.1.fn.to_out.bias",
            "axial_transformer.ffns.1.weight",
            "axial_transformer.lns.1.bias",
            "classifier.weight",
        ] {
            assert!(kd_docre.contains(name), "{name} is not in {kd_docre:?}");
        }
        let atlop = names(&atlop());
        let relation: Vec<&String> =
            atlop.iter().filter(|name| !name.starts_with("model.")).collect();
        let expected = [
            "bilinear.bias",
            "bilinear.weight",
            "head_extractor.bias",
            "head_extractor.weight",
            "tail_extractor.bias",
            "tail_extractor.weight",
        ];
        assert_eq!(relation, expected);
    }

    #[test]
    fn the_sizes_of_a_checkpoint_are_read_from_its_weights() {
        for (config, system) in
            [(kd_docre(), PublishedSystem::KdDocre), (atlop(), PublishedSystem::Atlop)]
        {
            let directory = tempfile::tempdir().unwrap();
            let checkpoint = written(&directory, &published_weights(&config)).unwrap();
            assert_eq!(checkpoint.system(), system);
            assert_eq!(checkpoint.n_classes(), 5);
            let axial = PublishedAxial { heads: 2, pad_to: Some(42) };
            assert_eq!(checkpoint.system_config(axial), config.system);
        }
    }

    #[test]
    fn tensors_without_use_are_ignored_by_name_and_atlop_uses_its_bilinear_form() {
        let without_use = [
            matrix("model.pooler.dense.weight", [8, 8]),
            matrix("model.embeddings.position_ids", [1, 16]),
        ];
        for (config, inherited) in [
            (kd_docre(), vec![matrix("bilinear.bias", [1, 5]), matrix("bilinear.weight", [5, 12])]),
            (atlop(), Vec::new()),
        ] {
            let mut weights = published_weights(&config);
            let mut expected: Vec<String> =
                without_use.iter().chain(&inherited).map(|(name, _)| name.clone()).collect();
            expected.sort();
            weights.extend(without_use.iter().cloned().chain(inherited));
            let directory = tempfile::tempdir().unwrap();
            let checkpoint = written(&directory, &weights).unwrap();
            let imported = checkpoint.model::<TestBackend>(&config, &Default::default()).unwrap();
            assert_eq!(imported.ignored, expected);
        }
    }

    #[test]
    fn a_prefix_of_all_names_does_not_matter() {
        for (config, prefix) in
            [(kd_docre(), "module."), (atlop(), "module."), (kd_docre(), "model.")]
        {
            let weights = published_weights(&config);
            let mut prefixed: Vec<_> = weights
                .iter()
                .map(|(name, weight)| (format!("{prefix}{name}"), weight.clone()))
                .collect();
            prefixed.push(matrix(&format!("{prefix}model.pooler.dense.weight"), [8, 8]));
            let directory = tempfile::tempdir().unwrap();
            let checkpoint = written(&directory, &prefixed).unwrap();
            let axial = PublishedAxial { heads: 2, pad_to: Some(42) };
            assert_eq!(checkpoint.system_config(axial), config.system);
            let imported = checkpoint.model::<TestBackend>(&config, &Default::default()).unwrap();
            assert_eq!(imported.ignored, [format!("{prefix}model.pooler.dense.weight")]);
            let names = config.published_names().expect("a published system");
            assert!(weights::collect(&imported.model, names) == weights, "{prefix}");
        }
    }

    #[test]
    fn a_tensor_without_the_prefix_of_the_others_and_a_second_model_are_refused() {
        let mut weights: Vec<_> = published_weights(&atlop())
            .into_iter()
            .map(|(name, weight)| (format!("module.{name}"), weight))
            .collect();
        weights.push(matrix("model.pooler.dense.weight", [8, 8]));
        let directory = tempfile::tempdir().unwrap();
        let checkpoint = written(&directory, &weights).unwrap();
        let error = checkpoint.model::<TestBackend>(&atlop(), &Default::default()).unwrap_err();
        let expected = "1 tensors are not used by the model: `model.pooler.dense.weight`";
        assert!(error.to_string().ends_with(expected), "{error}");

        weights.push(matrix("teacher.head_extractor.weight", [6, 16]));
        let error = written(&directory, &weights).err().expect("two models").to_string();
        let expected = r#"several times, under the prefixes ["module.", "teacher."]"#;
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn missing_and_unknown_tensors_are_listed_without_those_that_are_ignored() {
        let error = refusal(|weights| {
            weights.retain(|(name, _)| {
                name != "tail_extractor.bias" && name != "axial_transformer.lns.1.weight"
            });
            weights.push(matrix("model.pooler.dense.weight", [8, 8]));
            weights.push(matrix("entity_embedding.weight", [3, 8]));
        });
        for part in ["`tail_extractor.bias` is missing", "`axial_transformer.lns.1.weight` is miss"]
        {
            assert!(error.contains(part), "{error}");
        }
        assert!(error.contains("2 weights do not fit"), "{error}");
        assert!(error.ends_with("the file also has `entity_embedding.weight`"), "{error}");

        let error = refusal(|weights| weights.push(matrix("entity_embedding.weight", [3, 8])));
        assert!(error.ends_with("not used by the model: `entity_embedding.weight`"), "{error}");
    }

    #[test]
    fn a_checkpoint_without_axial_layers_is_refused_and_not_read_as_a_model_without_them() {
        let error = refusal(|weights| weights.retain(|(name, _)| !name.starts_with("axial")));
        let missing =
            "`axial_transformer.axial_attns.0.axial_attentions.1.fn.to_kv.weight` is miss";
        assert!(error.contains(missing), "{error}");
    }

    #[test]
    fn weights_without_sizes_are_refused_with_what_the_file_has_instead() {
        let error = refusal(|weights| {
            weights.retain(|(name, _)| name.starts_with("model.") || name == "classifier.bias");
        });
        for name in [HEAD_EXTRACTOR, PROJECTION, CLASSIFIER] {
            assert!(error.contains(&format!("`{name}` is missing")), "{error}");
        }
        assert!(error.contains("the file also has `classifier.bias`, `model."), "{error}");

        for shape in [[8, 13], [8, 6 * 4], [8, 3]] {
            let error = refusal(|weights| {
                weights.retain(|(name, _)| name != PROJECTION);
                weights.push(matrix(PROJECTION, shape));
            });
            assert!(error.contains("size divides 6"), "{shape:?}: {error}");
        }
        for shape in [[0, 16], [6, 0]] {
            let error = refusal(|weights| {
                weights.retain(|(name, _)| name != HEAD_EXTRACTOR);
                weights.push(matrix(HEAD_EXTRACTOR, shape));
            });
            assert!(error.contains("the model needs a matrix"), "{shape:?}: {error}");
        }
    }

    #[test]
    fn a_missing_bilinear_form_of_atlop_is_one_fault() {
        let mut weights = published_weights(&atlop());
        weights.retain(|(name, _)| name != BILINEAR);
        let directory = tempfile::tempdir().unwrap();
        let opened = written(&directory, &weights);
        let error = opened.err().expect("a checkpoint with a fault").to_string();
        assert_eq!(error.matches("`bilinear.weight` is missing").count(), 1, "{error}");
    }

    #[test]
    fn a_model_that_the_authors_code_lacks_is_not_exported() {
        for mixer in ["none", "two-hop"] {
            let mixer = json!({ "kind": mixer });
            let system =
                json!({ "kind": "kd-docre", "emb_size": 6, "group_size": 2, "mixer": mixer });
            let config = with_system(system);
            let model = config.init::<TestBackend>(&Default::default());
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("model.safetensors");
            let error = export(&path, &config, &model).unwrap_err().to_string();
            assert!(error.contains("`axial-stack`"), "{error}");
            assert!(!path.exists());
        }
    }
}
