//! Training, small: the whole pipeline, and an interrupted run that ends like an uninterrupted one. Besides, an
//! interrupted benchmark.

#![cfg(unix)]

mod common;

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::Child,
};

use common::{TINY, Workshop, stderr, stdout};

const STAGES: [&str; 3] = ["teacher", "student", "finetune"];

/// The bytes of a stage's weights.
fn weights(run: &Path, stage: &str) -> Vec<u8> {
    std::fs::read(run.join(stage).join("model/model.safetensors")).unwrap()
}

/// Paths of all files, relative to `directory`.
fn files_under(directory: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            files.extend(files_under(&path).into_iter().map(|file| format!("{name}/{file}")));
        } else {
            files.push(name);
        }
    }
    files
}

/// Waits until a line of standard error satisfies `is_it`, and leaves the rest to a thread.
fn wait_for_line(
    child: &mut Child,
    is_it: impl Fn(&str) -> bool,
) -> std::thread::JoinHandle<String> {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let found = lines.by_ref().map_while(Result::ok).any(|line| is_it(&line));
    assert!(found, "the line never came");
    std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>().join("\n"))
}

fn kill(child: &Child, signal: &str) {
    let status = std::process::Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn the_pipeline_ends_with_models_scores_and_a_table() {
    let workshop = Workshop::new();
    let output = workshop.succeed(&["distill", "tiny.toml", "--out", "run"]);
    let table = stdout(&output);
    for row in ["teacher", "student", "student, fine-tuned"] {
        assert!(table.lines().any(|line| line.starts_with(row)), "{table}");
    }
    let run = workshop.path("run");
    let results = std::fs::read_to_string(run.join("results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&results).unwrap();
    for stage in STAGES {
        assert!(results[stage]["f1"].is_number() && results[stage]["ign_f1"].is_number());
        for file in ["config.json", "tokenizer.json", "relations.json", "model.safetensors"] {
            assert!(run.join(stage).join("model").join(file).is_file(), "{stage} {file}");
        }
        assert!(!run.join(stage).join("checkpoint").exists(), "{stage}");
    }
    let weights = files_under(&run).into_iter().filter(|file| file.ends_with("model.safetensors"));
    assert_eq!(weights.count(), 3);
    let again = workshop.succeed(&["distill", "tiny.toml", "--out", "run", "--resume"]);
    assert_eq!(stdout(&again), table);
    assert!(stderr(&again).contains("teacher: already finished"));
}

#[test]
fn training_lowers_the_loss() {
    let workshop = Workshop::new();
    let arguments = [
        "train",
        "tiny.toml",
        "--stage",
        "teacher",
        "--out",
        "run",
        "--set",
        "stages.teacher.epochs=6",
    ];
    workshop.succeed(&arguments);
    let state = std::fs::read_to_string(workshop.path("run/teacher/training_state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    let losses: Vec<f64> =
        state["history"].as_array().unwrap().iter().map(|e| e["loss"].as_f64().unwrap()).collect();
    assert_eq!(losses.len(), 6);
    assert!(losses[5] < 0.8 * losses[0], "{losses:?}");
}

#[test]
fn two_runs_of_one_seed_are_equal_and_another_seed_differs() {
    let workshop = Workshop::new();
    let train = |out: &str, seed: &str| {
        let seed = format!("seed={seed}");
        workshop.succeed(&[
            "train",
            "tiny.toml",
            "--stage",
            "teacher",
            "--out",
            out,
            "--set",
            &seed,
        ]);
        weights(&workshop.path(out), "teacher")
    };
    let first = train("a", "7");
    assert_eq!(first, train("b", "7"));
    assert_ne!(first, train("c", "8"));
}

/// Kills the run by `signal` at several moments, each time resuming it, and compares the end with `whole`.
fn ends_like_the_whole_run(signal: &str, moments: &[&str]) {
    let workshop = Workshop::new();
    let whole = workshop.path("whole");
    workshop.succeed(&["distill", "tiny.toml", "--out", "whole"]);
    let mut arguments = vec!["distill", "tiny.toml", "--out", "run", "--log-format", "json"];
    for moment in moments {
        let mut child = workshop.docre(&arguments).spawn().unwrap();
        let rest = wait_for_line(&mut child, |line| line.contains(moment));
        kill(&child, signal);
        let status = child.wait().unwrap();
        let rest = rest.join().unwrap();
        if signal == "-KILL" {
            assert_eq!(status.code(), None);
        } else {
            assert_eq!(status.code(), Some(1), "{rest}");
            assert!(rest.contains("--resume"), "{rest}");
        }
        if arguments.len() == 6 {
            arguments.push("--resume");
        }
    }
    workshop.succeed(&arguments);
    let run = workshop.path("run");
    for stage in STAGES {
        assert!(weights(&run, stage) == weights(&whole, stage), "{stage} differs");
        let curves = |run: &Path| std::fs::read_to_string(run.join(stage).join("metrics.jsonl"));
        assert_eq!(curves(&run).unwrap(), curves(&whole).unwrap());
    }
    let mut listing = (files_under(&run), files_under(&whole));
    listing.0.sort();
    listing.1.sort();
    assert_eq!(listing.0, listing.1);
    let results = |run: &Path| std::fs::read_to_string(run.join("results.json")).unwrap();
    assert_eq!(results(&run), results(&whole));
}

#[test]
fn a_killed_run_resumed_ends_with_the_same_bytes() {
    let moments = [
        r#""epoch":1,"epochs":3,"event":"epoch""#,
        r#""epoch":2,"epochs":3,"event":"epoch""#,
        r#""event":"step","figures""#,
        r#""epoch":1,"epochs":2,"event":"epoch""#,
    ];
    ends_like_the_whole_run("-KILL", &moments);
}

#[test]
fn an_interrupted_run_resumed_ends_with_the_same_bytes() {
    let moments = [r#""event":"step""#, r#""epoch":2,"epochs":3,"event":"epoch""#];
    ends_like_the_whole_run("-INT", &moments);
    ends_like_the_whole_run("-TERM", &moments[..1]);
}

#[test]
fn a_student_without_its_teachers_logits_is_an_error_before_training() {
    let workshop = Workshop::new();
    workshop.succeed(&["train", "tiny.toml", "--stage", "teacher", "--out", "run"]);
    let student = ["train", "tiny.toml", "--stage", "student", "--out", "run", "--resume"];
    let message = workshop.fail(1, &student);
    assert!(message.contains("label the documents"), "{message}");
    // The logits of other documents do not help.
    let label = [
        "label",
        "--model",
        "run/teacher/model",
        "--input",
        "run/data/dev.json",
        "--output",
        "run/labels",
    ];
    workshop.succeed(&label);
    let message = workshop.fail(1, &student);
    assert!(message.contains("no teacher logits for 16 documents"), "{message}");
    assert!(!workshop.path("run/student/training_state.json").exists());
    // What is there is told from what is asked for.
    assert!(stderr(&workshop.succeed(&label)).contains("labelled already"));
    let of_distant = label.map(|word| match word {
        "run/data/dev.json" => "run/data/distant.json",
        word => word,
    });
    let message = workshop.fail(1, &of_distant);
    assert!(message.contains("labels-00000-of-00001.bin: no teacher logits for 16"), "{message}");
}

#[test]
fn labels_made_in_parts_serve_a_pipeline() {
    let workshop = Workshop::new();
    workshop.succeed(&["train", "tiny.toml", "--stage", "teacher", "--out", "run"]);
    let files = ["--input", "run/data/distant.json", "--output", "run/labels"];
    let label = [&["label", "--model", "run/teacher/model"][..], &files].concat();
    workshop.succeed(&[&label[..], &["--shard", "1/2"]].concat());
    let resume = ["distill", "tiny.toml", "--out", "run", "--resume"];
    let message = workshop.fail(1, &resume);
    assert!(message.contains("label the documents of part 2 of 2"), "{message}");
    workshop.succeed(&[&label[..], &["--shard", "2/2"]].concat());
    assert!(stderr(&workshop.succeed(&resume)).contains("label: already finished"));
}

/// A run of the teacher that was interrupted after its first epoch.
fn interrupted_teacher(workshop: &Workshop, settings: &[&str]) {
    let train = ["train", "tiny.toml", "--stage", "teacher", "--out", "run"];
    let arguments = [&train[..], &["--log-format", "json"], settings].concat();
    let mut child = workshop.docre(&arguments).spawn().unwrap();
    let rest = wait_for_line(&mut child, |line| line.contains(r#""event":"epoch""#));
    kill(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(1));
    rest.join().unwrap();
}

#[test]
fn a_damaged_checkpoint_is_an_error_that_names_the_file() {
    let workshop = Workshop::new();
    interrupted_teacher(&workshop, &["--set", "stages.teacher.epochs=50"]);
    for part in ["scheduler", "optim", "model"] {
        for entry in std::fs::read_dir(workshop.path("run/teacher/checkpoint")).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_string_lossy().starts_with(part) {
                let bytes = std::fs::read(&path).unwrap();
                std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
            }
        }
        let train = ["train", "tiny.toml", "--stage", "teacher", "--out", "run", "--resume"];
        let arguments = [&train[..], &["--set", "stages.teacher.epochs=50"]].concat();
        let message = workshop.fail(1, &arguments);
        assert!(message.contains(&format!("checkpoint/{part}-")), "{message}");
        assert!(message.contains("remove its directory to begin it again"), "{message}");
    }
}

#[test]
fn a_run_remembers_where_it_was_computed_each_time() {
    let workshop = Workshop::new();
    let epochs = ["--set", "stages.teacher.epochs=50"];
    let settings = [&epochs[..], &["--set", "compute.devices=[0, 0]"]].concat();
    interrupted_teacher(&workshop, &settings);
    let resume = ["train", "tiny.toml", "--stage", "teacher", "--out", "run", "--resume"];
    let resume = [&resume[..], &settings].concat();
    let message = workshop.fail(1, &[&resume[..], &["--device", "0"]].concat());
    assert!(message.contains("the run began on 2 devices"), "{message}");
    let mut child = workshop.docre(&resume).spawn().unwrap();
    let rest = wait_for_line(&mut child, |line| line.contains("epoch"));
    kill(&child, "-INT");
    child.wait().unwrap();
    rest.join().unwrap();
    let manifest = std::fs::read_to_string(workshop.path("run/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let starts = manifest["starts"].as_array().unwrap();
    assert_eq!(starts.len(), 2);
    for start in starts {
        assert_eq!(start["devices"], serde_json::json!([0, 0]));
        assert_eq!(start["device_names"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn naive_adaptation_needs_no_logits() {
    let workshop = Workshop::new();
    let arguments = [
        "train",
        "tiny.toml",
        "--stage",
        "student",
        "--out",
        "run",
        "--set",
        "stages.student.distillation={ kind = \"none\" }",
    ];
    workshop.succeed(&arguments);
    assert!(workshop.path("run/student/model/model.safetensors").exists());
}

#[test]
fn a_relation_outside_the_vocabulary_stops_the_run_before_training() {
    let workshop = Workshop::new();
    workshop.write("rel2id.json", r#"{"Na": 0, "P17": 1}"#);
    let document = r#"[{"title": "Only", "sents": [["A", "B"]], "vertexSet": [
        [{"name": "A", "sent_id": 0, "pos": [0, 1], "type": "X"}],
        [{"name": "B", "sent_id": 0, "pos": [1, 2], "type": "X"}]],
        "labels": [{"h": 0, "t": 1, "r": "P99", "evidence": []}]}]"#;
    workshop.write("documents.json", document);
    let config = common::TINY
        .split("[data.synthetic]")
        .next()
        .map(|head| {
            let files = "[data]\ntrain = \"documents.json\"\ndev = \"documents.json\"\n\
                         relations = \"rel2id.json\"\n";
            let rest = common::TINY.split("spurious = 0.2").nth(1).unwrap();
            format!("{head}{files}{rest}")
        })
        .unwrap();
    workshop.write("files.toml", config);
    let train = ["train", "files.toml", "--stage", "teacher", "--out", "run"];
    let message = workshop.fail(1, &train);
    for part in ["documents.json", "document 0", "Only", "P99"] {
        assert!(message.contains(part), "{message}");
    }
    // Nothing was begun: the repaired file starts a run in the same directory.
    workshop.write("documents.json", document.replace("P99", "P17"));
    workshop.succeed(&train);
}

#[test]
fn patience_ends_a_stage_early() {
    let workshop = Workshop::new();
    let arguments = [
        "train",
        "tiny.toml",
        "--stage",
        "teacher",
        "--out",
        "run",
        "--set",
        "stages.teacher.epochs=30",
        "--set",
        "stages.teacher.patience=1",
        "--set",
        "stages.teacher.encoder_lr=0.0",
        "--set",
        "stages.teacher.relation_lr=0.0",
    ];
    workshop.succeed(&arguments);
    let state = std::fs::read_to_string(workshop.path("run/teacher/training_state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    assert_eq!(state["history"].as_array().unwrap().len(), 2);
}

#[test]
fn two_workers_train_as_one_that_accumulates() {
    // One machine has one processor, so both workers share it: that the gradients meet is what can be tested.
    let workshop = Workshop::new();
    let teacher = |out: &str, settings: [&str; 2]| {
        let mut arguments = vec!["train", "tiny.toml", "--stage", "teacher", "--out", out];
        settings.into_iter().for_each(|setting| arguments.extend(["--set", setting]));
        workshop.succeed(&arguments);
        weights(&workshop.path(out), "teacher")
    };
    let one = teacher("one", ["stages.teacher.accumulation=2", "compute.devices=[0]"]);
    let two = teacher("two", ["stages.teacher.accumulation=1", "compute.devices=[0, 0]"]);
    assert!(one == two, "the weights differ");
}

#[test]
fn predictions_are_the_same_bytes_whatever_the_number_of_threads() {
    let workshop = Workshop::new();
    workshop.succeed(&["train", "tiny.toml", "--stage", "teacher", "--out", "run"]);
    let predict = |threads: &str| {
        let files = ["--input", "run/data/dev.json", "--output", "predicted.jsonl"];
        let arguments = [&["predict", "--model", "run/teacher/model"][..], &files].concat();
        let mut command = workshop.docre(&arguments);
        let status = command.env("RAYON_NUM_THREADS", threads).status().unwrap();
        assert!(status.success());
        std::fs::read(workshop.path("predicted.jsonl")).unwrap()
    };
    let one = predict("1");
    assert!(String::from_utf8_lossy(&one).contains("\"logit\""), "no fact, so no logits");
    assert!(one == predict("2") && one == predict("5"), "the predictions differ");
}

#[test]
fn a_benchmark_that_is_stopped_stops_its_measuring_process() {
    let workshop = Workshop::new();
    let endless = ["bench", "--modes", "preprocess", "--documents", "2", "--samples", "100000000"];
    let mut child = workshop.docre(&endless).spawn().unwrap();
    let rest = wait_for_line(&mut child, |line| line.contains("warmed up"));
    kill(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(1));
    // Standard error ends only when no process holds it any more.
    let rest = rest.join().unwrap();
    assert!(rest.contains("stopped on request"), "{rest}");
}

/// A configuration whose dev documents are its annotated documents, and whose distant documents are the same
/// without labels.
fn train_on_dev(workshop: &Workshop) {
    let run = ["train", "tiny.toml", "--stage", "teacher", "--out", "corpus"];
    workshop.succeed(&run);
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(workshop.path(name)).unwrap()).unwrap()
    };
    let relations = read("corpus/teacher/model/relations.json");
    let relations = relations.as_array().unwrap().iter().enumerate();
    let rel2id: serde_json::Map<_, _> =
        relations.map(|(class, r)| (r["id"].as_str().unwrap().to_owned(), class.into())).collect();
    workshop.write("rel2id.json", serde_json::to_string(&rel2id).unwrap());
    let mut documents = read("corpus/data/train.json");
    for document in documents.as_array_mut().unwrap() {
        document["labels"] = serde_json::json!([]);
    }
    workshop.write("unlabelled.json", documents.to_string());
    let rest = &TINY[TINY.find("[encoder").unwrap()..];
    let data = "seed = 7\n[data]\ntrain = \"corpus/data/train.json\"\ndev = \"corpus/data/train.json\"\n\
        distant = \"unlabelled.json\"\nrelations = \"rel2id.json\"\n";
    workshop.write("same.toml", format!("{data}{rest}"));
}

#[test]
fn ign_f1_of_every_stage_ignores_the_annotated_facts() {
    let workshop = Workshop::new();
    train_on_dev(&workshop);
    let mut arguments = vec!["distill", "same.toml", "--out", "run"];
    for setting in [
        "stages.teacher.epochs=40",
        "stages.student.epochs=40",
        "stages.student.batch_size=2",
        "stages.student.distillation={ kind = \"mse\", relation_weight = 0.0 }",
    ] {
        arguments.extend(["--set", setting]);
    }
    workshop.succeed(&arguments);
    let results = std::fs::read_to_string(workshop.path("run/results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&results).unwrap();
    for stage in STAGES {
        // Every fact is annotated; the distant documents have none.
        assert!(results[stage]["f1"].as_f64().unwrap() > 0.0, "{stage}: {results}");
        assert_eq!(results[stage]["ign_f1"], 0.0, "{stage}");
    }
}
