//! The command line: exit codes, messages, files.

mod common;

use common::{Sandbox, TRAIN_TEACHER, stderr, stdout};

/// Three documents, the first with a relation that the vocabulary lacks. Only the first has a pair.
const DOCUMENTS: &str = r#"[
  {"title": "One", "sents": [["Anna", "lives", "in", "Oslo", "."]],
   "vertexSet": [[{"name": "Anna", "sent_id": 0, "pos": [0, 1], "type": "PER"}],
                 [{"name": "Oslo", "sent_id": 0, "pos": [3, 4], "type": "LOC"}]],
   "labels": [{"h": 0, "t": 1, "r": "not a relation", "evidence": []}]},
  {"title": "Two", "sents": [], "vertexSet": []},
  {"title": "Three", "sents": [["Oslo"]],
   "vertexSet": [[{"name": "Oslo", "sent_id": 0, "pos": [0, 1], "type": "LOC"}]]}
]"#;

/// The prediction of `with_teacher`'s teacher on `documents.json`.
const PREDICT: [&str; 7] = [
    "predict",
    "--model",
    "run/teacher/model",
    "--input",
    "documents.json",
    "--output",
    "facts.json",
];

/// A test directory with a trained teacher in `run`.
fn with_teacher() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.succeed(&TRAIN_TEACHER);
    sandbox
}

#[test]
fn an_invalid_command_line_exits_with_code_2() {
    let sandbox = Sandbox::new();
    for arguments in [
        &["nonsense"][..],
        &["distill"],
        &["distill", "tiny.toml", "--backend", "abacus"],
        &["train", "tiny.toml"],
        &["train", "tiny.toml", "--stage", "teacher", "--dry-run", "--resume"],
        &["label", "--model", "m", "--input", "i", "--output", "o", "--shard", "3/2"],
    ] {
        sandbox.fail(2, arguments);
    }
}

#[test]
fn a_failure_is_an_error_of_one_line_with_its_cause() {
    let sandbox = Sandbox::new();
    let message = sandbox.fail(1, &["distill", "missing.toml"]);
    assert!(message.starts_with("error: missing.toml: opening failed: "), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    let message = sandbox.fail(1, &["distill", "tiny.toml", "--set", "stages.teacher.epoch=1"]);
    assert!(message.contains("unknown field `epoch`"), "{message}");
    let message = sandbox.fail(1, &["distill", "missing.toml", "--log-format", "json"]);
    let object: serde_json::Value = serde_json::from_str(&message).unwrap();
    assert_eq!(object["event"], "error");
}

#[test]
fn every_backend_is_listed_with_its_devices_or_the_reason_for_having_none() {
    let sandbox = Sandbox::new();
    let listed = stdout(&sandbox.succeed(&["backends"]));
    for name in ["flex", "tch", "cuda", "vulkan", "metal", "wgpu"] {
        let line = listed.lines().find(|line| line.starts_with(name)).expect(name);
        assert!(line.len() > 20, "{line}");
    }
    for line in listed.lines().filter(|line| line.contains("device 0: ")) {
        let [f32, bf16] = ["f32", "bf16"].map(|name| format!(", precision auto: {name}"));
        assert!(line.contains(&f32) || line.contains(&bf16), "{line}");
    }
    assert!(listed.contains("device 0: "), "{listed}");
}

#[test]
fn a_backend_that_is_not_compiled_in_is_an_error_that_names_its_feature() {
    let sandbox = Sandbox::new();
    let listed = stdout(&sandbox.succeed(&["backends"]));
    let Some(line) = listed.lines().find(|line| line.contains("not compiled in")) else { return };
    let missing = line.split(' ').next().unwrap();
    let arguments = ["train", "tiny.toml", "--stage", "teacher", "--backend", missing];
    let message = sandbox.fail(1, &arguments);
    assert!(message.contains(&format!("--features {missing}")), "{message}");
}

#[test]
fn a_missing_device_is_an_error_before_a_run_begins() {
    let sandbox = Sandbox::new();
    let message =
        sandbox.fail(1, &["train", "tiny.toml", "--stage", "teacher", "--device", "4711"]);
    assert!(message.contains("device 4711 does not exist"), "{message}");
    assert!(!sandbox.path("artifacts").exists(), "the run has begun");
}

#[test]
fn a_non_empty_directory_is_rejected_unless_a_run_is_resumed() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("run")).unwrap();
    sandbox.write("run/notes.txt", "mine");
    let message = sandbox.fail(1, &TRAIN_TEACHER);
    assert!(message.contains("run is not empty") && message.contains("--resume"), "{message}");
    let message = sandbox.fail(1, &[&TRAIN_TEACHER[..], &["--resume"]].concat());
    assert!(message.contains("not the directory of a run"), "{message}");
}

#[test]
fn a_resumed_run_must_have_the_same_configuration() {
    let sandbox = with_teacher();
    let resume = [&TRAIN_TEACHER[..], &["--resume"]].concat();
    sandbox.succeed(&resume);
    let message = sandbox.fail(1, &[&resume[..], &["--set", "seed=8"]].concat());
    assert!(message.contains("`seed` was 7 and is now 8"), "{message}");
}

#[test]
fn a_stage_needs_the_stages_before_it() {
    let sandbox = Sandbox::new();
    let message = sandbox.fail(1, &["train", "tiny.toml", "--stage", "finetune", "--out", "run"]);
    assert!(message.contains("`student` is not finished"), "{message}");
}

#[test]
fn a_dry_run_prints_the_cost_and_trains_nothing() {
    let sandbox = Sandbox::new();
    let output = sandbox.succeed(&["train", "tiny.toml", "--stage", "teacher", "--dry-run"]);
    let text = stdout(&output);
    assert!(text.contains("parameters") && text.contains("9 in 3 epochs"), "{text}");
    assert!(!sandbox.path("artifacts").exists());
}

#[test]
fn a_dry_run_counts_both_encoders_of_kmgre() {
    let sandbox = Sandbox::new();
    let encoder_parameters = |config: &str| -> usize {
        let dry_run = ["train", config, "--stage", "teacher", "--dry-run"];
        let text = stdout(&sandbox.succeed(&dry_run));
        let (_, rest) = text.split_once("(encoder ").unwrap();
        rest.split_once(',').unwrap().0.parse().unwrap()
    };
    assert_eq!(encoder_parameters("kmgre.toml"), 2 * encoder_parameters("tiny.toml"));
}

#[test]
fn prediction_needs_only_the_model_directory_and_ignores_labels() {
    let sandbox = with_teacher();
    sandbox.write("documents.json", DOCUMENTS);
    std::fs::rename(sandbox.path("run/teacher/model"), sandbox.path("model")).unwrap();
    std::fs::remove_dir_all(sandbox.path("run")).unwrap();
    for output in ["facts.json", "facts.jsonl", "facts.zip"] {
        let arguments =
            ["predict", "--model", "model", "--input", "documents.json", "--output", output];
        sandbox.succeed(&arguments);
    }
    let facts: Vec<serde_json::Value> = serde_json::from_value(sandbox.json("facts.json")).unwrap();
    assert!(facts.iter().all(|fact| fact["title"] == "One"));
    let lines = std::fs::read_to_string(sandbox.path("facts.jsonl")).unwrap();
    let titles: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|line| line["title"].as_str().unwrap().to_string())
        .collect();
    assert_eq!(titles, ["One", "Two", "Three"]);
    let archive = std::fs::File::open(sandbox.path("facts.zip")).unwrap();
    let mut archive = zip::ZipArchive::new(archive).unwrap();
    let result = std::io::read_to_string(archive.by_name("result.json").unwrap()).unwrap();
    assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(&result).unwrap(), facts);
}

#[test]
fn an_empty_corpus_gives_no_relations_and_an_invalid_document_gives_no_file() {
    let sandbox = with_teacher();
    let predict = |input: &str| {
        sandbox.write("documents.json", input);
        sandbox.docre(&PREDICT).output().unwrap()
    };
    assert!(predict("[]").status.success());
    assert_eq!(sandbox.json("facts.json"), serde_json::json!([]));
    std::fs::remove_file(sandbox.path("facts.json")).unwrap();
    let broken =
        DOCUMENTS.replace(r#""title": "Three", "#, r#""title": "Three", "vertexSet": 5, "#);
    let output = predict(&broken);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(message.contains("document 2") && message.contains("Three"), "{message}");
    assert!(!sandbox.path("facts.json").exists());
    assert!(
        std::fs::read_dir(sandbox.path(".")).unwrap().all(|entry| {
            !entry.unwrap().file_name().to_string_lossy().starts_with(".partial-")
        })
    );
}

#[test]
fn a_damaged_model_directory_is_an_error_that_names_the_file() {
    let sandbox = with_teacher();
    sandbox.write("documents.json", DOCUMENTS);
    let predict = || sandbox.fail(1, &PREDICT);
    let weights = sandbox.path("run/teacher/model/model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    assert!(predict().contains("model.safetensors"));
    std::fs::remove_file(&weights).unwrap();
    assert!(predict().contains("model.safetensors"));
}

#[test]
fn shards_of_labels_together_cover_the_corpus() {
    let sandbox = with_teacher();
    sandbox.write("documents.json", DOCUMENTS);
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
        stderr(&sandbox.succeed(&arguments))
    };
    assert!(label("1/1", "whole").contains("1 documents labelled"));
    assert!(label("1/2", "halves").contains("1 documents labelled"));
    assert!(label("2/2", "halves").contains("0 documents labelled"));
    assert!(label("2/2", "halves").contains("nothing to do"));
}

/// The weights that `docre export` writes in the tests.
const PUBLISHED: &str = "published.safetensors";

/// Writes the directory `encoder` with configuration and tokenizer of the teacher's encoder, and
/// the teacher's weights under the names of the authors' code. Returns the notes of the export.
fn export_teacher(sandbox: &Sandbox, format: &str) -> String {
    std::fs::create_dir(sandbox.path("encoder")).unwrap();
    let config = sandbox.json("run/teacher/model/config.json");
    sandbox.write("encoder/config.json", config["encoder"].to_string());
    let tokenizer = sandbox.path("run/teacher/model/tokenizer.json");
    std::fs::copy(tokenizer, sandbox.path("encoder/tokenizer.json")).unwrap();
    let model = ["export", "--model", "run/teacher/model"];
    stderr(&sandbox.succeed(&[&model[..], &["--format", format, "--output", PUBLISHED]].concat()))
}

/// The arguments that import [`PUBLISHED`] to the directory `output`.
fn import<'a>(output: &'a str, options: &[&'a str]) -> Vec<&'a str> {
    let inputs = ["import", "--weights", PUBLISHED, "--encoder", "encoder"];
    let relations = ["--relations", "run/teacher/model/relations.json"];
    [&inputs[..], &relations, &["--output", output], options].concat()
}

#[test]
fn an_exported_and_imported_model_has_equal_files() {
    let sandbox = with_teacher();
    let notes = export_teacher(&sandbox, "kd-docre");
    assert!(notes.contains("masks all padding; the authors' code pads to 42"), "{notes}");
    assert!(notes.contains("2 attention heads in each axial layer"), "{notes}");

    sandbox.succeed(&import("imported", &["--axial-heads", "2", "--no-pad-compat"]));
    let read = |name: &str| std::fs::read(sandbox.path(name)).unwrap();
    for file in ["config.json", "tokenizer.json", "relations.json", "model.safetensors"] {
        let [before, after] =
            ["run/teacher/model", "imported"].map(|d| read(&format!("{d}/{file}")));
        assert!(before == after, "{file} has changed");
    }

    let options = ["--axial-heads", "2", "--max-relations-per-pair", "3", "--max-window", "64"];
    sandbox.succeed(&import("padded", &options));
    assert!(read("padded/model.safetensors") == read("imported/model.safetensors"));
    let config = sandbox.json("padded/config.json");
    assert_eq!(config["system"]["mixer"]["pad_to"], 42);
    assert_eq!(config["encoder"]["max_window"], 64);
    assert_eq!(config["decoding"]["max_relations_per_pair"], 3);
    sandbox.write("documents.json", DOCUMENTS);
    let predict = ["predict", "--model", "padded", "--input", "documents.json"];
    sandbox.succeed(&[&predict[..], &["--output", "facts.json"]].concat());
}

#[test]
fn an_atlop_model_is_exported_and_imported_without_the_options_of_axial_layers() {
    let sandbox = Sandbox::new();
    let atlop = "model={ kind = \"atlop\", emb_size = 16, group_size = 8 }";
    sandbox.succeed(&[&TRAIN_TEACHER[..], &["--set", atlop]].concat());
    export_teacher(&sandbox, "atlop");
    for options in [&["--no-pad-compat"][..], &["--axial-heads", "8"]] {
        let message = sandbox.fail(1, &import("imported", options));
        assert!(message.contains("ATLOP has no axial layers"), "{message}");
    }
    sandbox.succeed(&import("imported", &[]));
    let read = |directory: &str| std::fs::read(sandbox.path(directory).join("model.safetensors"));
    assert!(read("imported").unwrap() == read("run/teacher/model").unwrap());
}

#[test]
fn an_import_that_would_give_another_model_is_refused_and_writes_nothing() {
    let sandbox = with_teacher();
    export_teacher(&sandbox, "kd-docre");
    sandbox.write("rel2id.json", r#"{"Na": 0, "P17": 1}"#);
    for (options, expected) in [
        (["--relations", "rel2id.json"], "rel2id.json lists 2"),
        (["--weights", "run/teacher/model/model.safetensors"], "the file also has `axial.col.0"),
        (["--axial-heads", "3"], "`mixer.heads` 3 does not divide"),
        (["--max-window", "193"], "`max_window` is 193"),
        (["--output", "run"], "run is not empty; choose another `--output`"),
    ] {
        // A later value would be an error of the command line, so it replaces the first one.
        let mut arguments = import("imported", &[]);
        match arguments.iter().position(|argument| *argument == options[0]) {
            Some(at) => arguments[at + 1] = options[1],
            None => arguments.extend(options),
        }
        let message = sandbox.fail(1, &arguments);
        assert!(message.contains(expected), "{options:?}: {message}");
        assert!(!sandbox.path("imported").exists(), "{options:?}");
    }
}

#[test]
fn an_import_takes_a_threshold_class_of_any_name() {
    let sandbox = with_teacher();
    export_teacher(&sandbox, "kd-docre");
    let relations = std::fs::read_to_string(sandbox.path("run/teacher/model/relations.json"));
    sandbox.write("relations.json", relations.unwrap().replace("\"Na\"", "\"ohne\""));
    let mut arguments = import("imported", &["--axial-heads", "2", "--no-pad-compat"]);
    let at = arguments.iter().position(|argument| *argument == "--relations").unwrap();
    arguments[at + 1] = "relations.json";
    assert!(sandbox.fail(1, &arguments).contains("class 0 is \"ohne\""));
    sandbox.succeed(&[&arguments[..], &["--threshold-class", "ohne"]].concat());
    assert_eq!(sandbox.json("imported/relations.json")[0]["id"], "ohne");
}

#[test]
fn an_export_needs_the_format_of_the_model_and_another_safetensors_file() {
    let sandbox = with_teacher();
    for (format, output, expected) in [
        ("atlop", PUBLISHED, "a KD-DocRE model; export it with `--format kd-docre`"),
        ("kd-docre", "published.pt", "end its name in `.safetensors`"),
    ] {
        let arguments = ["export", "--model", "run/teacher/model", "--format", format, "--output"];
        let message = sandbox.fail(1, &[&arguments[..], &[output]].concat());
        assert!(message.contains(expected), "{message}");
        assert!(!sandbox.path(output).exists());
    }
    let weights = "run/teacher/model/model.safetensors";
    let export = ["export", "--model", "run/teacher/model", "--format", "kd-docre"];
    let message = sandbox.fail(1, &[&export[..], &["--output", weights]].concat());
    assert!(message.contains("is an input of this command"), "{message}");
}
