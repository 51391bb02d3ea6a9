//! The command line: exit codes, messages, files.

mod common;

use common::{Workshop, stderr, stdout};

const DOCUMENTS: &str = r#"[
  {"title": "One", "sents": [["Anna", "lives", "in", "Oslo", "."]],
   "vertexSet": [[{"name": "Anna", "sent_id": 0, "pos": [0, 1], "type": "PER"}],
                 [{"name": "Oslo", "sent_id": 0, "pos": [3, 4], "type": "LOC"}]],
   "labels": [{"h": 0, "t": 1, "r": "not a relation", "evidence": []}]},
  {"title": "Two", "sents": [], "vertexSet": []},
  {"title": "Three", "sents": [["Oslo"]],
   "vertexSet": [[{"name": "Oslo", "sent_id": 0, "pos": [0, 1], "type": "LOC"}]]}
]"#;

/// A workshop with a trained teacher in `run`.
fn with_teacher() -> Workshop {
    let workshop = Workshop::new();
    workshop.succeed(&["train", "tiny.toml", "--stage", "teacher", "--out", "run"]);
    workshop
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    let workshop = Workshop::new();
    for arguments in [
        &["nonsense"][..],
        &["distill"],
        &["distill", "tiny.toml", "--backend", "abacus"],
        &["train", "tiny.toml"],
        &["train", "tiny.toml", "--stage", "teacher", "--dry-run", "--resume"],
        &["label", "--model", "m", "--input", "i", "--output", "o", "--shard", "3/2"],
    ] {
        workshop.fail(2, arguments);
    }
}

#[test]
fn a_failure_is_one_sentence_with_its_cause() {
    let workshop = Workshop::new();
    let message = workshop.fail(1, &["distill", "missing.toml"]);
    assert!(message.starts_with("error: missing.toml: reading failed: "), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    let message = workshop.fail(1, &["distill", "tiny.toml", "--set", "stages.teacher.epoch=1"]);
    assert!(message.contains("unknown field `epoch`"), "{message}");
    let message = workshop.fail(1, &["distill", "missing.toml", "--log-format", "json"]);
    let object: serde_json::Value = serde_json::from_str(&message).unwrap();
    assert_eq!(object["event"], "error");
}

#[test]
fn every_backend_is_listed_with_its_devices_or_the_reason_that_it_has_none() {
    let workshop = Workshop::new();
    let listed = stdout(&workshop.succeed(&["backends"]));
    for name in ["flex", "tch", "cuda", "vulkan", "metal", "wgpu"] {
        let line = listed.lines().find(|line| line.starts_with(name)).expect(name);
        assert!(line.len() > 20, "{line}");
    }
    assert!(listed.contains("device 0: "), "{listed}");
}

#[test]
fn a_backend_that_is_not_compiled_in_is_named() {
    let workshop = Workshop::new();
    let listed = stdout(&workshop.succeed(&["backends"]));
    let Some(line) = listed.lines().find(|line| line.contains("not compiled in")) else { return };
    let missing = line.split(' ').next().unwrap();
    let arguments = ["train", "tiny.toml", "--stage", "teacher", "--backend", missing];
    let message = workshop.fail(1, &arguments);
    assert!(message.contains(&format!("--features {missing}")), "{message}");
}

#[test]
fn a_device_that_does_not_exist_is_one_sentence() {
    let workshop = Workshop::new();
    let message =
        workshop.fail(1, &["train", "tiny.toml", "--stage", "teacher", "--device", "4711"]);
    assert!(message.contains("device 4711 does not exist"), "{message}");
    assert!(!workshop.path("artifacts").exists(), "a run was begun");
}

#[test]
fn a_directory_in_use_needs_resume() {
    let workshop = Workshop::new();
    std::fs::create_dir(workshop.path("run")).unwrap();
    workshop.write("run/notes.txt", "mine");
    let arguments = ["train", "tiny.toml", "--stage", "teacher", "--out", "run"];
    let message = workshop.fail(1, &arguments);
    assert!(message.contains("run is not empty") && message.contains("--resume"), "{message}");
    let message = workshop.fail(1, &[&arguments[..], &["--resume"]].concat());
    assert!(message.contains("not the directory of a run"), "{message}");
}

#[test]
fn a_resumed_run_must_have_the_same_configuration() {
    let workshop = with_teacher();
    let arguments = ["train", "tiny.toml", "--stage", "teacher", "--out", "run", "--resume"];
    workshop.succeed(&arguments);
    let message = workshop.fail(1, &[&arguments[..], &["--set", "seed=8"]].concat());
    assert!(message.contains("`seed` was 7 and is now 8"), "{message}");
}

#[test]
fn a_stage_needs_the_stages_before_it() {
    let workshop = Workshop::new();
    let message = workshop.fail(1, &["train", "tiny.toml", "--stage", "finetune", "--out", "run"]);
    assert!(message.contains("`student` is not finished"), "{message}");
}

#[test]
fn a_dry_run_prints_the_cost_and_trains_nothing() {
    let workshop = Workshop::new();
    let output = workshop.succeed(&["train", "tiny.toml", "--stage", "teacher", "--dry-run"]);
    let text = stdout(&output);
    assert!(text.contains("parameters") && text.contains("9 in 3 epochs"), "{text}");
    assert!(!workshop.path("artifacts").exists());
}

#[test]
fn prediction_needs_the_model_directory_alone_and_reads_no_labels() {
    let workshop = with_teacher();
    workshop.write("documents.json", DOCUMENTS);
    std::fs::rename(workshop.path("run/teacher/model"), workshop.path("model")).unwrap();
    std::fs::remove_dir_all(workshop.path("run")).unwrap();
    for output in ["facts.json", "facts.jsonl", "facts.zip"] {
        let arguments =
            ["predict", "--model", "model", "--input", "documents.json", "--output", output];
        workshop.succeed(&arguments);
    }
    let facts = std::fs::read_to_string(workshop.path("facts.json")).unwrap();
    let facts: Vec<serde_json::Value> = serde_json::from_str(&facts).unwrap();
    assert!(facts.iter().all(|fact| fact["title"] == "One"));
    let lines = std::fs::read_to_string(workshop.path("facts.jsonl")).unwrap();
    let titles: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|line| line["title"].as_str().unwrap().to_string())
        .collect();
    assert_eq!(titles, ["One", "Two", "Three"]);
    let archive = std::fs::File::open(workshop.path("facts.zip")).unwrap();
    let mut archive = zip::ZipArchive::new(archive).unwrap();
    let result = std::io::read_to_string(archive.by_name("result.json").unwrap()).unwrap();
    assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(&result).unwrap(), facts);
}

#[test]
fn no_documents_give_no_relations_and_a_bad_one_gives_no_file() {
    let workshop = with_teacher();
    let predict = |input: &str| {
        workshop.write("documents.json", input);
        let arguments = [
            "predict",
            "--model",
            "run/teacher/model",
            "--input",
            "documents.json",
            "--output",
            "facts.json",
        ];
        workshop.docre(&arguments).output().unwrap()
    };
    assert!(predict("[]").status.success());
    let empty = std::fs::read_to_string(workshop.path("facts.json")).unwrap();
    assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(&empty).unwrap().len(), 0);
    std::fs::remove_file(workshop.path("facts.json")).unwrap();
    let broken =
        DOCUMENTS.replace(r#""title": "Three", "#, r#""title": "Three", "vertexSet": 5, "#);
    let output = predict(&broken);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(message.contains("document 2") && message.contains("Three"), "{message}");
    assert!(!workshop.path("facts.json").exists());
    assert!(
        std::fs::read_dir(workshop.path(".")).unwrap().all(|entry| {
            !entry.unwrap().file_name().to_string_lossy().starts_with(".partial-")
        })
    );
}

#[test]
fn a_damaged_model_directory_is_an_error_with_the_file() {
    let workshop = with_teacher();
    workshop.write("documents.json", DOCUMENTS);
    let predict = || {
        let arguments = [
            "predict",
            "--model",
            "run/teacher/model",
            "--input",
            "documents.json",
            "--output",
            "facts.json",
        ];
        workshop.fail(1, &arguments)
    };
    let weights = workshop.path("run/teacher/model/model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    assert!(predict().contains("model.safetensors"));
    std::fs::remove_file(&weights).unwrap();
    assert!(predict().contains("model.safetensors"));
}

#[test]
fn shards_of_labels_together_cover_the_corpus() {
    let workshop = with_teacher();
    workshop.write("documents.json", DOCUMENTS);
    let label = |shard: &str, output: &str| {
        let arguments = [
            "label",
            "--model",
            "run/teacher/model",
            "--input",
            "documents.json",
            "--output",
            output,
            "--shard",
            shard,
        ];
        stderr(&workshop.succeed(&arguments))
    };
    assert!(label("1/1", "whole").contains("1 documents labelled"));
    assert!(label("1/2", "halves").contains("1 documents labelled"));
    assert!(label("2/2", "halves").contains("0 documents labelled"));
    assert!(label("2/2", "halves").contains("nothing to do"));
}
