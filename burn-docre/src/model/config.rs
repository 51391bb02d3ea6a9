//! The configuration of a model: its encoder, its system and its classes.

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Tensor, backend::Backend},
};
use serde::{Deserialize, Deserializer, Serialize};

use super::{DocReModel, DocumentSize, SystemConfig};
use crate::{
    Error, Result,
    data::pair::PairSet,
    encoder::{
        EncoderConfig,
        names::{HUGGING_FACE, NameTable},
    },
};

/// The configuration of a model, as it stands in a model directory's `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// The encoder. Unlike in Hugging Face's `config.json`, an unknown key is an error.
    #[serde(deserialize_with = "strict_encoder")]
    pub encoder: EncoderConfig,
    /// The system, whose relation module reads the encoder's output.
    pub system: SystemConfig,
    /// The number of classes, the threshold class included; at least 2.
    pub n_classes: usize,
    /// The decoding of logits to relations.
    #[serde(default)]
    pub decoding: DecodingConfig,
    /// The pairs of entities that are classified, those of the training documents.
    #[serde(default, rename = "self_relations", skip_serializing_if = "PairSet::is_default")]
    pub pair_set: PairSet,
}

/// The decoding of logits to relations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DecodingConfig {
    /// The most relations that are decoded for one pair; at least 1, by default 4.
    pub max_relations_per_pair: usize,
}

impl Default for DecodingConfig {
    fn default() -> Self {
        Self { max_relations_per_pair: 4 }
    }
}

impl DecodingConfig {
    /// Checks the range of every value.
    ///
    /// # Errors
    /// If `max_relations_per_pair` is 0.
    pub fn validate(&self) -> Result<()> {
        if self.max_relations_per_pair == 0 {
            return Err(Error::config("decoding: `max_relations_per_pair` must be at least 1"));
        }
        Ok(())
    }
}

impl ModelConfig {
    /// Checks every value and that encoder and system fit together.
    ///
    /// # Errors
    /// If a value is out of its range or contradicts another; the error names the key.
    pub fn validate(&self) -> Result<()> {
        self.encoder.validate()?;
        self.system.validate()?;
        self.system.system().validate_on(&self.encoder)?;
        self.decoding.validate()?;
        if self.n_classes < 2 {
            return Err(Error::config(
                "model: `n_classes` must be at least 2, the threshold class and a relation",
            ));
        }
        Ok(())
    }

    /// Initialises a model with random weights from the backend's random number generator. Inside
    /// [`ops::seeded`](crate::ops::seeded), they depend on the seed alone.
    ///
    /// # Panics
    /// If the configuration is not [valid](Self::validate).
    pub fn init<B: Backend>(&self, device: &B::Device) -> DocReModel<B> {
        let model = self.init_lazy(device);
        // Burn initialises a parameter when it is first read, and does so in each clone. Reading
        // all parameters now makes later clones equal.
        model.visit(&mut Draw);
        model
    }

    /// Initialises a model whose random weights are drawn only when they are first read. Use it to
    /// load all weights from a file.
    ///
    /// Each clone draws weights of its own, so a model to train comes from [`init`](Self::init).
    ///
    /// # Panics
    /// If the configuration is not [valid](Self::validate).
    pub(crate) fn init_lazy<B: Backend>(&self, device: &B::Device) -> DocReModel<B> {
        if let Err(error) = self.validate() {
            panic!("{error}");
        }
        let relation = self.system.init(&self.encoder, self.n_classes, device);
        DocReModel { encoder: self.encoder.init(device), relation }
    }

    /// The floating-point operations of the matrix products in a forward pass over one document.
    ///
    /// Element-wise operations and padding are not counted. A training step costs three times as
    /// much.
    pub fn forward_flops(&self, size: DocumentSize) -> u64 {
        let system = self.system.system();
        self.encoder.forward_flops(size.n_tokens)
            + system.flops(&self.encoder, self.n_classes, size)
    }

    /// The name in `model.safetensors` of the parameter at the module path `path` of a
    /// [`DocReModel`].
    ///
    /// Parameters of the encoder have Hugging Face's names with the prefix `encoder.`. Those of a
    /// second encoder have the path of that encoder as their prefix, such as
    /// `key_classifier.encoder.`. Other parameters of the relation module have the names in the
    /// table of their system.
    pub fn weight_name(&self, path: &str) -> String {
        weight_name(path, "encoder", self.system.system().weight_names())
    }

    /// Returns the function from module paths of a [`DocReModel`] to names in checkpoints of the
    /// system's authors' code. `None` if that code has no such model.
    ///
    /// Parameters of the encoder have Hugging Face's names with the prefix `model.`.
    pub fn published_names(&self) -> Option<impl Fn(&str) -> String + use<>> {
        let relation = self.system.system().published_names()?;
        Some(move |path: &str| weight_name(path, "model", relation))
    }
}

/// The name of the parameter at `path`: in the model's encoder, Hugging Face's name behind the prefix
/// `encoder`; in another encoder, Hugging Face's name behind that encoder's path; elsewhere, the name
/// in the table `relation`.
fn weight_name(path: &str, encoder: &str, relation: NameTable) -> String {
    let path = path.strip_prefix("relation.").unwrap_or(path);
    match split_at_encoder(path) {
        Some(("encoder.", path)) => format!("{encoder}.{}", HUGGING_FACE.rename(path)),
        Some((prefix, path)) => format!("{prefix}{}", HUGGING_FACE.rename(path)),
        None => relation.rename(path),
    }
}

/// Splits the path of an encoder's parameter behind `encoder.`; `None` for other parameters.
fn split_at_encoder(path: &str) -> Option<(&str, &str)> {
    const ENCODER: &str = "encoder.";
    let mut starts = path.match_indices(ENCODER).map(|(start, _)| start);
    let start = starts.find(|start| path[..*start].is_empty() || path[..*start].ends_with('.'))?;
    Some(path.split_at(start + ENCODER.len()))
}

/// Deserialises an encoder's configuration; an unknown key is an error.
fn strict_encoder<'de, D: Deserializer<'de>>(deserializer: D) -> Result<EncoderConfig, D::Error> {
    use serde::de::Error;

    let table = serde_json::Map::deserialize(deserializer)?;
    let config: EncoderConfig =
        serde_json::from_value(table.clone().into()).map_err(D::Error::custom)?;
    let known = serde_json::to_value(&config).map_err(D::Error::custom)?;
    match table.keys().find(|key| known.get(key).is_none()) {
        Some(key) => Err(D::Error::custom(format!("unknown key `{key}` of the encoder"))),
        None => Ok(config),
    }
}

/// Initialises every parameter by reading it.
struct Draw;

impl<B: Backend> ModuleVisitor<B> for Draw {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let _drawn = param.val();
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Small configurations of every system.

    use serde_json::json;

    use super::ModelConfig;

    /// A model of hidden size 8 with this system.
    pub(crate) fn with_system(system: serde_json::Value) -> ModelConfig {
        serde_json::from_value(json!({
            "encoder": {
                "model_type": "bert", "vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 2,
                "num_attention_heads": 2, "intermediate_size": 3, "hidden_dropout_prob": 0.0,
                "attention_probs_dropout_prob": 0.0, "max_position_embeddings": 16,
                "type_vocab_size": 1, "layer_norm_eps": 1e-12
            },
            "system": system,
            "n_classes": 5
        }))
        .expect("a configuration")
    }

    /// A model of each system; KD-DocRE with each mixer, KMGRE with each key classifier.
    pub(crate) fn every_system() -> Vec<ModelConfig> {
        let mixers = [
            json!({ "kind": "axial-stack", "layers": 2, "heads": 2 }),
            json!({ "kind": "axial-stack", "layers": 2, "heads": 2, "pad_to": 3 }),
            json!({ "kind": "two-hop" }),
            json!({ "kind": "none" }),
        ];
        let systems = mixers.map(
            |mixer| json!({ "kind": "kd-docre", "emb_size": 4, "group_size": 2, "mixer": mixer }),
        );
        let atlop = json!({ "kind": "atlop", "emb_size": 4, "group_size": 2 });
        let key_classifiers = [
            json!({ "kind": "own-encoder", "xi": 0.15, "tau": 0.5 }),
            json!({ "kind": "shared-encoder", "xi": 0.15, "tau": 0.5 }),
            json!({ "kind": "none" }),
        ];
        let kmgre = key_classifiers
            .map(|classifier| json!({ "kind": "kmgre", "key_classifier": classifier }));
        systems.into_iter().chain([atlop]).chain(kmgre).map(with_system).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn refusal(change: impl FnOnce(&mut Value)) -> String {
        let mut value = serde_json::to_value(&testing::every_system()[0]).unwrap();
        change(&mut value);
        match serde_json::from_value::<ModelConfig>(value) {
            Err(error) => error.to_string(),
            Ok(config) => config.validate().expect_err("an invalid configuration").to_string(),
        }
    }

    #[test]
    fn a_configuration_is_read_as_it_was_written() {
        for config in testing::every_system() {
            config.validate().unwrap();
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<ModelConfig>(&text).unwrap(), config);
        }
    }

    #[test]
    fn the_kind_of_a_system_is_the_one_in_its_configuration() {
        for config in testing::every_system() {
            let value = serde_json::to_value(&config).unwrap();
            assert_eq!(value["system"]["kind"], config.system.kind());
        }
    }

    #[test]
    fn an_unknown_key_on_any_level_is_refused_by_name() {
        for level in ["", "/encoder", "/system", "/system/mixer", "/decoding"] {
            let error = refusal(|value| value.pointer_mut(level).unwrap()["odd"] = 1.into());
            assert!(error.contains("`odd`"), "{level}: {error}");
        }
        let error = refusal(|value| value["system"]["kind"] = "kd-docer".into());
        assert!(error.contains("kd-docer"), "{error}");
    }

    #[test]
    fn a_value_out_of_range_is_refused_by_the_name_of_its_key() {
        for (pointer, bad, expected) in [
            ("/system/group_size", json!(3), "`group_size` 3"),
            ("/system/mixer/heads", json!(3), "`mixer.heads` 3 does not divide"),
            ("/encoder/num_hidden_layers", json!(0), "`num_hidden_layers`"),
            ("/n_classes", json!(1), "`n_classes`"),
            ("/decoding/max_relations_per_pair", json!(0), "`max_relations_per_pair`"),
        ] {
            let error = refusal(|value| *value.pointer_mut(pointer).unwrap() = bad);
            assert!(error.contains(expected), "{pointer}: {error}");
        }
    }

    #[test]
    fn a_model_classifies_the_diagonal_only_if_its_file_says_so() {
        let config = testing::every_system().remove(0);
        assert_eq!(config.pair_set, PairSet::OffDiagonal);
        assert!(!serde_json::to_string(&config).unwrap().contains("self_relations"));
        let config = ModelConfig { pair_set: PairSet::All, ..config };
        let value = serde_json::to_value(&config).unwrap();
        assert_eq!(value["self_relations"], true);
        assert_eq!(serde_json::from_value::<ModelConfig>(value).unwrap(), config);
    }

    #[test]
    fn four_relations_per_pair_are_the_default() {
        let config =
            testing::with_system(json!({ "kind": "atlop", "emb_size": 4, "group_size": 2 }));
        assert_eq!(config.decoding, DecodingConfig { max_relations_per_pair: 4 });
    }
}
