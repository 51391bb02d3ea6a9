//! The files of a parity case.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
};

use burn_docre::{
    EntityPair, PairSet, RelationFact,
    encoder::EncoderConfig,
    io::weights::{Weight, WeightFile},
    mention_pair::KeySelection,
    model::{
        AtlopConfig, DecodingConfig, KdDocreConfig, KeyClassifierConfig, KmgreConfig, ModelConfig,
        SystemConfig,
    },
    pair::{
        PairMixerConfig,
        mixer::{AxialStackConfig, TwoHopConfig},
    },
    text::encoded::EncodedDocument,
};
use serde::{Deserialize, de::DeserializeOwned};

/// A parity case. Weights, tensors and expected results are read when they are needed.
pub(crate) struct Case {
    directory: PathBuf,
    /// The directory, for messages.
    pub(crate) name: String,
    /// The model to build.
    pub(crate) config: ModelConfig,
    /// The labelled documents.
    pub(crate) documents: Vec<EncodedDocument>,
    /// The expected tensors.
    pub(crate) tensors: WeightFile<'static>,
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

#[derive(Deserialize)]
struct CaseFile {
    n_classes: usize,
    /// Cases of KMGRE have no predictions.
    #[serde(default = "four")]
    max_relations_per_pair: usize,
    max_tokens: usize,
    #[serde(flatten)]
    model: CaseModel,
}

fn four() -> usize {
    4
}

#[derive(Deserialize)]
#[serde(tag = "model", rename_all = "kebab-case")]
enum CaseModel {
    KdDocre(Sizes),
    Atlop(Sizes),
    Kmgre,
}

#[derive(Deserialize)]
struct Sizes {
    pair_attention: String,
    emb_size: usize,
    group_size: usize,
    axial_layers: usize,
    axial_heads: usize,
}

impl CaseModel {
    fn system(&self) -> SystemConfig {
        match self {
            Self::KdDocre(sizes) => {
                let Sizes { emb_size, group_size, .. } = *sizes;
                SystemConfig::KdDocre(KdDocreConfig { emb_size, group_size, mixer: sizes.mixer() })
            }
            Self::Atlop(sizes) => {
                assert_eq!(sizes.mixer(), PairMixerConfig::None {}, "ATLOP has no mixer");
                let Sizes { emb_size, group_size, .. } = *sizes;
                SystemConfig::Atlop(AtlopConfig { emb_size, group_size })
            }
            Self::Kmgre => SystemConfig::Kmgre(KmgreConfig {
                key_classifier: KeyClassifierConfig::OwnEncoder(KMGRE_SELECTION),
            }),
        }
    }
}

impl Sizes {
    fn mixer(&self) -> PairMixerConfig {
        let Self { axial_layers: layers, axial_heads: heads, .. } = *self;
        match self.pair_attention.as_str() {
            "axial-stack" => {
                PairMixerConfig::AxialStack(AxialStackConfig { layers, heads, pad_to: None })
            }
            "two-hop" => PairMixerConfig::TwoHop(TwoHopConfig {}),
            "none" => PairMixerConfig::None {},
            other => panic!("unknown pair attention {other}"),
        }
    }
}

/// The rule of the KMGRE case, which repeats it with the expected results of each document.
pub(crate) const KMGRE_SELECTION: KeySelection = KeySelection { xi: 0.15, tau: 0.5 };

#[derive(Deserialize)]
struct Input {
    input_ids: Vec<u32>,
    mentions: Vec<Vec<usize>>,
    max_tokens: usize,
    /// `None` in the KMGRE case, whose windows end as those of the other BERT cases.
    window_end_tokens: Option<Vec<u32>>,
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
        let tensors = WeightFile::open(&directory.join("expected.safetensors")).expect("tensors");
        let inputs: Vec<Input> = read(&directory.join("inputs.json"));
        let documents = inputs
            .iter()
            .enumerate()
            .map(|(i, input)| {
                assert_eq!(input.max_tokens, file.max_tokens);
                let last = *input.input_ids.last().expect("tokens");
                if let Some(end) = &input.window_end_tokens {
                    assert_eq!(*end, vec![last; encoder.n_window_end_tokens()]);
                }
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
            directory: directory.to_path_buf(),
            name: directory.display().to_string(),
            config: ModelConfig {
                system: file.model.system(),
                encoder,
                n_classes: file.n_classes,
                decoding: DecodingConfig { max_relations_per_pair: file.max_relations_per_pair },
                pair_set: PairSet::OffDiagonal,
            },
            documents,
            tensors,
            worst: RefCell::default(),
        }
    }

    /// Reads a JSON file of the case.
    pub(crate) fn read<T: DeserializeOwned>(&self, name: &str) -> T {
        read(&self.directory.join(name))
    }

    /// Opens a weight file of the case.
    pub(crate) fn weights(&self, name: &str) -> WeightFile<'static> {
        WeightFile::open(&self.directory.join(name)).expect("weights")
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
