//! The files of a parity case.

use std::{cell::RefCell, collections::BTreeMap, path::Path};

use burn_docre::{
    PairSet,
    data::document::{EntityPair, RelationFact},
    encoder::EncoderConfig,
    io::weights::{Weight, WeightFile},
    model::{AtlopConfig, DecodingConfig, KdDocreConfig, ModelConfig, SystemConfig},
    pair::{
        PairMixerConfig,
        mixer::{AxialStackConfig, TwoHopConfig},
    },
    text::encoded::EncodedDocument,
};
use serde::{Deserialize, de::DeserializeOwned};

/// A parity case. Tensors and weights are read when they are needed.
pub(crate) struct Case {
    /// The directory, for messages.
    pub(crate) name: String,
    /// The model to build.
    pub(crate) config: ModelConfig,
    /// The labelled documents.
    pub(crate) documents: Vec<EncodedDocument>,
    /// The expected losses and predictions of each document.
    pub(crate) expected: Vec<Expected>,
    /// The expected tensors.
    pub(crate) tensors: WeightFile<'static>,
    /// Encoder weights.
    pub(crate) encoder: WeightFile<'static>,
    /// Weights of the relation module.
    pub(crate) relation_module: WeightFile<'static>,
    /// The largest differences so far, for the report of the test.
    pub(crate) worst: RefCell<Worst>,
}

/// The largest difference from the reference of each kind, measured as its tolerance.
#[derive(Debug, Default)]
pub(crate) struct Worst {
    pub(crate) tensor: f64,
    pub(crate) loss: f64,
    pub(crate) gradient: f64,
}

/// The expected results of one document, besides tensors.
#[derive(Deserialize)]
pub(crate) struct Expected {
    /// The value of each loss, by name.
    pub(crate) losses: BTreeMap<String, f64>,
    /// Each prediction as `[head, tail, class]`.
    pub(crate) predictions: Vec<[usize; 3]>,
}

#[derive(Deserialize)]
struct CaseFile {
    model: String,
    pair_attention: String,
    emb_size: usize,
    group_size: usize,
    axial_layers: usize,
    axial_heads: usize,
    n_classes: usize,
    max_relations_per_pair: usize,
    max_tokens: usize,
}

impl CaseFile {
    fn system(&self) -> SystemConfig {
        let Self { emb_size, group_size, axial_layers: layers, axial_heads: heads, .. } = *self;
        let mixer = match self.pair_attention.as_str() {
            "axial-stack" => {
                PairMixerConfig::AxialStack(AxialStackConfig { layers, heads, pad_to: None })
            }
            "two-hop" => PairMixerConfig::TwoHop(TwoHopConfig {}),
            "none" => PairMixerConfig::None {},
            other => panic!("unknown pair attention {other}"),
        };
        match (self.model.as_str(), mixer) {
            ("kd-docre", mixer) => {
                SystemConfig::KdDocre(KdDocreConfig { emb_size, group_size, mixer })
            }
            ("atlop", PairMixerConfig::None {}) => {
                SystemConfig::Atlop(AtlopConfig { emb_size, group_size })
            }
            (model, mixer) => panic!("unknown model {model} with {mixer:?}"),
        }
    }
}

#[derive(Deserialize)]
struct Input {
    input_ids: Vec<u32>,
    mentions: Vec<Vec<usize>>,
    max_tokens: usize,
    window_end_tokens: Vec<u32>,
}

fn read<T: DeserializeOwned>(path: &Path) -> T {
    let text = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

impl Case {
    /// Reads the case in `directory`.
    pub(crate) fn load(directory: &Path) -> Self {
        let file: CaseFile = read(&directory.join("case.json"));
        let encoder = EncoderConfig::from_file(&directory.join("config.json")).expect("an encoder");
        // The reference runs in evaluation mode, so its gradients have no dropout either.
        let encoder = EncoderConfig {
            hidden_dropout_prob: 0.0,
            attention_probs_dropout_prob: 0.0,
            ..encoder
        };
        assert_eq!(
            encoder.max_tokens(),
            file.max_tokens,
            "the encoder determines the window length"
        );
        let open = |name: &str| WeightFile::open(&directory.join(name)).expect("weights");
        let tensors = open("expected.safetensors");
        let inputs: Vec<Input> = read(&directory.join("inputs.json"));
        let documents = inputs
            .iter()
            .enumerate()
            .map(|(i, input)| {
                assert_eq!(input.max_tokens, file.max_tokens);
                let last = *input.input_ids.last().expect("tokens");
                assert_eq!(input.window_end_tokens, vec![last; encoder.n_window_end_tokens()]);
                EncodedDocument {
                    title: format!("doc{i}"),
                    token_ids: input.input_ids.clone(),
                    mentions: input.mentions.clone(),
                    sentences: Vec::new(),
                    facts: facts(&tensors.read(&format!("doc{i}.labels")).expect("labels")),
                    pair_set: PairSet::OffDiagonal,
                }
            })
            .collect();
        Self {
            name: directory.display().to_string(),
            config: ModelConfig {
                system: file.system(),
                encoder,
                n_classes: file.n_classes,
                decoding: DecodingConfig { max_relations_per_pair: file.max_relations_per_pair },
                pair_set: PairSet::OffDiagonal,
            },
            documents,
            expected: read(&directory.join("expected.json")),
            tensors,
            encoder: open("encoder.safetensors"),
            relation_module: open("head.safetensors"),
            worst: RefCell::default(),
        }
    }

    /// The tensor `doc{i}.{name}`, if the case has it.
    pub(crate) fn tensor(&self, document: usize, name: &str) -> Option<Weight> {
        let name = format!("doc{document}.{name}");
        self.tensors.contains(&name).then(|| self.tensors.read(&name).expect("a tensor"))
    }
}

/// The facts of labels `[e, e, r]`.
fn facts(labels: &Weight) -> Vec<RelationFact> {
    let [e, _, r] = labels.shape[..] else { panic!("labels are [e, e, r]") };
    let mut facts = Vec::new();
    for head in 0..e {
        for tail in (0..e).filter(|tail| *tail != head) {
            for relation in 1..r {
                if labels.values[(head * e + tail) * r + relation] == 1.0 {
                    let pair = EntityPair { head, tail };
                    facts.push(RelationFact { pair, relation, evidence: Vec::new() });
                }
            }
        }
    }
    facts
}
