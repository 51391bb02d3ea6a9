//! Every configuration in `configs/` is dry-run, with small files under the paths that it names.

#![cfg(unix)]

#[allow(dead_code, reason = "the other tests use the rest")]
mod common;
#[path = "common/corpus.rs"]
mod corpus;

use std::{
    fs,
    path::{Path, PathBuf},
};

use burn_docre_train::config::RunConfig;
use common::{Sandbox, stdout};
use corpus::{RELATIONS, documents, lay, lay_encoder};
use toml::{Table, Value};

/// The configurations of the repository, as paths.
fn configurations() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension() == Some("toml".as_ref())).collect();
    files.sort();
    assert!(files.len() >= 10, "{files:?}");
    files
}

/// The comment at the top of a configuration, without its marks.
fn header(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().map_while(|line| line.strip_prefix('#'));
    lines.map(|line| line.trim().to_string() + "\n").collect()
}

/// The local encoder that stands for one of the Hugging Face Hub.
const ENCODER: &str = "data/encoder";

/// Writes small files under the paths that `table` names. Returns the overrides that make a
/// generated corpus small and that replace an encoder of the Hugging Face Hub.
fn lay_inputs(sandbox: &Sandbox, table: &Table) -> Vec<String> {
    let mut overrides = Vec::new();
    if let Some(encoder) = table["encoder"].get("pretrained").and_then(Value::as_str) {
        let family = match encoder {
            name if name.contains("xlm-roberta") => "xlm-roberta",
            name if name.contains("roberta") => "roberta",
            _ => "bert",
        };
        let is_address = encoder.starts_with("hf:");
        lay_encoder(&sandbox.path(if is_address { ENCODER } else { encoder }), family);
        if is_address {
            overrides.push(format!("encoder.pretrained={ENCODER}"));
        }
    }
    let data = table["data"].as_table().unwrap();
    for (key, path) in data.iter().filter_map(|(key, value)| Some((key, value.as_str()?))) {
        let content = match key.as_str() {
            "relations" => RELATIONS.into(),
            "relation_names" => r#"{"P551": "residence", "P17": "country"}"#.into(),
            _ => documents(3),
        };
        lay(&sandbox.path(path), content);
    }
    if data.contains_key("synthetic") {
        let sizes = ["n_train=2", "n_dev=1", "n_distant=2"];
        overrides.extend(sizes.map(|size| format!("data.synthetic.{size}")));
    }
    overrides
}

#[test]
fn every_stage_of_every_shipped_configuration_passes_a_dry_run() {
    for path in configurations() {
        let sandbox = Sandbox::new();
        let text = fs::read_to_string(&path).unwrap();
        let table: Table = text.parse().unwrap();
        let overrides = lay_inputs(&sandbox, &table);
        let path = path.to_str().unwrap();
        for stage in table["stages"].as_table().unwrap().keys() {
            let mut arguments = vec!["train", path, "--stage", stage, "--dry-run"];
            arguments.extend(overrides.iter().flat_map(|item| ["--set", item.as_str()]));
            let report = stdout(&sandbox.succeed(&arguments));
            assert!(report.starts_with(&format!("stage       {stage}\n")), "{path}: {report}");
        }
    }
}

#[test]
fn every_shipped_configuration_is_headed_by_its_command_expected_score_and_time() {
    for path in configurations() {
        let (header, name) = (header(&path), path.file_name().unwrap().to_str().unwrap());
        let command = header.lines().find(|line| line.contains(&format!("configs/{name}")));
        let command = command.unwrap_or_else(|| panic!("{name} has no command: {header}"));
        let config = RunConfig::load(&path, &[]).unwrap();
        if let Some((_, stage)) = command.split_once("--stage ") {
            let stage = stage.split(' ').next().unwrap();
            assert!(config.stages.get(stage).is_some(), "{name}: {stage}");
        } else {
            let mut stages = config.plan.plan().stages.iter();
            assert!(stages.all(|stage| config.stages.get(stage.name).is_some()), "{name}");
        }
        for word in ["Expected", "ime"] {
            assert!(header.contains(word), "{name} does not say {word:?}: {header}");
        }
    }
}

/// Reports whether `text` cites a paper, as in `Tan et al., EMNLP 2022`, or names a measurement.
fn has_source(text: &str) -> bool {
    let year = |part: &str| part.split(|c: char| !c.is_ascii_digit()).any(|word| word.len() == 4);
    let cites = text.split(" et al.").skip(1).any(|rest| rest.split(')').next().is_some_and(year));
    cites || text.to_lowercase().contains("measured")
}

#[test]
fn the_expected_score_of_every_shipped_configuration_has_a_source() {
    for path in configurations() {
        let header = header(&path);
        let (_, expected) = header.split_once("Expected").unwrap_or_default();
        assert!(has_source(expected), "{path:?} cites no paper and no measurement: {header}");
    }
    let cited = "F1 (Tan et al., Findings of ACL 2022, Table 2):\n dev 60.08";
    let measured = "dev F1, as measured: 76.5";
    assert!(has_source(cited) && has_source(measured));
    for without in ["F1 (the paper):\n dev 60.08", "F1 (Tan et al.) of 2022", "dev F1: 76.5", ""] {
        assert!(!has_source(without), "{without}");
    }
}

#[test]
fn naive_adaptation_is_the_override_that_the_headers_name() {
    let mut n_named = 0;
    for path in configurations() {
        let header = header(&path);
        let Some((_, rest)) = header.split_once("--set '") else { continue };
        let item = rest.split('\'').next().unwrap();
        let config = RunConfig::load(&path, &[item.into()]).unwrap();
        assert_eq!(config.stages.get("student").unwrap().distillation(), None, "{path:?}");
        n_named += 1;
    }
    assert_eq!(n_named, 3);
}
