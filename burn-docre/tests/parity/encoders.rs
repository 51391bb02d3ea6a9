//! Comparison of pretrained encoders with Hugging Face's `transformers`, in every form of file.
//!
//! A form is one way to save the weights: their file format, shards, number type and names. A
//! family's directory has the texts, the output of `transformers`, and a directory for each form.
//! `$ENCODER_DIR` (an absolute path) selects another set of families than `tests/parity/encoders`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use burn::tensor::{Tensor, backend::Backend};
use burn_docre::{
    BackendTask, DocReBackend,
    batch::{EncoderInput, TokenGrid},
    dispatch,
    encoder::EncoderConfig,
    io::{
        pretrained::load_pretrained,
        weights::{Weight, WeightFile},
    },
};
use serde::Deserialize;

/// Hidden states and attention: `|a - b| <= TOLERANCE * max(1, max |b|)`.
const TOLERANCE: f32 = 1e-5;

/// The families of `tests/parity/encoders`.
const FAMILIES: [&str; 7] =
    ["bert", "camembert", "data2vec-text", "electra", "ernie", "roberta", "xlm-roberta"];

#[derive(Deserialize)]
struct Expected {
    /// Token ids of texts that fit one window.
    texts: Vec<Vec<u32>>,
    /// The names of the weights without use in each form.
    forms: BTreeMap<String, Vec<String>>,
}

/// A family of encoders.
struct Family {
    directory: PathBuf,
    config: EncoderConfig,
    expected: Expected,
    tensors: WeightFile<'static>,
}

impl Family {
    fn open(directory: PathBuf) -> Self {
        let expected = std::fs::read(directory.join("expected.json")).expect("texts");
        Self {
            config: EncoderConfig::from_file(&directory.join("config.json")).expect("an encoder"),
            expected: serde_json::from_slice(&expected).expect("texts"),
            tensors: WeightFile::open(&directory.join("expected.safetensors")).expect("tensors"),
            directory,
        }
    }

    fn tensor(&self, text: usize, name: &str) -> Weight {
        self.tensors.read(&format!("text{text}.{name}")).expect("a tensor")
    }
}

/// Loads one form and compares its output, text by text, with all texts in one batch.
struct Check<'a> {
    family: &'a Family,
    form: &'a str,
    unused: &'a [String],
}

impl BackendTask for Check<'_> {
    type Output = f32;

    /// Returns the largest difference, relative to the scale of its tensor.
    fn run<B: DocReBackend>(self, device: B::Device) -> f32 {
        let Self { family, form, unused } = self;
        let encoder = family.config.init::<B>(&device);
        let loaded = load_pretrained(encoder, &family.directory.join(form))
            .unwrap_or_else(|error| panic!("{form}: {error:?}"));
        assert_eq!(loaded.unused, unused, "{form}: weights without use");
        let texts: Vec<&[u32]> = family.expected.texts.iter().map(Vec::as_slice).collect();
        let grid = TokenGrid::new(&texts, &EncoderInput::from(&family.config), &device);
        assert_eq!(grid.shape[0], texts.len(), "every text fits one window");
        let output = loaded.module.forward(&grid);
        let (mut first, mut worst) = (0, 0f32);
        for (i, text) in texts.iter().enumerate() {
            let (l, heads) = (text.len(), family.config.num_attention_heads);
            let hidden = output.hidden.clone().narrow(0, first, l);
            first += l;
            worst = worst.max(difference(hidden, &family.tensor(i, "hidden")));
            let attention = output.attention.clone().slice([i..i + 1, 0..heads, 0..l, 0..l]);
            worst = worst
                .max(difference(attention.squeeze_dim::<3>(0), &family.tensor(i, "attention")));
        }
        worst
    }
}

/// The largest difference, relative to the largest expected value or 1.
fn difference<B: Backend, const D: usize>(tensor: Tensor<B, D>, expected: &Weight) -> f32 {
    assert_eq!(tensor.dims().as_slice(), expected.shape);
    let values = tensor.into_data().convert::<f32>().into_vec::<f32>().expect("floats");
    let scale = expected.values.iter().fold(1f32, |max, value| max.max(value.abs()));
    let differences = values.iter().zip(&expected.values).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, |max, d| if d.is_nan() { f32::INFINITY } else { max.max(d) }) / scale
}

fn directory() -> PathBuf {
    match std::env::var_os("ENCODER_DIR") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/encoders"),
    }
}

#[test]
fn every_form_of_an_encoder_gives_the_hidden_states_and_attention_of_transformers() {
    for name in FAMILIES {
        let family = Family::open(directory().join(name));
        assert!(family.expected.forms.len() >= 2, "{name}");
        for (form, unused) in &family.expected.forms {
            let check = Check { family: &family, form, unused };
            let worst = dispatch(None, 0, check).expect("a backend");
            println!("{name}, {form}: differs by {worst:e} at most");
            assert!(worst <= TOLERANCE, "{name}, {form}: differs by {worst}");
        }
    }
}
