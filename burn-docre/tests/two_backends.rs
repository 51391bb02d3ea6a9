//! Equal logits on every backend of one binary.
//!
//! The test runs every backend of the build with and without autodiff. CI builds flex and tch
//! together.

#![recursion_limit = "256"]

mod common;

use std::path::Path;

use burn::module::{AutodiffModule, Module};
use burn_autodiff::Autodiff;
use burn_docre::{
    BackendTask, DocReBackend, backend::BackendKind, batch::DocReBatch, dispatch, io::weights,
    model::ModelConfig,
};
use common::documents;

/// Writes random weights of a model.
struct Save<'a>(&'a ModelConfig, &'a Path);

impl BackendTask for Save<'_> {
    type Output = ();

    fn run<B: DocReBackend>(self, device: B::Device) {
        let Self(config, path) = self;
        let model = common::seeded_model::<B>(config, 5, &device);
        let weights = weights::collect(&model, |path| config.weight_name(path));
        weights::write_safetensors(path, &weights).expect("written");
    }
}

/// The logits of the saved model, without and with autodiff.
struct Logits<'a>(&'a ModelConfig, &'a Path);

impl BackendTask for Logits<'_> {
    type Output = [Vec<f32>; 2];

    fn run<B: DocReBackend>(self, device: B::Device) -> [Vec<f32>; 2] {
        let Self(config, path) = self;
        let file = weights::WeightFile::open(path).expect("weights");
        let model = config.init::<Autodiff<B>>(&device);
        let model =
            weights::load(model, &file, |path| config.weight_name(path)).expect("loaded").module;
        let inner = model.valid();
        assert_eq!(inner.num_params(), model.num_params());
        let documents = documents();
        let documents: Vec<_> = documents.iter().collect();
        let encoder = &config.encoder;
        let plain = inner.forward(&DocReBatch::new(&documents, encoder, &device)).logits;
        let tracked = model.forward(&DocReBatch::new(&documents, encoder, &device)).logits;
        [plain.into_data(), tracked.into_data()]
            .map(|data| data.convert::<f32>().into_vec().expect("floats"))
    }
}

#[test]
fn the_same_model_gives_the_same_logits_on_every_backend_of_the_build() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("model.safetensors");
    for config in common::every_system().into_iter().map(common::config) {
        dispatch(None, 0, Save(&config, &path)).expect("a backend");
        let mut results = Vec::new();
        for kind in BackendKind::compiled() {
            let [plain, tracked] =
                dispatch(Some(kind), 0, Logits(&config, &path)).expect("a compiled backend");
            results.push((format!("{kind}"), plain));
            results.push((format!("{kind} with autodiff"), tracked));
        }
        let (first, expected) = &results[0];
        assert_eq!(expected.len(), (3 * 2 + 5 * 4 + 4 * 3) * 5);
        for (name, logits) in &results[1..] {
            assert_eq!(logits.len(), expected.len(), "{name}");
            for (a, b) in logits.iter().zip(expected) {
                let system = &config.system;
                assert!((a - b).abs() < 1e-4, "{system:?}: {name} gives {a}, {first} gives {b}");
            }
        }
    }
}

#[test]
fn a_backend_that_is_not_compiled_in_is_named_with_its_feature() {
    let Some(missing) = BackendKind::ALL.into_iter().find(|k| !BackendKind::compiled().contains(k))
    else {
        return;
    };
    let config = common::config(common::every_system().swap_remove(0));
    let error =
        dispatch(Some(missing), 0, Logits(&config, Path::new(""))).expect_err("not compiled in");
    assert!(error.to_string().contains(&format!("--features {missing}")), "{error}");
}
