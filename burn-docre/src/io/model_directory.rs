//! Model directories: `config.json`, `tokenizer.json`, `relations.json`, `model.safetensors`.
//!
//! A model directory is self-contained. Its layout resembles that of Hugging Face, and Python loads
//! the weights with `safetensors`.
//!
//! Each file is replaced atomically. Old weights are removed before another file changes, and new
//! weights are written last. So a directory with weights is complete.

use std::{
    fmt,
    fs::File,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use burn::tensor::backend::Backend;
use sha2::{Digest, Sha256};

use crate::{
    Error, Result,
    data::relation::RelationVocab,
    encoder::EncoderConfig,
    input,
    io::{
        atomic_file::{sync_directory_of, write_atomically},
        weights::{self, WeightFile},
    },
    model::{DocReModel, ModelConfig},
    ops::DocReOps,
    text::{encoded::Encoding, hex::write_hex, tokenizer::DocumentTokenizer},
};

pub(super) const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const RELATIONS: &str = "relations.json";
const WEIGHTS: &str = "model.safetensors";
/// The names of the files of a model directory.
pub const FILES: [&str; 4] = [CONFIG, TOKENIZER, RELATIONS, WEIGHTS];

/// A model without its weights: configuration, tokenizer and relations.
#[derive(Clone)]
pub struct ModelSpec {
    /// The encoder, the system and the decoding.
    pub config: ModelConfig,
    /// The tokenizer of the encoder.
    pub tokenizer: DocumentTokenizer,
    /// The relations, in the order of the classes.
    pub vocab: RelationVocab,
}

/// The files of a model directory in memory.
#[derive(Clone, Copy, Debug)]
pub struct ModelBytes<'a> {
    /// `config.json`.
    pub config: &'a [u8],
    /// `tokenizer.json`.
    pub tokenizer: &'a [u8],
    /// `relations.json`.
    pub relations: &'a [u8],
    /// `model.safetensors`.
    pub weights: &'a [u8],
}

/// An open model directory, on disk or in memory, of which everything but the weights has been
/// read.
///
/// `'a` is the lifetime of the bytes in memory. For a directory on disk it is `'static`.
pub struct ModelDirectory<'a> {
    spec: ModelSpec,
    files: Files<'a>,
}

enum Files<'a> {
    Directory(PathBuf),
    Memory(ModelBytes<'a>),
}

/// Identifies a model by the content of its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelId(pub [u8; 32]);

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl ModelDirectory<'static> {
    /// Opens a model directory and reads everything but the weights.
    ///
    /// # Errors
    /// If a file is missing or malformed, or the files contradict each other.
    pub fn open(directory: &Path) -> Result<Self> {
        let path = directory.join(CONFIG);
        let config = input::read(&path)?;
        let vocab = RelationVocab::load(&directory.join(RELATIONS))?;
        let tokenizer = DocumentTokenizer::from_file(&directory.join(TOKENIZER))?;
        let spec = ModelSpec::assemble(&config, &path, tokenizer, vocab)?;
        Ok(Self { spec, files: Files::Directory(directory.to_path_buf()) })
    }
}

impl<'a> ModelDirectory<'a> {
    /// Opens the files of a model directory in memory.
    ///
    /// Errors name each file as in a directory on disk.
    ///
    /// # Errors
    /// If a file is malformed, or the files contradict each other.
    pub fn from_bytes(files: ModelBytes<'a>) -> Result<Self> {
        let vocab = RelationVocab::from_bytes(files.relations)?;
        let tokenizer = DocumentTokenizer::from_bytes(files.tokenizer)?;
        let spec = ModelSpec::assemble(files.config, Path::new(CONFIG), tokenizer, vocab)?;
        Ok(Self { spec, files: Files::Memory(files) })
    }

    /// The model without its weights.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// The model without its weights, by value.
    pub fn into_spec(self) -> ModelSpec {
        self.spec
    }

    /// Reads the weights and builds the model on `device`.
    ///
    /// No weight is initialised at random first. The file is read one tensor at a time.
    ///
    /// # Errors
    /// If the weight file is missing, cut off or damaged. [`Error::Weights`] if a weight of the
    /// configuration is missing or misshapen, or if the file has further weights: it then belongs
    /// to another configuration.
    pub fn model<B: DocReOps>(&self, device: &B::Device) -> Result<DocReModel<B>> {
        let file = match &self.files {
            Files::Directory(directory) => WeightFile::open(&weights_path(directory))?,
            Files::Memory(files) => WeightFile::from_bytes(files.weights)?,
        };
        let config = &self.spec.config;
        weights::load_exactly(config.init_lazy(device), &file, |path| config.weight_name(path))
    }

    /// Computes the digest of all files. Directories with equal files have equal ids.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn id(&self) -> Result<ModelId> {
        match &self.files {
            Files::Directory(directory) => id_of(directory),
            Files::Memory(ModelBytes { config, tokenizer, relations, weights }) => {
                let mut hash = Sha256::new();
                for bytes in [config, tokenizer, relations, weights] {
                    hash.update(Sha256::digest(bytes));
                }
                Ok(ModelId(hash.finalize().into()))
            }
        }
    }
}

/// Computes the digest of the files of a model directory, without checking their content.
///
/// # Errors
/// If a file cannot be read.
pub fn id_of(directory: &Path) -> Result<ModelId> {
    let mut hash = Sha256::new();
    for name in FILES {
        let path = directory.join(name);
        let mut digest = Sha256::new();
        File::open(&path)
            .and_then(|mut file| std::io::copy(&mut file, &mut digest))
            .map_err(|e| Error::io(&path, "reading", e))?;
        hash.update(digest.finalize());
    }
    Ok(ModelId(hash.finalize().into()))
}

impl<'a> From<&'a ModelSpec> for Encoding<'a> {
    fn from(spec: &'a ModelSpec) -> Self {
        Self { tokenizer: &spec.tokenizer, pair_set: spec.config.pair_set }
    }
}

impl ModelSpec {
    fn assemble(
        config: &[u8],
        path: &Path,
        tokenizer: DocumentTokenizer,
        vocab: RelationVocab,
    ) -> Result<Self> {
        let config: ModelConfig = input::parse_json(config, path, "not a model configuration")?;
        config
            .validate()
            .map_err(|e| Error::format(path, "not a valid model configuration").with_source(e))?;
        if vocab.n_classes() != config.n_classes {
            let reason = format!(
                "the model has {} classes, but {RELATIONS} lists {}; use the files of one model",
                config.n_classes,
                vocab.n_classes()
            );
            return Err(Error::format(path, reason));
        }
        check_tokenizer(&tokenizer, &config.encoder)?;
        Ok(Self { config, tokenizer, vocab })
    }

    /// Writes a complete model directory. Equal specifications and weights give equal bytes.
    ///
    /// If the directory has a model of an equal specification, only its weights are replaced,
    /// atomically. If it has another model, the directory is incomplete from the first changed file
    /// to the new weights.
    ///
    /// # Errors
    /// If a file cannot be written. The directory then holds the old model, or one that is not
    /// [complete](is_complete).
    pub fn save<B: Backend>(&self, directory: &Path, model: &DocReModel<B>) -> Result<()> {
        std::fs::create_dir_all(directory).map_err(|e| Error::io(directory, "creating", e))?;
        self.save_spec(directory)?;
        let weights = weights::collect(model, |path| self.config.weight_name(path));
        weights::write_safetensors(&weights_path(directory), &weights)
    }

    /// Writes the files beside the weights. If one of them changes, it removes the old weights
    /// first.
    fn save_spec(&self, directory: &Path) -> Result<()> {
        let config = serde_json::to_string_pretty(&self.config).map_err(|error| {
            Error::config("the model's configuration cannot be written").with_source(error)
        })?;
        let mut files = vec![
            (directory.join(CONFIG), config + "\n"),
            (directory.join(TOKENIZER), self.tokenizer.to_json()?),
            (directory.join(RELATIONS), self.vocab.to_json()),
        ];
        files.retain(|(path, text)| !std::fs::read(path).is_ok_and(|old| old == text.as_bytes()));
        if !files.is_empty() {
            remove_weights(directory)?;
        }
        for (path, text) in files {
            write_atomically(&path, |out| out.write_all(text.as_bytes()))?;
        }
        Ok(())
    }
}

/// Returns true if `directory` is a complete model directory.
pub fn is_complete(directory: &Path) -> bool {
    weights_path(directory).is_file()
}

/// Checks that a tokenizer fits an encoder.
///
/// The encoder needs an embedding for every token. Windows of long documents need special tokens at
/// both ends.
pub(super) fn check_tokenizer(
    tokenizer: &DocumentTokenizer,
    encoder: &EncoderConfig,
) -> Result<()> {
    let (n_tokens, n_embeddings) = (tokenizer.vocab_size(), encoder.vocab_size);
    let (n_opening, n_closing) = (tokenizer.opening().len(), tokenizer.closing().len());
    let reason = if n_tokens > n_embeddings {
        format!(
            "has the token id {}, but the encoder's vocabulary is {n_embeddings}; \
             use the encoder's own tokenizer",
            n_tokens - 1
        )
    } else if n_opening != 1 || n_closing == 0 {
        format!(
            "puts {n_opening} special tokens before a text and {n_closing} behind it, but windows \
             of long documents need one before and at least one behind; give it the encoder's \
             `post_processor`"
        )
    } else {
        return Ok(());
    };
    Err(Error::format(tokenizer.path(), reason))
}

fn remove_weights(directory: &Path) -> Result<()> {
    let path = weights_path(directory);
    match std::fs::remove_file(&path) {
        Ok(()) => sync_directory_of(&path),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(Error::io(&path, "removing", error)),
    }
    Ok(())
}

fn weights_path(directory: &Path) -> PathBuf {
    directory.join(WEIGHTS)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::backend::TestBackend;

    const WORD_PIECE: &[u8] = include_bytes!("../../tests/fixtures/tiny_wordpiece.json");

    fn config(n_classes: usize) -> ModelConfig {
        serde_json::from_value(json!({
            "encoder": {
                "model_type": "bert", "vocab_size": 20, "hidden_size": 16, "num_hidden_layers": 1,
                "num_attention_heads": 2, "intermediate_size": 32, "hidden_dropout_prob": 0.1,
                "attention_probs_dropout_prob": 0.1, "max_position_embeddings": 24,
                "type_vocab_size": 2, "layer_norm_eps": 1e-12
            },
            "system": { "kind": "atlop", "emb_size": 16, "group_size": 4 },
            "n_classes": n_classes
        }))
        .unwrap()
    }

    fn spec(n_classes: usize) -> ModelSpec {
        ModelSpec {
            config: config(n_classes),
            tokenizer: DocumentTokenizer::from_bytes(WORD_PIECE).unwrap(),
            vocab: RelationVocab::docred(),
        }
    }

    /// Returns the error of the tokenizer of the tests after a change.
    fn refused(change: impl FnOnce(&mut Value)) -> Option<String> {
        let mut json: Value = serde_json::from_slice(WORD_PIECE).unwrap();
        change(&mut json);
        let tokenizer = DocumentTokenizer::from_bytes(json.to_string().as_bytes()).unwrap();
        check_tokenizer(&tokenizer, &config(97).encoder).err().map(|error| error.to_string())
    }

    #[test]
    fn a_tokenizer_with_an_id_outside_the_encoders_vocabulary_is_refused() {
        assert_eq!(refused(|_| ()), None);
        assert_eq!(refused(|json| json["model"]["vocab"]["new"] = 19.into()), None);
        let error = refused(|json| json["model"]["vocab"]["new"] = 20.into()).unwrap();
        assert!(error.contains("token id 20, but the encoder's vocabulary is 20"), "{error}");
        let sep = "/post_processor/special_tokens/[SEP]/ids/0";
        let error = refused(|json| *json.pointer_mut(sep).unwrap() = 40.into()).unwrap();
        assert!(error.contains("tokenizer.json: has the token id 40"), "{error}");
    }

    #[test]
    fn a_tokenizer_without_special_tokens_for_windows_is_refused() {
        let error = refused(|json| json["post_processor"] = Value::Null).unwrap();
        assert!(error.contains("puts 0 special tokens before a text and 0 behind it"), "{error}");
        let single = |json: &mut Value| json["post_processor"]["single"].take();
        let error = refused(|json| {
            let Value::Array(tokens) = single(json) else { panic!("a template is a list") };
            json["post_processor"]["single"] = tokens[..2].into();
        });
        assert!(error.unwrap().contains("puts 1 special tokens before a text and 0 behind it"));
        let error = refused(|json| {
            let Value::Array(mut tokens) = single(json) else { panic!("a template is a list") };
            tokens.insert(0, tokens[0].clone());
            json["post_processor"]["single"] = tokens.into();
        });
        assert!(error.unwrap().contains("puts 2 special tokens before a text and 1 behind it"));
        let word_level = DocumentTokenizer::word_level(["Oslo"]).unwrap();
        assert!(check_tokenizer(&word_level, &config(97).encoder).is_ok());
    }

    #[test]
    fn old_weights_stay_beside_an_equal_specification_and_are_removed_before_another_one() {
        let directory = tempfile::tempdir().unwrap();
        spec(97).save_spec(directory.path()).unwrap();
        assert!(!is_complete(directory.path()));
        std::fs::write(weights_path(directory.path()), "old").unwrap();
        spec(97).save_spec(directory.path()).unwrap();
        assert!(is_complete(directory.path()));

        // The second file cannot be replaced, so saving fails after the first one has changed.
        let tokenizer = directory.path().join(TOKENIZER);
        std::fs::remove_file(&tokenizer).unwrap();
        std::fs::create_dir(&tokenizer).unwrap();
        assert!(spec(5).save_spec(directory.path()).is_err());
        let written = std::fs::read_to_string(directory.path().join(CONFIG)).unwrap();
        assert!(written.contains("\"n_classes\": 5"));
        assert!(!is_complete(directory.path()));
    }

    /// Saves a model, and returns its directory and its named weights.
    fn saved() -> (tempfile::TempDir, Vec<(String, weights::Weight)>) {
        let directory = tempfile::tempdir().unwrap();
        let spec = spec(97);
        let model = spec.config.init::<TestBackend>(&Default::default());
        spec.save(directory.path(), &model).unwrap();
        (directory, weights::collect(&model, |path| spec.config.weight_name(path)))
    }

    #[test]
    fn a_model_is_the_same_from_a_directory_and_from_bytes() {
        let (directory, expected) = saved();
        let read = |name: &str| std::fs::read(directory.path().join(name)).unwrap();
        let [config, tokenizer, relations, bytes] =
            [CONFIG, TOKENIZER, RELATIONS, WEIGHTS].map(read);
        let files = ModelBytes {
            config: &config,
            tokenizer: &tokenizer,
            relations: &relations,
            weights: &bytes,
        };
        let on_disk = ModelDirectory::open(directory.path()).unwrap();
        let in_memory = ModelDirectory::from_bytes(files).unwrap();
        assert_eq!(on_disk.id().unwrap(), in_memory.id().unwrap());
        assert_eq!(on_disk.id().unwrap(), id_of(directory.path()).unwrap());
        for open in [on_disk, in_memory] {
            let model = open.model::<TestBackend>(&Default::default()).unwrap();
            let config = &open.spec().config;
            assert!(weights::collect(&model, |path| config.weight_name(path)) == expected);
        }
    }

    #[test]
    fn a_byte_order_mark_in_any_file_of_a_model_directory_changes_nothing() {
        let (directory, expected) = saved();
        for name in [CONFIG, TOKENIZER, RELATIONS] {
            let path = directory.path().join(name);
            let text = std::fs::read(&path).unwrap();
            std::fs::write(path, [b"\xEF\xBB\xBF", &text[..]].concat()).unwrap();
        }
        let open = ModelDirectory::open(directory.path()).unwrap();
        let model = open.model::<TestBackend>(&Default::default()).unwrap();
        let config = &open.spec().config;
        assert!(weights::collect(&model, |path| config.weight_name(path)) == expected);
    }

    #[test]
    fn a_model_directory_with_missing_or_surplus_weights_is_refused() {
        let (directory, mut all) = saved();
        let refusal = |weights: &[(String, weights::Weight)]| {
            weights::write_safetensors(&weights_path(directory.path()), weights).unwrap();
            let open = ModelDirectory::open(directory.path()).unwrap();
            open.model::<TestBackend>(&Default::default()).map(|_| ()).unwrap_err().to_string()
        };
        let error = refusal(&all[1..]);
        assert!(error.contains(&format!("`{}` is missing", all[0].0)), "{error}");
        all.push(("further.bias".into(), all[0].1.clone()));
        assert!(refusal(&all).ends_with("not used by the model: `further.bias`"));
    }
}
