//! Pretrained encoders: directories in Hugging Face's layout.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::{
    model_directory::{CONFIG, check_tokenizer},
    weights::{self, Loaded, WeightFile},
};
use crate::{
    Error, Result,
    encoder::{Encoder, EncoderConfig, names::HUGGING_FACE},
    ops::DocReOps,
    text::tokenizer::DocumentTokenizer,
};

/// The weight files of Hugging Face's directories, the preferred ones first.
const WEIGHT_FILES: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];
/// The name of the word embeddings without the prefix that all weights of an encoder share.
///
/// This weight locates the encoder in a file.
const WORD_EMBEDDING: &str = "embeddings.word_embeddings.weight";
/// The parts of pretrained models that no encoder here has: poolers and output layers.
const OUTPUT_PARTS: [&str; 8] = [
    "pooler",
    "cls",
    "lm_head",
    "classifier",
    "qa_outputs",
    "discriminator_predictions",
    "generator_predictions",
    "generator_lm_head",
];

/// A pretrained encoder's configuration and tokenizer.
#[derive(Clone)]
pub struct PretrainedEncoder {
    /// The encoder's configuration.
    pub config: EncoderConfig,
    /// The encoder's tokenizer.
    pub tokenizer: DocumentTokenizer,
}

impl PretrainedEncoder {
    /// Reads `config.json` and the tokenizer of a directory: `tokenizer.json`, or the other
    /// files of [`DocumentTokenizer::from_directory`].
    ///
    /// [`load_pretrained`] reads the weights.
    ///
    /// # Errors
    /// If a file is missing or malformed, or the tokenizer does not fit the encoder.
    pub fn open(directory: &Path) -> Result<Self> {
        let config = EncoderConfig::from_file(&directory.join(CONFIG))?;
        Self::checked(config, DocumentTokenizer::from_directory(directory)?)
    }

    /// The files of a directory that [`open`](Self::open) and [`load_pretrained`] read.
    ///
    /// # Errors
    /// If the directory has no weights, or the list of their shards cannot be read.
    pub fn files_in(directory: &Path) -> Result<Vec<PathBuf>> {
        let mut files = vec![directory.join(CONFIG)];
        files.extend(DocumentTokenizer::files_in(directory));
        files.extend(weights::files_of(&weight_file(directory)?)?);
        Ok(files)
    }

    /// The names of the files that [`open`](Self::open) reads, of those that exist in a directory or
    /// repository.
    pub fn configuration_files(exists: impl Fn(&str) -> bool) -> Vec<&'static str> {
        let mut names = vec![CONFIG];
        names.extend(DocumentTokenizer::file_names(exists));
        names
    }

    /// The name of the file that [`load_pretrained`] reads first, of those that exist: the weights,
    /// or the list of their shards. `None` if there are no weights.
    pub fn weight_file(exists: impl Fn(&str) -> bool) -> Option<&'static str> {
        WEIGHT_FILES.into_iter().find(|name| exists(name))
    }

    /// Reads the bytes of `config.json` and `tokenizer.json`.
    ///
    /// [`load_pretrained_from_bytes`] reads the weights.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_bytes(config: &[u8], tokenizer: &[u8]) -> Result<Self> {
        let config = EncoderConfig::from_bytes(config)?;
        Self::checked(config, DocumentTokenizer::from_bytes(tokenizer)?)
    }

    fn checked(config: EncoderConfig, tokenizer: DocumentTokenizer) -> Result<Self> {
        check_tokenizer(&tokenizer, &config)?;
        Ok(Self { config, tokenizer })
    }
}

/// Loads the weights of a directory into `encoder`.
///
/// The weights are in `model.safetensors` or `pytorch_model.bin`, or in the shards that the
/// `.index.json` of either lists. Their names may have any common prefix, such as `bert.` or
/// `module.roberta.`.
///
/// [`Loaded::unused`] lists the other weights of the file: poolers, output layers, and those of
/// further layers. [`describe_unused`] makes a short text of it.
///
/// # Errors
/// If the weight file is missing, cut off or damaged. If it has several encoders. If weights are
/// missing or have another shape.
pub fn load_pretrained<B: DocReOps>(
    encoder: Encoder<B>,
    directory: &Path,
) -> Result<Loaded<Encoder<B>>> {
    load_from(encoder, &WeightFile::open(&weight_file(directory)?)?)
}

/// Loads the weights in the bytes of a weight file into `encoder`.
///
/// See [`load_pretrained`] for names and unused weights.
///
/// # Errors
/// As [`load_pretrained`].
pub fn load_pretrained_from_bytes<B: DocReOps>(
    encoder: Encoder<B>,
    weights: &[u8],
) -> Result<Loaded<Encoder<B>>> {
    load_from(encoder, &WeightFile::from_bytes(weights)?)
}

fn load_from<B: DocReOps>(
    encoder: Encoder<B>,
    file: &WeightFile<'_>,
) -> Result<Loaded<Encoder<B>>> {
    let prefix = weights::prefix_of(file, WORD_EMBEDDING)?;
    weights::load(encoder, file, |path| {
        legacy_name(file, format!("{prefix}{}", HUGGING_FACE.rename(path)))
    })
}

/// Describes the unused weights of a pretrained file in one line. Layers behind the first
/// `n_layers`, poolers and output layers are named with their number of weights, and every other
/// weight by its name. Empty for no names.
///
/// An example is `encoder.layer.0.adapter.bias; further layers: 2, 3 (32); pooler and output layers:
/// cls (7), pooler (2)`.
pub fn describe_unused(names: &[String], n_layers: usize) -> String {
    let (mut others, mut layers) = (Vec::new(), Vec::new());
    let mut parts = BTreeMap::new();
    for name in names {
        match (output_part(name), layer_index(name)) {
            (Some(part), _) => *parts.entry(part).or_insert(0) += 1,
            (None, Some(layer)) if layer >= n_layers => layers.push(layer),
            _ => others.push(name.as_str()),
        }
    }
    let further: BTreeSet<_> = layers.iter().collect();
    let further: Vec<_> = further.iter().map(|layer| layer.to_string()).collect();
    let parts: Vec<_> = parts.iter().map(|(part, n)| format!("{part} ({n})")).collect();
    let mut texts = Vec::new();
    if !others.is_empty() {
        texts.push(others.join(", "));
    }
    if !layers.is_empty() {
        texts.push(format!("further layers: {} ({})", further.join(", "), layers.len()));
    }
    if !parts.is_empty() {
        texts.push(format!("pooler and output layers: {}", parts.join(", ")));
    }
    texts.join("; ")
}

/// The number behind `layer` in the name of a weight.
fn layer_index(name: &str) -> Option<usize> {
    name.split('.').skip_while(|part| *part != "layer").nth(1)?.parse().ok()
}

/// The pooler or output layer of a weight: its name up to that part.
fn output_part(name: &str) -> Option<&str> {
    let mut end = 0;
    for part in name.split('.') {
        end += part.len();
        if OUTPUT_PARTS.contains(&part) {
            return Some(&name[..end]);
        }
        end += 1;
    }
    None
}

/// Finds the weight file of a directory.
fn weight_file(directory: &Path) -> Result<PathBuf> {
    let name = PretrainedEncoder::weight_file(|name| directory.join(name).is_file());
    name.map(|name| directory.join(name)).ok_or_else(|| {
        Error::format(
            directory,
            "has neither model.safetensors nor pytorch_model.bin, whole or in shards; put one \
             there",
        )
    })
}

/// Returns the name in `file` of a parameter of layer normalisation.
///
/// Files converted from TensorFlow call these parameters `gamma` and `beta`.
fn legacy_name(file: &WeightFile<'_>, name: String) -> String {
    if !name.contains("LayerNorm") || file.contains(&name) {
        return name;
    }
    let legacy = name.replace(".weight", ".gamma").replace(".bias", ".beta");
    if file.contains(&legacy) { legacy } else { name }
}

#[cfg(test)]
mod tests;
