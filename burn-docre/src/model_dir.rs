//! Model directories: `config.json`, `tokenizer.json`, `relations.json`, `model.safetensors`.
//!
//! Self-contained and in the manner of Hugging Face; the weights load in Python with `safetensors`. Each file is replaced
//! atomically and the weights come last, so that a directory with weights is complete.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use burn::tensor::backend::Backend;
use sha2::{Digest, Sha256};

use crate::{
    Error, Result,
    atomic_file::write_atomically,
    encoder::{EncoderConfig, load},
    model::{DocReModel, ModelConfig, weight_name},
    relation::RelationVocab,
    tokenize::DocumentTokenizer,
    weights::{self, WeightFile},
};

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const RELATIONS: &str = "relations.json";
const WEIGHTS: &str = "model.safetensors";

/// What a model needs besides its weights.
#[derive(Clone)]
pub struct ModelParts {
    /// How to build it.
    pub config: ModelConfig,
    /// How to read documents for it.
    pub tokenizer: DocumentTokenizer,
    /// What its classes mean.
    pub vocab: RelationVocab,
}

impl ModelParts {
    /// Reads everything but the weights.
    ///
    /// # Errors
    /// If a file is missing or malformed, or the files contradict each other.
    pub fn load(directory: &Path) -> Result<Self> {
        let path = directory.join(CONFIG);
        let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, "reading", e))?;
        let config: ModelConfig = serde_json::from_str(&text)
            .map_err(|e| Error::format(&path, format!("not a model configuration: {e}")))?;
        config.validate().map_err(|reason| Error::format(&path, reason))?;
        let vocab = RelationVocab::load(&directory.join(RELATIONS))?;
        if vocab.n_classes() != config.n_classes {
            let reason = format!(
                "the model has {} classes, {RELATIONS} lists {}",
                config.n_classes,
                vocab.n_classes()
            );
            return Err(Error::format(&path, reason));
        }
        let tokenizer = DocumentTokenizer::from_file(&directory.join(TOKENIZER))?;
        check_tokenizer(&tokenizer, &config.encoder)?;
        Ok(Self { config, tokenizer, vocab })
    }

    /// Writes a complete model directory; equal parts and weights give equal bytes.
    ///
    /// # Errors
    /// If a file cannot be written; whatever stood there before still stands.
    pub fn save<B: Backend>(&self, directory: &Path, model: &DocReModel<B>) -> Result<()> {
        std::fs::create_dir_all(directory).map_err(|e| Error::io(directory, "creating", e))?;
        let config =
            serde_json::to_string_pretty(&self.config).map_err(|e| Error::Config(e.to_string()))?;
        write_atomically(&directory.join(CONFIG), |out| writeln!(out, "{config}"))?;
        self.tokenizer.save(&directory.join(TOKENIZER))?;
        self.vocab.save(&directory.join(RELATIONS))?;
        weights::write_safetensors(&directory.join(WEIGHTS), &weights::collect(model, weight_name))
    }

    /// A model of this configuration with the weights of `directory`.
    ///
    /// # Errors
    /// If a weight is missing or has another shape, or the file is truncated.
    pub fn load_model<B: Backend>(
        &self,
        directory: &Path,
        device: &B::Device,
    ) -> Result<DocReModel<B>> {
        let file = WeightFile::open(&weights_path(directory))?;
        weights::load(self.config.init(device), &file, weight_name)
    }
}

/// Whether `directory` is a complete model directory.
pub fn is_complete(directory: &Path) -> bool {
    weights_path(directory).is_file()
}

/// Identifies a model by the content of its files: two directories with equal files are the same model.
///
/// # Errors
/// If a file cannot be read.
pub fn identity(directory: &Path) -> Result<[u8; 32]> {
    let mut hash = Sha256::new();
    for name in [CONFIG, TOKENIZER, RELATIONS, WEIGHTS] {
        let path = directory.join(name);
        let bytes = std::fs::read(&path).map_err(|e| Error::io(&path, "reading", e))?;
        hash.update(Sha256::digest(bytes));
    }
    Ok(hash.finalize().into())
}

/// The encoder of a Hugging Face directory with its tokenizer, weights not yet read.
///
/// # Errors
/// If a file is missing or malformed, or the tokenizer does not fit the encoder.
pub fn pretrained_encoder(directory: &Path) -> Result<(EncoderConfig, DocumentTokenizer)> {
    let config = load::pretrained_config(directory)?;
    let tokenizer = DocumentTokenizer::from_file(&directory.join(TOKENIZER))?;
    check_tokenizer(&tokenizer, &config)?;
    Ok((config, tokenizer))
}

fn check_tokenizer(tokenizer: &DocumentTokenizer, encoder: &EncoderConfig) -> Result<()> {
    if tokenizer.vocab_size() <= encoder.vocab_size {
        return Ok(());
    }
    let reason = format!(
        "has {} tokens, but the encoder's vocabulary is {}: the tokenizer does not fit the encoder",
        tokenizer.vocab_size(),
        encoder.vocab_size
    );
    Err(Error::format(tokenizer.path(), reason))
}

fn weights_path(directory: &Path) -> PathBuf {
    directory.join(WEIGHTS)
}
