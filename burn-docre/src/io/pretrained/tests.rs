use super::*;
use crate::{backend::TestBackend, error::chain_of, io::weights::Weight};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weights")
}

fn encoder() -> Encoder<TestBackend> {
    let config = EncoderConfig::from_file(&fixtures().join("config.json")).unwrap();
    config.init(&Default::default())
}

/// Creates a directory with copies of fixtures, given as pairs of fixture and new name.
fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (fixture, name) in files {
        std::fs::copy(fixtures().join(fixture), directory.path().join(name)).unwrap();
    }
    directory
}

fn load(directory: &Path) -> Result<Loaded<Encoder<TestBackend>>> {
    load_pretrained(encoder(), directory)
}

fn values(encoder: &Encoder<TestBackend>) -> Vec<(String, Weight)> {
    weights::collect(encoder, |path| HUGGING_FACE.rename(path))
}

#[test]
fn every_weight_format_gives_the_same_encoder() {
    let plain = directory(&[("plain.safetensors", "model.safetensors")]);
    let plain = load(plain.path()).unwrap();
    assert!(plain.unused.is_empty(), "{:?}", plain.unused);
    let expected = values(&plain.module);
    let (index, bin) = ("model.safetensors.index.json", "pytorch_model.bin");
    let shards = ["model-1.safetensors", "model-2.safetensors", index].map(|name| (name, name));
    for (files, unused) in [
        (&[("strided-zip.bin", bin)][..], &[][..]),
        (&[("strided-old.bin", bin)], &[]),
        (&[("float64.safetensors", "model.safetensors")], &[]),
        (
            &[("training-zip.bin", bin)],
            &["module.bert.encoder.layer.1.output.dense.bias", "module.bert.pooler.dense.bias"],
        ),
        (&shards, &[]),
    ] {
        let directory = directory(files);
        let loaded =
            load(directory.path()).unwrap_or_else(|e| panic!("{files:?}: {}", chain_of(&e)));
        assert_eq!(loaded.unused, unused, "{files:?}");
        assert!(values(&loaded.module) == expected, "{files:?}");
    }
    let bytes = std::fs::read(fixtures().join("training-old.bin")).unwrap();
    assert!(values(&load_pretrained_from_bytes(encoder(), &bytes).unwrap().module) == expected);
}

#[test]
fn the_encoder_is_found_under_the_prefixes_of_published_files() {
    let plain = WeightFile::open(&fixtures().join("plain.safetensors")).unwrap();
    for prefix in ["bert.", "module.bert.", "0.auto_model.", "model.roberta.", "encoder."] {
        let mut all: Vec<_> = plain
            .names()
            .map(|name| (format!("{prefix}{name}"), plain.read(name).unwrap()))
            .collect();
        let mut unused = ["pooler.dense.weight", "cls.predictions.bias", "lm_head.bias"]
            .map(|name| format!("{prefix}{name}"));
        unused.sort();
        for name in &unused {
            all.push((name.clone(), Weight { shape: vec![1], values: vec![0.0] }));
        }
        let directory = tempfile::tempdir().unwrap();
        weights::write_safetensors(&directory.path().join("model.safetensors"), &all).unwrap();
        let loaded = load(directory.path()).unwrap();
        assert_eq!(loaded.unused, unused, "{prefix}");
        for (name, weight) in values(&loaded.module) {
            assert!(plain.read(&name).unwrap() == weight, "{prefix}{name}");
        }
    }
}

#[test]
fn unused_weights_are_described_by_name_and_those_of_output_and_further_layers_by_part() {
    let described = |names: &[&str]| {
        describe_unused(&names.iter().map(|name| name.to_string()).collect::<Vec<_>>(), 2)
    };
    assert_eq!(described(&[]), "");
    assert_eq!(described(&["a.bias", "xcls.pooler_2.b"]), "a.bias, xcls.pooler_2.b");
    assert_eq!(
        described(&[
            "bert.encoder.layer.1.output.dense.bias",
            "bert.pooler.dense.bias",
            "bert.pooler.dense.weight",
            "cls.predictions.bias",
        ]),
        "bert.encoder.layer.1.output.dense.bias; pooler and output layers: bert.pooler (2), cls (1)"
    );
    assert_eq!(described(&["lm_head.bias"]), "pooler and output layers: lm_head (1)");
    assert_eq!(
        described(&[
            "layer.10.a.bias",
            "layer.2.a.bias",
            "layer.2.a.weight",
            "layer.1.adapter.bias"
        ]),
        "layer.1.adapter.bias; further layers: 2, 10 (3)"
    );
}

#[test]
fn the_files_of_a_directory_include_its_vocabulary_and_all_shards() {
    let index = "model.safetensors.index.json";
    let names = ["config.json", "model-1.safetensors", "model-2.safetensors", index];
    let directory = directory(&names.map(|name| (name, name)));
    std::fs::write(directory.path().join("vocab.txt"), "").unwrap();
    let files = PretrainedEncoder::files_in(directory.path()).unwrap();
    let mut found: Vec<_> =
        files.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    found.sort_unstable();
    let expected =
        ["config.json", "model-1.safetensors", "model-2.safetensors", index, "vocab.txt"];
    assert_eq!(found, expected);
}

#[test]
fn tensorflow_names_of_layer_normalisation_are_accepted() {
    let plain = WeightFile::open(&fixtures().join("plain.safetensors")).unwrap();
    let renamed = |name: &str| {
        if !name.contains("LayerNorm") {
            return name.to_owned();
        }
        name.replace(".weight", ".gamma").replace(".bias", ".beta")
    };
    let all: Vec<_> =
        plain.names().map(|name| (renamed(name), plain.read(name).unwrap())).collect();
    let directory = tempfile::tempdir().unwrap();
    weights::write_safetensors(&directory.path().join("model.safetensors"), &all).unwrap();
    assert!(load(directory.path()).unwrap().unused.is_empty());
}

#[test]
fn a_shard_without_a_listed_weight_or_in_another_directory_is_refused() {
    let index = "model.safetensors.index.json";
    let directory = directory(&[("model-1.safetensors", "model-1.safetensors")]);
    let refusal = |text: &str| {
        std::fs::write(directory.path().join(index), text).unwrap();
        load(directory.path()).map(|_| ()).unwrap_err().to_string()
    };
    let error = refusal(r#"{"weight_map": {"a": "model-1.safetensors"}}"#);
    assert!(error.contains("weight `a`: listed here, but missing in its shard"), "{error}");
    for elsewhere in ["../model-1.safetensors", "/etc/passwd", ""] {
        let error = refusal(&format!(r#"{{"weight_map": {{"a": "{elsewhere}"}}}}"#));
        assert!(error.contains("is no file name"), "{error}");
    }
}

#[test]
fn a_file_with_two_encoders_or_none_is_refused() {
    let plain = WeightFile::open(&fixtures().join("plain.safetensors")).unwrap();
    let plain = &plain;
    let directory = tempfile::tempdir().unwrap();
    let refusal = |prefixes: &[&str]| {
        let named = |prefix: &&str| {
            let prefix = prefix.to_string();
            plain.names().map(move |name| (format!("{prefix}{name}"), plain.read(name).unwrap()))
        };
        let all: Vec<_> = prefixes.iter().flat_map(named).collect();
        weights::write_safetensors(&directory.path().join("model.safetensors"), &all).unwrap();
        load(directory.path()).map(|_| ()).unwrap_err().to_string()
    };
    assert!(refusal(&["left.", "right."]).contains(r#"under the prefixes ["left.", "right."]"#));
    let error = refusal(&["un"]);
    assert!(error.contains("21 weights do not fit the model"), "{error}");
    assert!(error.contains("`unembeddings.LayerNorm.bias`"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    let error = load(empty.path()).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("has neither model.safetensors nor pytorch_model.bin"), "{error}");
}
