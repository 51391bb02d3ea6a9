//! Comparison with the KD-DocRE authors' own code: a checkpoint under its published names and the
//! logits that the code computed from it.

use std::path::Path;

use burn_docre::{
    BackendTask, DocReBackend, PairSet,
    batch::DocReBatch,
    dispatch,
    encoder::EncoderConfig,
    io::{
        published::{self, PublishedAxial, PublishedCheckpoint},
        weights::WeightFile,
    },
    model::{DecodingConfig, ModelConfig},
    text::encoded::EncodedDocument,
};
use serde::Deserialize;

/// The directory of the case.
pub(crate) const CASE: &str = "authors-kd-docre";

/// Logits: `|a - b| <= TOLERANCE * max(1, max |b|)`.
const TOLERANCE: f32 = 1e-4;

#[derive(Deserialize)]
struct Input {
    input_ids: Vec<u32>,
    mentions: Vec<Vec<usize>>,
}

/// The checkpoint and the documents of the case.
struct Checkpoint {
    weights: PublishedCheckpoint,
    encoder: EncoderConfig,
    documents: Vec<EncodedDocument>,
    expected: WeightFile<'static>,
}

impl Checkpoint {
    fn open(directory: &Path) -> Self {
        let inputs = std::fs::read(directory.join("inputs.json")).expect("inputs");
        let inputs: Vec<Input> = serde_json::from_slice(&inputs).expect("inputs");
        let document = |(i, input): (usize, Input)| EncodedDocument {
            title: format!("doc{i}"),
            token_ids: input.input_ids,
            mentions: input.mentions,
            sentences: Vec::new(),
            facts: Vec::new(),
            pair_set: PairSet::OffDiagonal,
        };
        let open = |name: &str| WeightFile::open(&directory.join(name)).expect("tensors");
        Self {
            weights: PublishedCheckpoint::open(&directory.join("weights.pt")).expect("weights"),
            encoder: EncoderConfig::from_file(&directory.join("config.json")).expect("an encoder"),
            documents: inputs.into_iter().enumerate().map(document).collect(),
            expected: open("expected.safetensors"),
        }
    }

    fn config(&self, axial: PublishedAxial) -> ModelConfig {
        ModelConfig {
            encoder: self.encoder.clone(),
            system: self.weights.system_config(axial),
            n_classes: self.weights.n_classes(),
            decoding: DecodingConfig::default(),
            pair_set: PairSet::OffDiagonal,
        }
    }

    /// The logits `name` of the authors' code, document by document, without the diagonal.
    fn expected(&self, name: &str) -> Vec<Vec<f32>> {
        let logits = |(i, document): (usize, &EncodedDocument)| {
            let grid = self.expected.read(&format!("doc{i}.{name}")).expect("logits").values;
            let (e, r) = (document.n_entities(), self.weights.n_classes());
            let cells = grid.chunks_exact(r).enumerate();
            cells
                .filter(|(cell, _)| cell / e != cell % e)
                .flat_map(|(_, row)| row.to_vec())
                .collect()
        };
        self.documents.iter().enumerate().map(logits).collect()
    }
}

/// The logits of the imported model for each document: from batches of one document, and from one
/// batch of all documents.
struct Logits<'a>(&'a Checkpoint, PublishedAxial);

impl BackendTask for Logits<'_> {
    type Output = [Vec<Vec<f32>>; 2];

    fn run<B: DocReBackend>(self, device: B::Device) -> [Vec<Vec<f32>>; 2] {
        let Self(checkpoint, axial) = self;
        let config = checkpoint.config(axial);
        let model = checkpoint.weights.model::<B>(&config, &device).expect("a model").model;
        let logits = |documents: &[&EncodedDocument]| {
            let batch = DocReBatch::new(documents, &config.encoder, &device);
            let logits = model.forward(&batch).logits.into_data().convert::<f32>();
            let logits = logits.into_vec::<f32>().expect("floats");
            let mut rows = logits.chunks_exact(config.n_classes);
            let pairs = batch.pairs_per_document().iter();
            pairs.map(|n| rows.by_ref().take(*n).flatten().copied().collect()).collect::<Vec<_>>()
        };
        let all: Vec<&EncodedDocument> = checkpoint.documents.iter().collect();
        [all.iter().flat_map(|document| logits(&[document])).collect(), logits(&all)]
    }
}

/// The largest absolute difference of two lists of logits; infinite if a difference is NaN.
fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, |max, d| if d.is_nan() { f32::INFINITY } else { max.max(d) })
}

fn assert_logits(checkpoint: &Checkpoint, axial: PublishedAxial, name: &str) {
    let expected = checkpoint.expected(name);
    let computed = dispatch(None, 0, Logits(checkpoint, axial)).expect("a backend");
    for (how, computed) in ["alone", "in a batch"].into_iter().zip(computed) {
        assert_eq!(computed.len(), expected.len());
        for (i, (computed, expected)) in computed.iter().zip(&expected).enumerate() {
            let scale = expected.iter().fold(1f32, |max, value| max.max(value.abs()));
            let worst = distance(computed, expected);
            println!("{CASE}: document {i} {how}: {name} differs by {worst} at a scale of {scale}");
            assert!(worst <= TOLERANCE * scale, "document {i} {how}: {name} differs by {worst}");
        }
    }
}

#[test]
fn an_imported_checkpoint_gives_the_authors_logits_with_unmasked_padding() {
    let checkpoint = Checkpoint::open(&super::directory().join(CASE));
    assert_eq!(PublishedAxial::default(), PublishedAxial { heads: 8, pad_to: Some(42) });
    assert_logits(&checkpoint, PublishedAxial::default(), "logits_padded_42");
}

#[test]
fn an_imported_checkpoint_gives_the_authors_logits_without_padding() {
    let checkpoint = Checkpoint::open(&super::directory().join(CASE));
    let axial = PublishedAxial { pad_to: None, ..PublishedAxial::default() };
    assert_logits(&checkpoint, axial, "logits_unpadded");
}

#[test]
fn unmasked_padding_moves_the_authors_logits_by_more_than_one() {
    let checkpoint = Checkpoint::open(&super::directory().join(CASE));
    let [padded, unpadded] =
        ["logits_padded_42", "logits_unpadded"].map(|name| checkpoint.expected(name));
    let distances = padded.iter().zip(&unpadded).map(|(a, b)| distance(a, b));
    let largest = distances.fold(0.0, f32::max);
    println!("{CASE}: padding changes a logit by {largest}");
    assert!(largest > 1.0, "padding changes the logits by {largest} at most");
}

/// Imports the checkpoint and exports it to a path. Returns the names of the ignored tensors.
struct RoundTrip<'a>(&'a Checkpoint, &'a Path);

impl BackendTask for RoundTrip<'_> {
    type Output = Vec<String>;

    fn run<B: DocReBackend>(self, device: B::Device) -> Vec<String> {
        let Self(checkpoint, path) = self;
        let config = checkpoint.config(PublishedAxial::default());
        let imported = checkpoint.weights.model::<B>(&config, &device).expect("a model");
        published::export(path, &config, &imported.model).expect("written");
        imported.ignored
    }
}

#[test]
fn an_imported_and_exported_checkpoint_keeps_every_bit_of_the_tensors_in_use() {
    let directory = super::directory().join(CASE);
    let checkpoint = Checkpoint::open(&directory);
    let exported = tempfile::tempdir().expect("a directory");
    let path = exported.path().join("exported.safetensors");
    let ignored = dispatch(None, 0, RoundTrip(&checkpoint, &path)).expect("a backend");
    let unused = [
        "bilinear.bias",
        "bilinear.weight",
        "model.pooler.dense.bias",
        "model.pooler.dense.weight",
    ];
    assert_eq!(ignored, unused);

    let before = WeightFile::open(&directory.join("weights.pt")).expect("weights");
    let after = WeightFile::open(&path).expect("weights");
    let names: Vec<&str> = before.names().filter(|name| !unused.contains(name)).collect();
    assert_eq!(names, after.names().collect::<Vec<_>>());
    for name in names {
        let [before, after] = [&before, &after].map(|file| file.read(name).expect("a tensor"));
        assert_eq!(before.shape, after.shape, "{name}");
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert!(bits(&before.values) == bits(&after.values), "{name}");
    }
}
