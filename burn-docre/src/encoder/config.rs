//! The encoder's configuration, in the field names of Hugging Face's `config.json`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    batch::{EncoderInput, windows::Window},
    input,
};

/// The minimum of [`EncoderConfig::max_tokens`].
const MIN_TOKENS: usize = 8;
/// The maximum number of layers. A damaged configuration could otherwise ask for any number.
const MAX_LAYERS: usize = 1_000;
/// The maximum hidden size, for the same reason: layer normalisation is initialised at once.
const MAX_HIDDEN_SIZE: usize = 1 << 16;
/// The size of ELECTRA's word embeddings where `config.json` does not give it.
const DEFAULT_EMBEDDING_SIZE: usize = 128;

/// The supported families of encoders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EncoderFamily {
    /// BERT and its descendants with the same architecture: MiniLM, ELECTRA whose embeddings have
    /// the hidden size, ERNIE without embeddings of tasks.
    #[serde(rename = "bert")]
    Bert,
    /// RoBERTa: the first position id is `pad_token_id + 1`; a cut window ends with two closing
    /// tokens. CamemBERT and data2vec for text are RoBERTa under other names.
    #[serde(rename = "roberta")]
    Roberta,
    /// XLM-RoBERTa: RoBERTa's architecture with another vocabulary.
    #[serde(rename = "xlm-roberta")]
    XlmRoberta,
}

/// Sizes and dropout rates of an encoder.
///
/// Unknown keys are ignored, because Hugging Face's `config.json` also holds keys of other tasks. A
/// missing key has the default of the family's configuration class in Hugging Face's
/// `transformers`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "HuggingFaceConfig")]
pub struct EncoderConfig {
    /// The family.
    pub model_type: EncoderFamily,
    /// Rows of the word embedding, at least 1.
    pub vocab_size: usize,
    /// Hidden size `d`, at least 1.
    pub hidden_size: usize,
    /// Number of layers, at least 1.
    pub num_hidden_layers: usize,
    /// Number of attention heads; divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Size inside the feed-forward blocks, at least 1.
    pub intermediate_size: usize,
    /// Dropout on embeddings and on each block's output, in `[0, 1)`.
    pub hidden_dropout_prob: f64,
    /// Dropout on the attention probabilities, in `[0, 1)`.
    pub attention_probs_dropout_prob: f64,
    /// Rows of the position embedding, at least 8 more than the first position id.
    pub max_position_embeddings: usize,
    /// Length of the longest window in tokens, special tokens included: at least 8. `None` is all
    /// that the position embedding has. No key of Hugging Face.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_window: Option<usize>,
    /// Rows of the token type embedding, at least 1; only row 0 is used.
    pub type_vocab_size: usize,
    /// Epsilon of layer normalisation, added to the variance; finite and above 0.
    pub layer_norm_eps: f64,
    /// The id of the padding token; RoBERTa's first position id is one more.
    pub pad_token_id: usize,
    /// The activation; only `gelu`, the exact form, is supported. It is read from `gelu_python` too.
    pub hidden_act: String,
    /// The encoding of positions; only `absolute` is supported.
    pub position_embedding_type: String,
}

/// Hugging Face's names of the supported families.
#[derive(Clone, Copy, Deserialize)]
enum ModelType {
    #[serde(rename = "bert")]
    Bert,
    #[serde(rename = "roberta")]
    Roberta,
    #[serde(rename = "xlm-roberta")]
    XlmRoberta,
    #[serde(rename = "camembert")]
    Camembert,
    #[serde(rename = "data2vec-text")]
    Data2VecText,
    #[serde(rename = "electra")]
    Electra,
    #[serde(rename = "ernie")]
    Ernie,
}

/// The defaults of a class that differ between the classes.
struct Defaults {
    vocab_size: usize,
    hidden_size: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    pad_token_id: usize,
}

/// A `config.json` as Hugging Face's programs or this crate write it.
///
/// The classes have the same defaults, except those in [`Defaults`]. Programs leave out the keys
/// whose values are the defaults.
#[derive(Deserialize)]
struct HuggingFaceConfig {
    model_type: Option<ModelType>,
    /// The names of the model's classes, such as `RobertaForMaskedLM`.
    architectures: Option<Vec<String>>,
    vocab_size: Option<usize>,
    hidden_size: Option<usize>,
    num_hidden_layers: Option<usize>,
    num_attention_heads: Option<usize>,
    intermediate_size: Option<usize>,
    hidden_dropout_prob: Option<f64>,
    attention_probs_dropout_prob: Option<f64>,
    max_position_embeddings: Option<usize>,
    /// Our own key, see [`EncoderConfig::max_window`].
    max_window: Option<usize>,
    type_vocab_size: Option<usize>,
    layer_norm_eps: Option<f64>,
    pad_token_id: Option<usize>,
    hidden_act: Option<String>,
    position_embedding_type: Option<String>,
    /// ELECTRA's size of the word embeddings.
    embedding_size: Option<usize>,
    /// True for an ERNIE with embeddings of tasks.
    use_task_id: Option<bool>,
    /// True for a decoder, in which a token attends to earlier ones only.
    is_decoder: Option<bool>,
}

impl ModelType {
    /// The family of a model's class, such as `RobertaForMaskedLM`. `None` for other families, also
    /// for those whose names begin alike, such as `RobertaPreLayerNormModel`.
    fn of_class(name: &str) -> Option<Self> {
        let families = [
            ("Bert", Self::Bert),
            ("Roberta", Self::Roberta),
            ("XLMRoberta", Self::XlmRoberta),
            ("Camembert", Self::Camembert),
            ("Data2VecText", Self::Data2VecText),
            ("Electra", Self::Electra),
            ("Ernie", Self::Ernie),
        ];
        let is_model =
            |rest: &str| rest == "Model" || rest.starts_with("For") || rest.starts_with("LMHead");
        let found =
            families.iter().find(|(family, _)| name.strip_prefix(family).is_some_and(is_model));
        found.map(|(_, model_type)| *model_type)
    }

    fn family(self) -> EncoderFamily {
        match self {
            Self::Bert | Self::Electra | Self::Ernie => EncoderFamily::Bert,
            Self::Roberta | Self::Camembert | Self::Data2VecText => EncoderFamily::Roberta,
            Self::XlmRoberta => EncoderFamily::XlmRoberta,
        }
    }

    fn defaults(self) -> Defaults {
        let bert = Defaults {
            vocab_size: 30_522,
            hidden_size: 768,
            num_attention_heads: 12,
            intermediate_size: 3072,
            pad_token_id: 0,
        };
        match self {
            Self::Bert | Self::Ernie => bert,
            Self::Roberta => Defaults { vocab_size: 50_265, pad_token_id: 1, ..bert },
            Self::XlmRoberta | Self::Camembert | Self::Data2VecText => {
                Defaults { pad_token_id: 1, ..bert }
            }
            Self::Electra => Defaults {
                hidden_size: 256,
                num_attention_heads: 4,
                intermediate_size: 1024,
                ..bert
            },
        }
    }
}

impl HuggingFaceConfig {
    /// Checks that the encoder has no part beside those of BERT.
    fn check_parts(&self, model_type: ModelType, hidden_size: usize) -> Result<(), &'static str> {
        if self.is_decoder == Some(true) {
            return Err("`is_decoder` is true; only encoders are supported");
        }
        let embedding_size = self.embedding_size.unwrap_or(DEFAULT_EMBEDDING_SIZE);
        match model_type {
            ModelType::Electra if embedding_size != hidden_size => {
                Err("`embedding_size` differs from `hidden_size`: this ELECTRA projects its \
                 embeddings, which is not supported; ELECTRA base and large do not")
            }
            ModelType::Ernie if self.use_task_id == Some(true) => Err(
                "`use_task_id` is true: this ERNIE adds embeddings of tasks, which is not supported",
            ),
            _ => Ok(()),
        }
    }

    /// `model_type`, else that of the first class in `architectures`.
    ///
    /// BERT's first programs wrote neither. Such a file is BERT's if it gives all sizes and none is
    /// one of RoBERTa's.
    fn model_type(&self) -> Result<ModelType, &'static str> {
        if let Some(given) = self.model_type {
            return Ok(given);
        }
        if let Some(name) = self.architectures.as_ref().and_then(|names| names.first()) {
            return ModelType::of_class(name)
                .ok_or("`architectures` names no encoder of the BERT or RoBERTa families");
        }
        let sizes = [self.vocab_size, self.hidden_size, self.num_hidden_layers];
        let has_sizes = sizes.iter().all(Option::is_some);
        if has_sizes && self.type_vocab_size != Some(1) && self.pad_token_id.unwrap_or(0) == 0 {
            return Ok(ModelType::Bert);
        }
        Err("the key `model_type` is missing; add \"bert\", \"roberta\" or \"xlm-roberta\"")
    }
}

impl TryFrom<HuggingFaceConfig> for EncoderConfig {
    type Error = &'static str;

    fn try_from(given: HuggingFaceConfig) -> Result<Self, Self::Error> {
        let model_type = given.model_type()?;
        let defaults = model_type.defaults();
        let hidden_size = given.hidden_size.unwrap_or(defaults.hidden_size);
        given.check_parts(model_type, hidden_size)?;
        Ok(Self {
            model_type: model_type.family(),
            vocab_size: given.vocab_size.unwrap_or(defaults.vocab_size),
            hidden_size,
            num_hidden_layers: given.num_hidden_layers.unwrap_or(12),
            num_attention_heads: given.num_attention_heads.unwrap_or(defaults.num_attention_heads),
            intermediate_size: given.intermediate_size.unwrap_or(defaults.intermediate_size),
            hidden_dropout_prob: given.hidden_dropout_prob.unwrap_or(0.1),
            attention_probs_dropout_prob: given.attention_probs_dropout_prob.unwrap_or(0.1),
            max_position_embeddings: given.max_position_embeddings.unwrap_or(512),
            max_window: given.max_window,
            type_vocab_size: given.type_vocab_size.unwrap_or(2),
            layer_norm_eps: given.layer_norm_eps.unwrap_or(1e-12),
            pad_token_id: given.pad_token_id.unwrap_or(defaults.pad_token_id),
            hidden_act: match given.hidden_act {
                Some(name) if name != "gelu_python" => name,
                _ => "gelu".to_owned(),
            },
            position_embedding_type: given
                .position_embedding_type
                .unwrap_or_else(|| "absolute".to_owned()),
        })
    }
}

impl EncoderConfig {
    /// Reads the `config.json` of a Hugging Face directory and checks it.
    ///
    /// # Errors
    /// If the file cannot be read, names no family, or describes an unsupported encoder.
    pub fn from_file(path: &Path) -> Result<Self> {
        Self::parse(&input::read(path)?, path)
    }

    /// Reads the bytes of a `config.json`, by which errors call it, and checks it.
    ///
    /// # Errors
    /// As [`from_file`](Self::from_file).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::parse(bytes, Path::new("config.json"))
    }

    fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        let config: Self = input::parse_json(bytes, path, "not an encoder configuration")?;
        config
            .validate()
            .map_err(|e| Error::format(path, "an unsupported encoder").with_source(e))?;
        Ok(config)
    }

    /// Checks that the sizes fit together.
    ///
    /// # Errors
    /// If a value is out of its range or contradicts another; the error names the key.
    pub fn validate(&self) -> Result<()> {
        let positive = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("type_vocab_size", self.type_vocab_size),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(Error::config(format!("encoder: `{name}` must be at least 1")));
        }
        for (name, value, most) in [
            ("num_hidden_layers", self.num_hidden_layers, MAX_LAYERS),
            ("hidden_size", self.hidden_size, MAX_HIDDEN_SIZE),
        ] {
            if value > most {
                return Err(Error::config(format!("encoder: {name} {value} is above {most}")));
            }
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(Error::config(format!(
                "encoder: hidden_size {} is not a multiple of num_attention_heads {}",
                self.hidden_size, self.num_attention_heads
            )));
        }
        let least = self.position_offset().checked_add(MIN_TOKENS);
        if least.is_none_or(|least| self.max_position_embeddings < least) {
            return Err(Error::config(format!(
                "encoder: max_position_embeddings {} leaves no room for {MIN_TOKENS} tokens from \
                 position {} on",
                self.max_position_embeddings,
                self.position_offset()
            )));
        }
        let most = self.max_position_embeddings - self.position_offset();
        if let Some(window) = self.max_window
            && !(MIN_TOKENS..=most).contains(&window)
        {
            return Err(Error::config(format!(
                "encoder: `max_window` is {window}; it must lie between {MIN_TOKENS} and {most}, \
                 the positions of the encoder"
            )));
        }
        if !(self.layer_norm_eps.is_finite() && self.layer_norm_eps > 0.0) {
            return Err(Error::config(format!(
                "encoder: layer_norm_eps {} must be finite and above 0",
                self.layer_norm_eps
            )));
        }
        for (name, rate) in [
            ("hidden_dropout_prob", self.hidden_dropout_prob),
            ("attention_probs_dropout_prob", self.attention_probs_dropout_prob),
        ] {
            if !(0.0..1.0).contains(&rate) {
                return Err(Error::config(format!(
                    "encoder: `{name}` is {rate}; it must lie in [0, 1)"
                )));
            }
        }
        for (name, value, known) in [
            ("hidden_act", &self.hidden_act, "gelu"),
            ("position_embedding_type", &self.position_embedding_type, "absolute"),
        ] {
            if value != known {
                return Err(Error::config(format!(
                    "encoder: `{name}` is {value:?}; only {known:?} is supported"
                )));
            }
        }
        Ok(())
    }

    /// The floating-point operations of the matrix products in a forward pass over a document of
    /// `n_tokens` tokens, in as many windows as it needs.
    pub fn forward_flops(&self, n_tokens: usize) -> u64 {
        let (d, inner) = (self.hidden_size as u64, self.intermediate_size as u64);
        let rule = EncoderInput::from(self).window_rule();
        let of_window = |window: &Window| {
            let l = rule.length(window) as u64;
            l * (4 * d * d + 2 * d * inner) + 2 * l * l * d
        };
        let layer: u64 = rule.windows(n_tokens).iter().map(of_window).sum();
        2 * self.num_hidden_layers as u64 * layer
    }

    /// The position id of the first token: 0 for BERT, `pad_token_id + 1` for RoBERTa.
    pub fn position_offset(&self) -> usize {
        match self.model_type {
            EncoderFamily::Bert => 0,
            EncoderFamily::Roberta | EncoderFamily::XlmRoberta => {
                self.pad_token_id.saturating_add(1)
            }
        }
    }

    /// The length of the longest input in tokens, special tokens included.
    pub fn max_tokens(&self) -> usize {
        let positions = self.max_position_embeddings - self.position_offset();
        self.max_window.unwrap_or(positions)
    }

    /// The number of closing tokens behind a window that does not end its document.
    ///
    /// The authors' code appends `[SEP]` for BERT and `</s></s>` for RoBERTa.
    pub fn n_window_end_tokens(&self) -> usize {
        match self.model_type {
            EncoderFamily::Bert => 1,
            EncoderFamily::Roberta | EncoderFamily::XlmRoberta => 2,
        }
    }
}

impl From<&EncoderConfig> for EncoderInput {
    fn from(config: &EncoderConfig) -> Self {
        Self {
            max_tokens: config.max_tokens(),
            position_offset: config.position_offset(),
            n_window_end_tokens: config.n_window_end_tokens(),
            n_heads: config.num_attention_heads,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::chain_of;

    /// A small BERT for tests.
    fn tiny_bert() -> EncoderConfig {
        serde_json::from_str(
            r#"{"model_type": "bert", "vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2,
                "num_attention_heads": 4, "intermediate_size": 32, "hidden_dropout_prob": 0.1,
                "attention_probs_dropout_prob": 0.1, "max_position_embeddings": 24,
                "type_vocab_size": 2, "layer_norm_eps": 1e-12, "some_other_key": true}"#,
        )
        .expect("a valid configuration")
    }

    fn parsed(json: &str) -> EncoderConfig {
        EncoderConfig::from_bytes(json.as_bytes()).unwrap_or_else(|e| panic!("{}", chain_of(&e)))
    }

    #[track_caller]
    fn refusal(json: &str) -> String {
        chain_of(&EncoderConfig::from_bytes(json.as_bytes()).unwrap_err())
    }

    #[test]
    fn missing_keys_have_the_defaults_of_hugging_faces_classes() {
        for (family, vocab_size, pad_token_id, position_offset) in [
            ("bert", 30_522, 0, 0),
            ("roberta", 50_265, 1, 2),
            ("xlm-roberta", 30_522, 1, 2),
            ("camembert", 30_522, 1, 2),
            ("data2vec-text", 30_522, 1, 2),
            ("ernie", 30_522, 0, 0),
        ] {
            let config = parsed(&format!(r#"{{"model_type": "{family}"}}"#));
            let given = r#", "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
                "intermediate_size": 3072, "hidden_dropout_prob": 0.1, "hidden_act": "gelu",
                "attention_probs_dropout_prob": 0.1, "max_position_embeddings": 512,
                "type_vocab_size": 2, "layer_norm_eps": 1e-12,
                "position_embedding_type": "absolute""#;
            let full = format!(
                r#"{{"model_type": "{family}", "vocab_size": {vocab_size},
                    "pad_token_id": {pad_token_id} {given}}}"#
            );
            assert_eq!(config, parsed(&full), "{family}");
            assert_eq!(config.position_offset(), position_offset, "{family}");
            let null = full
                .replace(&format!(r#""pad_token_id": {pad_token_id}"#), r#""pad_token_id": null"#);
            assert_eq!(config, parsed(&null), "{family}");
        }
    }

    #[test]
    fn a_given_padding_id_replaces_the_default_of_the_family() {
        let config = parsed(r#"{"model_type": "roberta", "pad_token_id": 0}"#);
        assert_eq!(config.position_offset(), 1);
        let bert = parsed(r#"{"model_type": "bert", "pad_token_id": 7}"#);
        assert_eq!((bert.pad_token_id, bert.position_offset()), (7, 0));
    }

    #[test]
    fn a_file_without_model_type_is_of_the_family_that_its_classes_or_sizes_show() {
        let sizes = r#""vocab_size": 26, "hidden_size": 16, "num_hidden_layers": 1,
            "num_attention_heads": 2"#;
        let bert = parsed(&format!("{{{sizes}}}"));
        assert_eq!((bert.model_type, bert.layer_norm_eps), (EncoderFamily::Bert, 1e-12));
        for (class, family) in [
            ("BertForPreTraining", EncoderFamily::Bert),
            ("RobertaForMaskedLM", EncoderFamily::Roberta),
            ("CamembertModel", EncoderFamily::Roberta),
            ("Data2VecTextForMaskedLM", EncoderFamily::Roberta),
            ("ErnieModel", EncoderFamily::Bert),
            ("BertLMHeadModel", EncoderFamily::Bert),
            ("XLMRobertaModel", EncoderFamily::XlmRoberta),
        ] {
            let config = parsed(&format!(r#"{{{sizes}, "architectures": ["{class}"]}}"#));
            assert_eq!(config.model_type, family, "{class}");
        }
        for json in [
            "{}".to_owned(),
            format!(r#"{{{sizes}, "type_vocab_size": 1}}"#),
            format!(r#"{{{sizes}, "pad_token_id": 1}}"#),
        ] {
            assert!(refusal(&json).contains("the key `model_type` is missing"), "{json}");
        }
        for class in
            ["DistilBertModel", "RobertaPreLayerNormModel", "BertGenerationEncoder", "ErnieMModel"]
        {
            let error = refusal(&format!(r#"{{{sizes}, "architectures": ["{class}"]}}"#));
            assert!(error.contains("`architectures` names no encoder"), "{class}: {error}");
        }
    }

    #[test]
    fn electra_is_bert_where_its_embeddings_have_the_hidden_size() {
        let sizes = r#""embedding_size": 256"#;
        let config = parsed(&format!(r#"{{"model_type": "electra", {sizes}}}"#));
        let bert = parsed(
            r#"{"model_type": "bert", "hidden_size": 256, "num_attention_heads": 4,
                "intermediate_size": 1024}"#,
        );
        assert_eq!(config, bert);
        for json in [
            r#"{"model_type": "electra"}"#,
            r#"{"model_type": "electra", "hidden_size": 768}"#,
            r#"{"architectures": ["ElectraModel"], "embedding_size": 128}"#,
        ] {
            let error = refusal(json);
            assert!(error.contains("`embedding_size` differs from `hidden_size`"), "{error}");
        }
    }

    #[test]
    fn ernie_is_bert_where_it_has_no_embeddings_of_tasks() {
        let without = parsed(r#"{"model_type": "ernie", "use_task_id": false}"#);
        assert_eq!(without, parsed(r#"{"model_type": "bert"}"#));
        let error = refusal(r#"{"model_type": "ernie", "use_task_id": true}"#);
        assert!(error.contains("adds embeddings of tasks"), "{error}");
    }

    #[test]
    fn encoders_of_other_architectures_are_refused() {
        for family in ["roberta-prelayernorm", "ernie_m", "megatron-bert", "xlm-roberta-xl"] {
            let error = refusal(&format!(r#"{{"model_type": "{family}"}}"#));
            assert!(error.contains(family) && error.contains("`electra`"), "{error}");
        }
        let error = refusal(r#"{"model_type": "distilbert"}"#);
        assert!(error.contains("`distilbert`") && error.contains("`xlm-roberta`"), "{error}");
        let error = refusal(r#"{"model_type": "bert", "is_decoder": true}"#);
        assert!(error.contains("`is_decoder` is true"), "{error}");
        let error = refusal(r#"{"model_type": "bert", "hidden_size": "16"}"#);
        assert!(error.contains("expected a whole number of at least 0, not the text"), "{error}");
    }

    #[test]
    fn gelu_python_is_the_exact_gelu_and_the_approximations_are_refused() {
        let config = parsed(r#"{"model_type": "bert", "hidden_act": "gelu_python"}"#);
        assert_eq!(config.hidden_act, "gelu");
        for name in ["gelu_new", "gelu_fast", "relu", ""] {
            let error = refusal(&format!(r#"{{"model_type": "bert", "hidden_act": "{name}"}}"#));
            assert!(error.contains("hidden_act"), "{error}");
        }
    }

    #[test]
    fn the_first_position_id_of_roberta_is_one_more_than_the_padding_id() {
        let config = EncoderConfig {
            model_type: EncoderFamily::Roberta,
            pad_token_id: 1,
            max_position_embeddings: 514,
            ..tiny_bert()
        };
        assert_eq!(config.position_offset(), 2);
        assert_eq!(config.max_tokens(), 512);
    }

    #[test]
    fn a_shorter_window_must_fit_the_positions_of_the_encoder() {
        let with_window = |window| EncoderConfig { max_window: Some(window), ..tiny_bert() };
        assert_eq!(tiny_bert().max_tokens(), 24);
        for window in [8, 24] {
            with_window(window).validate().unwrap();
            assert_eq!(with_window(window).max_tokens(), window);
        }
        for window in [0, 7, 25] {
            let error = with_window(window).validate().unwrap_err().to_string();
            assert!(error.contains("`max_window`") && error.contains("8 and 24"), "{error}");
        }
    }

    #[test]
    fn an_unknown_activation_is_refused_by_the_name_of_its_key() {
        let config = EncoderConfig { hidden_act: "relu".into(), ..tiny_bert() };
        assert!(config.validate().unwrap_err().to_string().contains("hidden_act"));
    }

    #[test]
    fn a_padding_id_that_leaves_no_room_for_text_is_refused_however_large() {
        let with_padding_id = |pad_token_id| {
            let model_type = EncoderFamily::Roberta;
            EncoderConfig { model_type, pad_token_id, ..tiny_bert() }.validate()
        };
        assert!(with_padding_id(24 - MIN_TOKENS - 1).is_ok());
        for id in [24 - MIN_TOKENS, 24, usize::MAX - MIN_TOKENS, usize::MAX - 1, usize::MAX] {
            let error = with_padding_id(id).unwrap_err().to_string();
            assert!(error.contains("max_position_embeddings 24 leaves no room"), "{id}: {error}");
        }
    }

    #[test]
    fn an_epsilon_of_layer_normalisation_that_is_not_positive_and_finite_is_refused() {
        for layer_norm_eps in [0.0, -1e-12, f64::NAN, f64::INFINITY] {
            let error = EncoderConfig { layer_norm_eps, ..tiny_bert() }.validate().unwrap_err();
            assert!(error.to_string().contains("layer_norm_eps"), "{error}");
        }
    }

    #[test]
    fn a_dropout_rate_out_of_range_is_refused_by_the_name_of_its_key() {
        for rate in [-0.1, 1.0, f64::NAN] {
            let hidden = EncoderConfig { hidden_dropout_prob: rate, ..tiny_bert() };
            let error = hidden.validate().unwrap_err().to_string();
            assert!(error.contains("`hidden_dropout_prob`"), "{error}");
            let attention = EncoderConfig { attention_probs_dropout_prob: rate, ..tiny_bert() };
            let error = attention.validate().unwrap_err().to_string();
            assert!(error.contains("`attention_probs_dropout_prob`"), "{error}");
        }
    }

    #[test]
    fn attention_heads_that_do_not_divide_the_hidden_size_are_refused() {
        let config = EncoderConfig { num_attention_heads: 5, ..tiny_bert() };
        assert!(config.validate().unwrap_err().to_string().contains("multiple"));
    }

    #[test]
    fn sizes_that_no_encoder_has_are_refused() {
        let with_layers = |n| EncoderConfig { num_hidden_layers: n, ..tiny_bert() }.validate();
        assert!(with_layers(1_000).is_ok());
        let error = with_layers(1_000_000).unwrap_err().to_string();
        assert!(error.contains("num_hidden_layers 1000000 is above 1000"), "{error}");
        let wide = EncoderConfig { hidden_size: 16_000_000, ..tiny_bert() };
        let error = wide.validate().unwrap_err().to_string();
        assert!(error.contains("hidden_size 16000000 is above 65536"), "{error}");
    }

    #[test]
    fn the_flops_of_a_tiny_encoder_equal_a_count_by_hand() {
        let config = EncoderConfig {
            hidden_size: 2,
            num_hidden_layers: 3,
            num_attention_heads: 1,
            intermediate_size: 3,
            ..tiny_bert()
        };
        // A layer on five tokens: projections 5·4·4, feed-forward 5·2·2·3, attention 2·25·2.
        assert_eq!(config.forward_flops(5), 2 * 3 * (80 + 60 + 100));
        // Two windows of three tokens and a special token each: 4 · (16 + 12) + 2 · 16 · 2.
        let windowed = EncoderConfig { max_window: Some(4), ..config };
        assert_eq!(windowed.forward_flops(5), 2 * 3 * 2 * (112 + 64));
    }
}
