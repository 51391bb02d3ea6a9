//! The settings beside a vocabulary or a SentencePiece model: the class of the tokenizer, its
//! options and its added tokens.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{Error, Result, input};

/// The name of the settings in a directory.
pub(super) const SETTINGS: &str = "tokenizer_config.json";
/// The tokens that a program added to a vocabulary, with their ids.
pub(super) const ADDED_TOKENS: &str = "added_tokens.json";
/// The configuration of the encoder in the same directory.
const CONFIG: &str = "config.json";
/// The remedy for a tokenizer that cannot be read.
pub(super) const WRITE_JSON: &str = "write a tokenizer.json in Python: \
                                     `AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)`";

/// The keys of a `tokenizer_config.json` that matter here.
#[derive(Debug, Default, Deserialize)]
pub(super) struct TokenizerSettings {
    /// True if BERT's tokenizer converts texts to lower case. Without this key, as in BioBERT's
    /// file, it does so if the vocabulary has no capital letters.
    pub(super) do_lower_case: Option<bool>,
    /// False if BERT's tokenizer cuts a text at spaces only.
    pub(super) do_basic_tokenize: Option<bool>,
    pub(super) strip_accents: Option<bool>,
    pub(super) tokenize_chinese_chars: Option<bool>,
    /// True if RoBERTa's tokenizer puts a space before a text.
    pub(super) add_prefix_space: Option<bool>,
    /// The class of the tokenizer in `transformers`. It determines how the vocabulary is read.
    tokenizer_class: Option<String>,
    /// All added tokens by id, the special ones included. Programs write it since `transformers`
    /// 4.34.
    added_tokens_decoder: Option<BTreeMap<u32, AddedToken>>,
}

/// A token that is found in a text before the model cuts the rest into pieces.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AddedToken {
    content: String,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    /// True if it is searched for in the normalised text. Default: whether it is not special.
    normalized: Option<bool>,
    special: bool,
}

/// The added tokens of a tokenizer by id.
#[derive(Debug, Default)]
pub(super) struct AddedTokens(BTreeMap<u32, AddedToken>);

/// The keys of an encoder's `config.json` that name the class of its tokenizer.
#[derive(Default, Deserialize)]
struct EncoderSettings {
    tokenizer_class: Option<String>,
    model_type: Option<String>,
}

/// The names that a directory has for its tokenizer's class.
#[derive(Default)]
pub(super) struct ClassNames {
    /// `tokenizer_class` of `tokenizer_config.json` or `config.json`, without the ending `Fast`.
    pub(super) class: Option<String>,
    /// `model_type` of `config.json`.
    pub(super) model_type: Option<String>,
}

impl TokenizerSettings {
    /// Reads the settings of a directory. Without a file, every key is missing.
    ///
    /// # Errors
    /// If the file cannot be read or is malformed.
    pub(super) fn of(directory: &Path) -> Result<Self> {
        let path = directory.join(SETTINGS);
        if path.is_file() {
            input::read_json(&path, "not the settings of a tokenizer")
        } else {
            Ok(Self::default())
        }
    }

    /// Reads the name of the tokenizer's class and of the encoder's family.
    ///
    /// # Errors
    /// If `config.json` cannot be read or is malformed.
    pub(super) fn class_names(&self, directory: &Path) -> Result<ClassNames> {
        let path = directory.join(CONFIG);
        let encoder: EncoderSettings = if path.is_file() {
            input::read_json(&path, "not an encoder configuration")?
        } else {
            EncoderSettings::default()
        };
        let class = self.tokenizer_class.clone().or(encoder.tokenizer_class);
        let class = class.map(|name| name.strip_suffix("Fast").unwrap_or(&name).to_owned());
        Ok(ClassNames { class, model_type: encoder.model_type })
    }

    /// Reads the added tokens of a directory: those of the settings, else those of
    /// `added_tokens.json`.
    ///
    /// # Errors
    /// If the file cannot be read or is malformed, or if two tokens share an id.
    pub(super) fn added_tokens(&self, directory: &Path) -> Result<AddedTokens> {
        if let Some(tokens) = &self.added_tokens_decoder {
            return Ok(AddedTokens(tokens.clone()));
        }
        let path = directory.join(ADDED_TOKENS);
        if !path.is_file() {
            return Ok(AddedTokens::default());
        }
        let ids: BTreeMap<String, u32> =
            input::read_json(&path, "not a table of added tokens and their ids")?;
        let n_tokens = ids.len();
        let tokens: BTreeMap<_, _> = ids
            .into_iter()
            .map(|(content, id)| (id, AddedToken { content, ..Default::default() }))
            .collect();
        if tokens.len() < n_tokens {
            return Err(Error::format(&path, "two added tokens share an id"));
        }
        Ok(AddedTokens(tokens))
    }

    /// Settings with the key `do_lower_case` alone.
    #[cfg(test)]
    pub(super) fn with_lower_case(lower_case: bool) -> Self {
        Self { do_lower_case: Some(lower_case), ..Self::default() }
    }
}

impl AddedTokens {
    /// Puts the tokens into a `tokenizer.json`: into the vocabulary of its model, at their ids, and
    /// into its list of added tokens, where they replace entries of the same text.
    ///
    /// # Errors
    /// If a token is empty, or if the vocabulary has it at another id or another token at its id.
    pub(super) fn insert_into(&self, tokenizer: &mut Value) -> Result<(), String> {
        let vocab = tokenizer["model"]["vocab"].as_object_mut().ok_or("it has no vocabulary")?;
        self.insert_into_vocabulary(vocab)?;
        let list = tokenizer["added_tokens"].as_array_mut().ok_or("it has no added tokens")?;
        let names: HashSet<&str> = self.0.values().map(|token| token.content.as_str()).collect();
        list.retain(|entry| entry["content"].as_str().is_none_or(|name| !names.contains(name)));
        list.extend(self.0.iter().map(|(id, token)| token.entry(*id)));
        Ok(())
    }

    fn insert_into_vocabulary(&self, vocab: &mut Map<String, Value>) -> Result<(), String> {
        let taken: HashSet<u64> = vocab.values().filter_map(Value::as_u64).collect();
        for (&id, AddedToken { content, .. }) in &self.0 {
            let is_new = match vocab.get(content).map(Value::as_u64) {
                Some(known) if known == Some(id.into()) => continue,
                Some(_) => false,
                None => !content.is_empty() && !taken.contains(&id.into()),
            };
            if !is_new {
                return Err(format!(
                    "the added token {content:?} with id {id} contradicts the vocabulary; \
                     {WRITE_JSON}"
                ));
            }
            vocab.insert(content.clone(), id.into());
        }
        Ok(())
    }

    /// Checks that `id_of` gives every token its id.
    ///
    /// # Errors
    /// Names the first token that has another id or none.
    pub(super) fn check(&self, id_of: impl Fn(&str) -> Option<u32>) -> Result<(), String> {
        let mut tokens = self.0.iter();
        match tokens.find(|(id, token)| id_of(&token.content) != Some(**id)) {
            Some((id, token)) => Err(format!(
                "the model lacks the added token {:?} with id {id}, which is not supported; \
                 {WRITE_JSON}",
                token.content
            )),
            None => Ok(()),
        }
    }
}

impl AddedToken {
    /// The entry in the `added_tokens` of a `tokenizer.json`.
    fn entry(&self, id: u32) -> Value {
        json!({
            "id": id, "content": self.content, "single_word": self.single_word,
            "lstrip": self.lstrip, "rstrip": self.rstrip,
            "normalized": self.normalized.unwrap_or(!self.special), "special": self.special,
        })
    }
}
