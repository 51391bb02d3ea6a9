//! Small inputs that train: documents, relations, and an encoder in Hugging Face's layout.

use std::{fs, path::Path};

use burn_docre::{
    io::weights::{Weight, write_safetensors},
    text::tokenizer::DocumentTokenizer,
};
use serde_json::json;

/// The words of the documents.
const WORDS: [&str; 6] = ["Anna", "lives", "in", "Oslo", "and", "Rome"];
/// The relations of the documents.
pub(crate) const RELATIONS: &str = r#"{"Na": 0, "P551": 1, "P17": 2}"#;
const HIDDEN: usize = 16;
const POSITIONS: usize = 64;

/// Documents with two entities and one fact each.
pub(crate) fn documents(n: usize) -> String {
    let entity =
        |name: &str, at: usize| json!([{ "name": name, "sent_id": 0, "pos": [at, at + 1] }]);
    let document = |index| {
        json!({
            "title": format!("document {index}"), "sents": [WORDS],
            "vertexSet": [entity("Anna", 0), entity("Oslo", 3)],
            "labels": [{ "h": 0, "t": 1, "r": "P551", "evidence": [0] }],
        })
    };
    serde_json::Value::from_iter((0..n).map(document)).to_string()
}

/// Writes a file and the directories above it.
pub(crate) fn lay(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Writes an encoder of one layer with pseudo-random weights: `config.json`, `tokenizer.json` and
/// `model.safetensors`.
pub(crate) fn lay_encoder(directory: &Path, family: &str) {
    let tokenizer = DocumentTokenizer::word_level(WORDS).unwrap();
    lay(&directory.join("tokenizer.json"), tokenizer.to_json().unwrap());
    let pad = if family == "bert" { 0 } else { 1 };
    let config = json!({
        "model_type": family, "vocab_size": tokenizer.vocab_size(), "hidden_size": HIDDEN,
        "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 2 * HIDDEN,
        "max_position_embeddings": POSITIONS, "type_vocab_size": 1, "pad_token_id": pad,
    });
    lay(&directory.join("config.json"), config.to_string());
    let weights: Vec<_> = shapes(tokenizer.vocab_size()).into_iter().map(weight).collect();
    write_safetensors(&directory.join("model.safetensors"), &weights).unwrap();
}

/// The names and shapes of the encoder's weights.
fn shapes(vocab_size: usize) -> Vec<(String, Vec<usize>)> {
    let mut shapes = Vec::new();
    for (name, rows) in [("word", vocab_size), ("position", POSITIONS), ("token_type", 1)] {
        shapes.push((format!("embeddings.{name}_embeddings.weight"), vec![rows, HIDDEN]));
    }
    let mut linear = |name: &str, shape: Vec<usize>| {
        shapes.push((format!("{name}.bias"), vec![shape[0]]));
        shapes.push((format!("{name}.weight"), shape));
    };
    let layer = "encoder.layer.0";
    for name in ["self.query", "self.key", "self.value", "output.dense"] {
        linear(&format!("{layer}.attention.{name}"), vec![HIDDEN, HIDDEN]);
    }
    linear(&format!("{layer}.intermediate.dense"), vec![2 * HIDDEN, HIDDEN]);
    linear(&format!("{layer}.output.dense"), vec![HIDDEN, 2 * HIDDEN]);
    for name in ["encoder.layer.0.attention.output", "encoder.layer.0.output", "embeddings"] {
        linear(&format!("{name}.LayerNorm"), vec![HIDDEN]);
    }
    shapes
}

fn weight((name, shape): (String, Vec<usize>)) -> (String, Weight) {
    let n_values = shape.iter().product();
    let values = (0..n_values).map(|index| ((index + name.len()) as f32).sin() / 4.0).collect();
    (name, Weight { shape, values })
}
