//! One model type, several backends in one binary, the same answer.
//!
//! Every backend of the build takes part, each with and without differentiation; CI builds flex and tch together.

#![recursion_limit = "256"]

use std::path::Path;

use burn::module::{AutodiffModule, Module};
use burn_autodiff::Autodiff;
use burn_docre::{
    backend::{BackendKind, BackendTask, dispatch},
    batch::DocReBatch,
    features::EncodedDocument,
    model::{HeadConfig, ModelConfig, ModelKind, weight_name},
    ops::DocReBackend,
    pair::PairAttentionKind,
    weights,
};

fn config() -> ModelConfig {
    let encoder = r#"{"model_type": "bert", "vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2,
        "num_attention_heads": 4, "intermediate_size": 32, "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0, "max_position_embeddings": 24, "type_vocab_size": 2,
        "layer_norm_eps": 1e-12}"#;
    ModelConfig {
        kind: ModelKind::KdDocre,
        encoder: serde_json::from_str(encoder).expect("a configuration"),
        head: HeadConfig {
            emb_size: 16,
            group_size: 4,
            pair_attention: PairAttentionKind::AxialStack,
            axial_layers: 2,
            axial_heads: 2,
        },
        n_classes: 5,
        max_relations_per_pair: 4,
    }
}

/// Two documents of different sizes, the second longer than the encoder.
fn documents() -> [EncodedDocument; 2] {
    let document = |n_tokens: u32, mentions: &[&[usize]]| EncodedDocument {
        title: String::new(),
        token_ids: (0..n_tokens).map(|i| 3 + i * 7 % 40).collect(),
        mentions: mentions.iter().map(|positions| positions.to_vec()).collect(),
        facts: Vec::new(),
    };
    [
        document(12, &[&[1], &[4, 8], &[9]]),
        document(40, &[&[1, 30], &[20], &[5], &[33], &[38]]),
    ]
}

struct Save<'a>(&'a Path);

impl BackendTask for Save<'_> {
    type Output = ();

    fn run<B: DocReBackend>(self, device: B::Device) {
        B::seed(&device, 5);
        let weights = weights::collect(&config().init::<B>(&device), weight_name);
        weights::write_safetensors(self.0, &weights).expect("written");
    }
}

/// Logits of the saved model without and with differentiation.
struct Logits<'a>(&'a Path);

impl BackendTask for Logits<'_> {
    type Output = [Vec<f32>; 2];

    fn run<B: DocReBackend>(self, device: B::Device) -> [Vec<f32>; 2] {
        let file = weights::WeightFile::open(self.0).expect("weights");
        let model = config().init::<Autodiff<B>>(&device);
        let model = weights::load(model, &file, weight_name).expect("loaded");
        let inner = model.valid();
        assert_eq!(inner.num_params(), model.num_params());
        let documents = documents();
        let documents = [&documents[0], &documents[1]];
        let encoder = config().encoder;
        let plain = inner.forward(&DocReBatch::new(&documents, &encoder, &device)).logits;
        let tracked = model.forward(&DocReBatch::new(&documents, &encoder, &device)).logits;
        [plain.into_data(), tracked.into_data()]
            .map(|data| data.convert::<f32>().into_vec().expect("floats"))
    }
}

#[test]
fn the_same_model_gives_the_same_logits_on_every_backend_of_the_build() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("model.safetensors");
    dispatch(None, 0, Save(&path)).expect("a backend");
    let mut answers = Vec::new();
    for kind in BackendKind::compiled() {
        let [plain, tracked] = dispatch(Some(kind), 0, Logits(&path)).expect("a compiled backend");
        answers.push((format!("{kind}"), plain));
        answers.push((format!("{kind} with differentiation"), tracked));
    }
    let (first, expected) = &answers[0];
    assert_eq!(expected.len(), (3 * 2 + 5 * 4) * 5);
    for (name, logits) in &answers[1..] {
        for (a, b) in logits.iter().zip(expected) {
            assert!((a - b).abs() < 1e-4, "{name} gives {a} where {first} gives {b}");
        }
    }
}

#[test]
fn a_backend_that_is_not_compiled_in_is_named_with_its_feature() {
    let Some(missing) = BackendKind::ALL.into_iter().find(|k| !BackendKind::compiled().contains(k))
    else {
        return;
    };
    let error = dispatch(Some(missing), 0, Logits(Path::new(""))).expect_err("not compiled in");
    assert!(error.to_string().contains(&format!("--features {missing}")), "{error}");
}
