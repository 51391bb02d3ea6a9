use std::path::PathBuf;

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
};

use super::*;
use crate::{Error, backend::TestBackend, error::chain_of, nn::layer_norm::LayerNorm};

/// A module of two layers with biases and a normalisation.
#[derive(Module, Debug)]
struct Layers<B: burn::tensor::backend::Backend> {
    first: Linear<B>,
    second: Linear<B>,
    norm: LayerNorm<B>,
}

fn layers() -> Layers<TestBackend> {
    let device = Default::default();
    Layers {
        first: LinearConfig::new(3, 2).init(&device),
        second: LinearConfig::new(2, 5).init(&device),
        norm: LayerNorm::new(5, 1e-5, &device),
    }
}

fn own_name(path: &str) -> String {
    path.to_owned()
}

/// The weights of the module, each with its own sequence of values.
fn weights() -> Vec<(String, Weight)> {
    let mut weights = collect(&layers(), own_name);
    for (i, (_, weight)) in weights.iter_mut().enumerate() {
        for (j, value) in weight.values.iter_mut().enumerate() {
            *value = (100 * i + j) as f32;
        }
    }
    weights
}

fn written(weights: &[(String, Weight)]) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.safetensors");
    write_safetensors(&path, weights).unwrap();
    (directory, path)
}

#[test]
fn written_weights_are_read_unchanged_from_files_and_bytes() {
    let expected = weights();
    let (_directory, path) = written(&expected);
    let file = WeightFile::open(&path).unwrap();
    assert_eq!(file.shape("first.weight"), Some(&[2, 3][..]), "as in PyTorch");
    let loaded = load_exactly(layers(), &file, own_name).unwrap();
    assert_eq!(collect(&loaded, own_name), expected);
    let bytes = std::fs::read(&path).unwrap();
    let loaded =
        load_exactly(layers(), &WeightFile::from_bytes(&bytes).unwrap(), own_name).unwrap();
    assert_eq!(collect(&loaded, own_name), expected);
}

#[test]
fn loading_initialises_no_parameter_and_keeps_ids_and_gradients() {
    use burn::{backend::Autodiff, module::Param, tensor::Tensor};

    type B = Autodiff<TestBackend>;
    let (_directory, path) = written(&weights());
    let device = Default::default();
    let undrawn = |_: &_, _| -> Tensor<B, 2> { panic!("the parameter is drawn") };
    let weight =
        Param::uninitialized(burn::module::ParamId::new(), undrawn, device, true, [3, 2].into());
    let id = weight.id;
    let layer = Linear { weight, bias: None };
    let file = WeightFile::open(&path).unwrap();
    let loaded = load(layer, &file, |path| format!("first.{path}")).unwrap();
    assert_eq!(loaded.module.weight.id, id);
    assert!(loaded.module.weight.val().is_require_grad());
    assert!(loaded.unused.contains(&"second.weight".to_owned()));
}

#[test]
fn missing_and_misshapen_weights_and_unused_tensors_are_listed_in_one_error() {
    let mut weights = weights();
    weights.retain(|(name, _)| name != "second.bias");
    for (name, weight) in &mut weights {
        match name.as_str() {
            "first.weight" => weight.shape.reverse(),
            "norm.bias" => *name = "norm.offset".into(),
            _ => {}
        }
    }
    let (_directory, path) = written(&weights);
    let error = load(layers(), &WeightFile::open(&path).unwrap(), own_name).unwrap_err();
    let Error::Weights { faults, unused, .. } = &error else { panic!("{error:?}") };
    assert_eq!(
        faults[..],
        [
            "`first.weight` has the shape [3, 2], the model needs [2, 3]",
            "`second.bias` is missing",
            "`norm.bias` is missing",
        ]
    );
    assert_eq!(unused[..], ["norm.offset"]);
    let message = error.to_string();
    assert!(message.contains("3 weights do not fit the model"), "{message}");
    assert!(message.ends_with("the file also has `norm.offset`"), "{message}");
}

#[test]
fn a_weight_that_is_infinite_or_not_a_number_is_refused_by_name() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut weights = weights();
        let (name, weight) = &mut weights[2];
        weight.values[1] = value;
        let expected = format!("weight `{name}`: has the value {value}; the file is damaged");
        let (_directory, path) = written(&weights);
        let error = load(layers(), &WeightFile::open(&path).unwrap(), own_name).unwrap_err();
        assert!(error.to_string().contains(&expected), "{error}");
    }
}

#[test]
fn surplus_weights_are_returned_or_refused() {
    let mut weights = weights();
    weights.push(("third.bias".into(), Weight { shape: vec![1], values: vec![1.0] }));
    let (_directory, path) = written(&weights);
    let file = WeightFile::open(&path).unwrap();
    assert_eq!(load(layers(), &file, own_name).unwrap().unused[..], ["third.bias"]);
    let error = load_exactly(layers(), &file, own_name).unwrap_err().to_string();
    assert!(error.ends_with("1 tensors are not used by the model: `third.bias`"), "{error}");
}

#[test]
fn files_of_unknown_formats_are_refused_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.safetensors");
    let refusal = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        chain_of(&WeightFile::open(&path).map(|_| ()).unwrap_err())
    };
    assert!(refusal(b"").contains("neither a safetensors file nor a PyTorch weight file"));
    assert!(refusal(b"version https://git-lfs.github.com/spec/v1\n").contains("git lfs pull"));
    assert!(refusal(b"\x10\0\0\0\0\0\0\0{").contains("longer than the file"));
    assert!(refusal(b"\x02\0\0\0\0\0\0\0{}rest").contains("not a complete safetensors file"));
}
