//! A small model and small documents.

use burn_docre::{
    DocReBackend, EntityPair, PairSet, RelationFact,
    mention_pair::KeySelection,
    model::{
        AtlopConfig, DecodingConfig, DocReModel, KdDocreConfig, KeyClassifierConfig, KmgreConfig,
        ModelConfig, SystemConfig,
    },
    ops,
    pair::{
        PairMixerConfig,
        mixer::{AxialStackConfig, TwoHopConfig},
    },
    text::encoded::EncodedDocument,
};

/// Every system, KD-DocRE with every pair mixer, KMGRE with every key classifier.
pub(crate) fn every_system() -> Vec<SystemConfig> {
    let stack = |pad_to| AxialStackConfig { layers: 2, heads: 2, pad_to };
    vec![
        kd_docre(PairMixerConfig::AxialStack(stack(None))),
        kd_docre(PairMixerConfig::AxialStack(stack(Some(4)))),
        kd_docre(PairMixerConfig::TwoHop(TwoHopConfig {})),
        kd_docre(PairMixerConfig::None {}),
        SystemConfig::Atlop(AtlopConfig { emb_size: 16, group_size: 4 }),
        kmgre(KeyClassifierConfig::OwnEncoder(SELECTION)),
        kmgre(KeyClassifierConfig::SharedEncoder(SELECTION)),
        kmgre(KeyClassifierConfig::None {}),
    ]
}

/// The paper's rule.
pub(crate) const SELECTION: KeySelection = KeySelection { xi: 0.15, tau: 0.5 };

pub(crate) fn kmgre(key_classifier: KeyClassifierConfig) -> SystemConfig {
    SystemConfig::Kmgre(KmgreConfig { key_classifier })
}

fn kd_docre(mixer: PairMixerConfig) -> SystemConfig {
    SystemConfig::KdDocre(KdDocreConfig { emb_size: 16, group_size: 4, mixer })
}

/// A model configuration of hidden size 16, with windows of 24 tokens.
pub(crate) fn config(system: SystemConfig) -> ModelConfig {
    let encoder = r#"{"model_type": "bert", "vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2,
        "num_attention_heads": 4, "intermediate_size": 32, "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0, "max_position_embeddings": 24, "type_vocab_size": 2,
        "layer_norm_eps": 1e-12}"#;
    ModelConfig {
        encoder: serde_json::from_str(encoder).expect("a configuration"),
        system,
        n_classes: 5,
        decoding: DecodingConfig::default(),
        pair_set: PairSet::OffDiagonal,
    }
}

/// Initialises a model with the random weights of a seed.
pub(crate) fn seeded_model<B: DocReBackend>(
    config: &ModelConfig,
    seed: u64,
    device: &B::Device,
) -> DocReModel<B> {
    ops::seeded::<B, _>(seed, device, || config.init::<B>(device))
}

/// A document of `n_tokens` tokens with the mention positions of each entity.
///
/// It has one fact if it has a pair.
pub(crate) fn document(n_tokens: u32, mentions: &[&[usize]]) -> EncodedDocument {
    let fact =
        RelationFact { pair: EntityPair { head: 0, tail: 1 }, relation: 2, evidence: Vec::new() };
    EncodedDocument {
        title: format!("{n_tokens} tokens"),
        token_ids: (0..n_tokens).map(|i| 3 + i * 7 % 40).collect(),
        mentions: mentions.iter().map(|positions| positions.to_vec()).collect(),
        sentences: Vec::new(),
        facts: if mentions.len() > 1 { vec![fact] } else { Vec::new() },
        pair_set: PairSet::OffDiagonal,
    }
}

/// Documents of one, two and five windows, and two with fewer than two entities.
pub(crate) fn documents() -> Vec<EncodedDocument> {
    vec![
        document(12, &[&[1], &[4, 8], &[9]]),
        document(5, &[]),
        document(40, &[&[1, 30], &[20], &[5], &[33], &[38]]),
        document(6, &[&[2, 3]]),
        document(90, &[&[3, 40, 80], &[88], &[22, 23], &[61]]),
    ]
}
