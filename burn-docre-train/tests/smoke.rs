//! End-to-end tests on a small corpus: pipeline, resume, devices, and an interrupted benchmark.

#![cfg(unix)]

mod common;
#[path = "common/process.rs"]
mod process;

use std::path::Path;

use common::{Sandbox, TINY, TRAIN_TEACHER, stderr, stdout};
use process::{Signal, kill, wait_for_line};

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

#[test]
fn the_pipeline_writes_models_and_scores_and_prints_a_table() {
    let sandbox = Sandbox::new();
    let output = sandbox.succeed(&["distill", "tiny.toml", "--out", "run"]);
    let table = stdout(&output);
    for row in ["teacher", "student", "student, fine-tuned"] {
        assert!(table.lines().any(|line| line.starts_with(row)), "{table}");
    }
    let run = sandbox.path("run");
    let results = sandbox.json("run/results.json");
    for stage in STAGES {
        assert!(results[stage]["f1"].is_number() && results[stage]["ign_f1"].is_number());
        for file in ["config.json", "tokenizer.json", "relations.json", "model.safetensors"] {
            assert!(run.join(stage).join("model").join(file).is_file(), "{stage} {file}");
        }
        assert!(!run.join(stage).join("checkpoint").exists(), "{stage}");
    }
    let weights = files_under(&run).into_iter().filter(|file| file.ends_with("model.safetensors"));
    assert_eq!(weights.count(), 3);
    let again = sandbox.succeed(&["distill", "tiny.toml", "--out", "run", "--resume"]);
    assert_eq!(stdout(&again), table);
    assert!(stderr(&again).contains("teacher: already finished"));

    // A finished student needs no soft labels.
    std::fs::remove_dir_all(run.join("labels")).unwrap();
    sandbox.succeed(&["distill", "tiny.toml", "--out", "run", "--resume"]);
    assert!(!run.join("labels").exists());
    // A fine-tuned model belongs to the student that it began with.
    let [teacher, student] =
        ["teacher", "student"].map(|stage| run.join(stage).join("model/model.safetensors"));
    std::fs::copy(teacher, student).unwrap();
    let message = sandbox.fail(1, &["distill", "tiny.toml", "--out", "run", "--resume"]);
    assert!(message.contains("began with another model of the stage `student`"), "{message}");
}

#[test]
fn training_lowers_the_loss() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&[&TRAIN_TEACHER[..], &["--set", "stages.teacher.epochs=6"]].concat());
    let state = sandbox.json("run/teacher/training_state.json");
    let losses: Vec<f64> =
        state["history"].as_array().unwrap().iter().map(|e| e["loss"].as_f64().unwrap()).collect();
    assert_eq!(losses.len(), 6);
    assert!(losses[5] < 0.8 * losses[0], "{losses:?}");
}

#[test]
fn runs_with_one_seed_give_equal_weights_and_another_seed_gives_others() {
    let sandbox = Sandbox::new();
    let train = |out: &str, seed: &str| {
        let arguments = ["train", "tiny.toml", "--stage", "teacher", "--out", out, "--set", seed];
        sandbox.succeed(&arguments);
        weights(&sandbox.path(out), "teacher")
    };
    let first = train("a", "seed=7");
    assert_eq!(first, train("b", "seed=7"));
    assert_ne!(first, train("c", "seed=8"));
}

/// Lets a program receive SIGHUP, also if the tests run under `nohup`.
fn hear_hangups(command: &mut std::process::Command) {
    let reset = || {
        // SAFETY: `signal` is safe to call between fork and exec.
        unsafe { libc::signal(libc::SIGHUP, libc::SIG_DFL) };
        Ok(())
    };
    // SAFETY: the closure calls only `signal`.
    unsafe { std::os::unix::process::CommandExt::pre_exec(command, reset) };
}

/// Sends `signal` to a run at each of `moments`, resumes it, and compares the end with an
/// uninterrupted run.
fn assert_resumes_exactly(signal: Signal, moments: &[&str]) {
    let sandbox = Sandbox::new();
    let uninterrupted = sandbox.path("uninterrupted");
    sandbox.succeed(&["distill", "tiny.toml", "--out", "uninterrupted"]);
    let mut arguments = vec!["distill", "tiny.toml", "--out", "run", "--log-format", "json"];
    for moment in moments {
        let mut command = sandbox.docre(&arguments);
        hear_hangups(&mut command);
        let mut child = command.spawn().unwrap();
        let rest = wait_for_line(&mut child, |line| line.contains(moment));
        kill(&child, signal);
        let status = child.wait().unwrap();
        let rest = rest.join().unwrap();
        if signal == Signal::KILL {
            assert_eq!(status.code(), None);
        } else {
            assert_eq!(status.code(), Some(1), "{rest}");
            assert!(rest.contains("--resume"), "{rest}");
        }
        if !arguments.contains(&"--resume") {
            arguments.push("--resume");
        }
    }
    sandbox.succeed(&arguments);
    let run = sandbox.path("run");
    for stage in STAGES {
        assert!(weights(&run, stage) == weights(&uninterrupted, stage), "{stage} differs");
        let curves = |run: &Path| std::fs::read_to_string(run.join(stage).join("metrics.jsonl"));
        assert_eq!(curves(&run).unwrap(), curves(&uninterrupted).unwrap());
    }
    let mut listing = (files_under(&run), files_under(&uninterrupted));
    listing.0.sort();
    listing.1.sort();
    assert_eq!(listing.0, listing.1);
    let results = |run: &Path| std::fs::read_to_string(run.join("results.json")).unwrap();
    assert_eq!(results(&run), results(&uninterrupted));
}

#[test]
fn a_killed_run_that_is_resumed_writes_the_same_bytes() {
    let moments = [
        r#""epoch":1,"epochs":3,"event":"epoch""#,
        r#""epoch":2,"epochs":3,"event":"epoch""#,
        r#""event":"step","metrics""#,
        r#""epoch":1,"epochs":2,"event":"epoch""#,
    ];
    assert_resumes_exactly(Signal::KILL, &moments);
}

/// Interrupts the command `arguments` at its first event of this kind.
fn interrupt(sandbox: &Sandbox, arguments: &[&str], event: &str) {
    let arguments = [arguments, &["--log-format", "json"]].concat();
    let event = format!(r#""event":"{event}""#);
    let mut child = sandbox.docre(&arguments).spawn().unwrap();
    let rest = wait_for_line(&mut child, |line| line.contains(&event));
    kill(&child, Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    rest.join().unwrap();
}

#[test]
fn a_stage_that_is_trained_again_has_no_scores_until_it_ends() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&TRAIN_TEACHER);
    let results = sandbox.json("run/results.json");
    std::fs::remove_dir_all(sandbox.path("run/teacher")).unwrap();
    let resume = [&TRAIN_TEACHER[..], &["--resume"]].concat();
    interrupt(&sandbox, &resume, "step");
    assert_eq!(sandbox.json("run/results.json"), serde_json::json!({}));
    sandbox.succeed(&resume);
    assert_eq!(sandbox.json("run/results.json"), results);
}

#[test]
fn the_mean_loss_of_a_resumed_epoch_is_that_of_all_its_steps() {
    let sandbox = Sandbox::new();
    interrupt(&sandbox, &TRAIN_TEACHER, "step");
    let resume = [&TRAIN_TEACHER[..], &["--resume", "--log-format", "json"]].concat();
    let resumed = sandbox.succeed(&resume);
    let events = stderr(&resumed);
    let events =
        events.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let shown: Vec<_> = events
        .filter(|event| event["event"] == "epoch")
        .map(|event| (event["epoch"].as_u64(), event["mean_loss"].as_f64().unwrap()))
        .collect();
    let state = sandbox.json("run/teacher/training_state.json");
    let history = state["history"].as_array().unwrap();
    assert!(!shown.is_empty());
    for (epoch, loss) in shown {
        let record = history.iter().find(|record| record["epoch"].as_u64() == epoch).unwrap();
        assert!((record["loss"].as_f64().unwrap() - loss).abs() < 1e-9, "{epoch:?}: {loss}");
    }
}

#[test]
fn an_interrupted_run_that_is_resumed_writes_the_same_bytes() {
    let moments = [r#""event":"step""#, r#""epoch":2,"epochs":3,"event":"epoch""#];
    assert_resumes_exactly(Signal::INT, &moments);
    assert_resumes_exactly(Signal::TERM, &moments[..1]);
    assert_resumes_exactly(Signal::HUP, &moments[..1]);
}

#[test]
fn a_run_under_nohup_ignores_the_end_of_its_terminal() {
    let sandbox = Sandbox::new();
    let script = "trap '' HUP; exec \"$0\" \"$@\"";
    let docre = sandbox.docre(&[&TRAIN_TEACHER[..], &["--log-format", "json"]].concat());
    let mut child = std::process::Command::new("sh")
        .args(["-c", script])
        .arg(docre.get_program())
        .args(docre.get_args())
        .current_dir(sandbox.path("."))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let rest = wait_for_line(&mut child, |line| line.contains(r#""event":"step""#));
    kill(&child, Signal::HUP);
    assert!(child.wait().unwrap().success(), "{}", rest.join().unwrap());
}

/// A test directory whose `tiny.toml` has KMGRE.
fn with_kmgre() -> Sandbox {
    let sandbox = Sandbox::new();
    std::fs::copy(sandbox.path("kmgre.toml"), sandbox.path("tiny.toml")).unwrap();
    sandbox
}

#[test]
fn kmgre_that_is_interrupted_within_an_e_pass_and_an_m_pass_writes_the_same_bytes() {
    let sandbox = with_kmgre();
    // Fifteen steps per epoch: an interruption after the first one is within the epoch.
    let settings = ["--set", "data.synthetic.n_train=60", "--set", "stages.teacher.epochs=5"];
    let train = |out: &'static str| {
        let stage = ["train", "tiny.toml", "--stage", "teacher", "--out", out];
        [&stage[..], &settings, &["--log-format", "json"]].concat()
    };
    sandbox.succeed(&train("whole"));
    let mut arguments = train("run");
    // A process reports its first step at once. So a run that was interrupted after an epoch
    // reports the first step of the next one.
    for (event, phase, is_within) in [
        ("epoch", "warm-up", false),
        ("step", "E step", true),
        ("epoch", "E step", false),
        ("step", "M step", true),
    ] {
        let mut child = sandbox.docre(&arguments).spawn().unwrap();
        let (event, phase) = (format!(r#""event":"{event}""#), format!(r#""phase":"{phase}""#));
        let is_moment = |line: &str| line.contains(&event) && line.contains(&phase);
        let rest = wait_for_line(&mut child, is_moment);
        kill(&child, Signal::INT);
        let status = child.wait().unwrap();
        let rest = rest.join().unwrap();
        assert_eq!(status.code(), Some(1), "{rest}");
        let state = sandbox.json("run/teacher/training_state.json");
        assert!(!is_within || state["batches_done"].as_u64() > Some(0), "{phase}: {state}");
        if !arguments.contains(&"--resume") {
            arguments.push("--resume");
        }
    }
    sandbox.succeed(&arguments);
    let (run, whole) = (sandbox.path("run"), sandbox.path("whole"));
    assert!(weights(&run, "teacher") == weights(&whole, "teacher"), "the weights differ");
    let file = |run: &Path, name: &str| std::fs::read_to_string(run.join(name)).unwrap();
    for name in ["teacher/metrics.jsonl", "teacher/training_state.json", "results.json"] {
        assert_eq!(file(&run, name), file(&whole, name), "{name}");
    }
}

#[test]
fn every_phase_of_em_reports_its_own_losses() {
    let sandbox = with_kmgre();
    sandbox.succeed(&TRAIN_TEACHER);
    let log = std::fs::read_to_string(sandbox.path("run/teacher/metrics.jsonl")).unwrap();
    let of_phase = |phase: &str| -> Vec<serde_json::Value> {
        let steps = log.lines().map(|line| serde_json::from_str(line).unwrap());
        steps.filter(|step: &serde_json::Value| step["Phase"] == phase).collect()
    };
    for (phase, epoch, relation, key) in
        [("warm-up", 1, true, true), ("E step", 2, false, true), ("M step", 3, true, false)]
    {
        let steps = of_phase(phase);
        assert_eq!(steps.len(), 3, "{log}");
        for step in steps {
            assert_eq!(step["epoch"], epoch);
            assert_eq!(step["Relation Loss"].is_number(), relation, "{step}");
            assert_eq!(step["Key Loss"].is_number(), key, "{step}");
            assert_eq!(step["Evidence Agreement"].is_number(), key, "{step}");
            assert_eq!(step["Evidence Share"].is_number(), key, "{step}");
        }
    }
    let state = sandbox.json("run/teacher/training_state.json");
    assert!(state["history"][2]["dev"]["evidence_f1"].is_number(), "{state}");
    let agreement = state["history"][1]["values"]["evidence_agreement"].as_f64();
    assert!(agreement.is_some_and(|fraction| (0.0..=1.0).contains(&fraction)), "{state}");
}

#[test]
fn each_of_both_systems_learns_from_soft_labels_of_the_other() {
    let sandbox = with_kmgre();
    sandbox.write("kd.toml", TINY);
    sandbox.succeed(&["train", "tiny.toml", "--stage", "teacher", "--out", "kmgre"]);
    sandbox.succeed(&["train", "kd.toml", "--stage", "teacher", "--out", "kd"]);
    for (config, teacher) in [("kd.toml", "kmgre/teacher/model"), ("tiny.toml", "kd/teacher/model")]
    {
        let (out, setting) =
            (format!("from-{}", &teacher[..2]), format!("stages.student.teacher={teacher}"));
        let distill = ["distill", config, "--out", &out, "--set", &setting];
        let table = stdout(&sandbox.succeed(&distill));
        assert!(table.contains("\nstudent  ") && !table.contains("\nteacher "), "{table}");
        let log = std::fs::read_to_string(sandbox.path(&out).join("student/metrics.jsonl"));
        assert!(log.unwrap().contains("Distillation Loss"));
    }
    // The student alone needs no teacher from its own run either.
    std::fs::remove_dir_all(sandbox.path("from-km/student")).unwrap();
    let setting = "stages.student.teacher=kmgre/teacher/model";
    let train = ["train", "kd.toml", "--stage", "student", "--out", "from-km", "--resume"];
    sandbox.succeed(&[&train[..], &["--set", setting]].concat());
    // The labels of one teacher are not those of another.
    std::fs::rename(sandbox.path("kmgre"), sandbox.path("renamed")).unwrap();
    std::fs::rename(sandbox.path("kd"), sandbox.path("kmgre")).unwrap();
    let resume = ["distill", "kd.toml", "--out", "from-km", "--resume", "--set", setting];
    let message = sandbox.fail(1, &resume);
    assert!(message.contains("has changed since the run began"), "{message}");
}

#[test]
fn a_teacher_with_another_tokenizer_or_other_pairs_is_an_error_before_training() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&TRAIN_TEACHER);
    for (setting, fault) in [
        ("data.synthetic.seed=4", "tokenizer differs"),
        ("data.self_relations=true", "`self_relations` is false, and that of the run is true"),
    ] {
        let teacher = "stages.student.teacher=run/teacher/model";
        let distill =
            ["distill", "tiny.toml", "--out", "other", "--set", setting, "--set", teacher];
        let message = sandbox.fail(1, &distill);
        for part in ["the teacher of `stages.student`", "run/teacher/model", fault] {
            assert!(message.contains(part), "{message}");
        }
        std::fs::remove_dir_all(sandbox.path("other")).unwrap();
    }
}

#[test]
fn a_student_without_its_teachers_logits_is_an_error_before_training() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&TRAIN_TEACHER);
    let student = ["train", "tiny.toml", "--stage", "student", "--out", "run", "--resume"];
    let message = sandbox.fail(1, &student);
    assert!(message.contains("label the documents"), "{message}");
    // Logits of other documents are no substitute.
    let label = [
        "label",
        "--model",
        "run/teacher/model",
        "--input",
        "run/data/dev.json",
        "--output",
        "run/labels",
    ];
    sandbox.succeed(&label);
    let message = sandbox.fail(1, &student);
    assert!(message.contains("no teacher logits for 16 documents"), "{message}");
    assert!(!sandbox.path("run/student/training_state.json").exists());
    // Finished labels of one corpus are not taken for those of another corpus.
    assert!(stderr(&sandbox.succeed(&label)).contains("labelled already"));
    let of_distant = label.map(|word| match word {
        "run/data/dev.json" => "run/data/distant.json",
        word => word,
    });
    let message = sandbox.fail(1, &of_distant);
    assert!(message.contains("labels-00000-of-00001.bin: no teacher logits for 16"), "{message}");
}

#[test]
fn a_pipeline_uses_labels_that_were_written_in_shards() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&TRAIN_TEACHER);
    let files = ["--input", "run/data/distant.json", "--output", "run/labels"];
    let label = [&["label", "--model", "run/teacher/model"][..], &files].concat();
    sandbox.succeed(&[&label[..], &["--shard", "1/2"]].concat());
    let resume = ["distill", "tiny.toml", "--out", "run", "--resume"];
    let message = sandbox.fail(1, &resume);
    assert!(message.contains("label the documents of part 2 of 2"), "{message}");
    sandbox.succeed(&[&label[..], &["--shard", "2/2"]].concat());
    assert!(stderr(&sandbox.succeed(&resume)).contains("label: already finished"));
}

#[test]
fn a_pipeline_labels_only_the_documents_of_missing_shards() {
    let sandbox = Sandbox::new();
    let many = ["--set", "data.synthetic.n_distant=1001"];
    sandbox.succeed(&[&TRAIN_TEACHER[..], &many].concat());
    let files = ["--input", "run/data/distant.json", "--output", "run/labels", "--shard", "1/2"];
    sandbox.succeed(&[&["label", "--model", "run/teacher/model"][..], &files].concat());
    let shards = ["00000", "00001"].map(|index| format!("run/labels/labels-{index}-of-00002.bin"));
    let first = || std::fs::metadata(sandbox.path(&shards[0])).unwrap().modified().unwrap();
    let written = first();
    assert!(!sandbox.path(&shards[1]).exists());
    let resume = ["distill", "tiny.toml", "--out", "run", "--resume", "--log-format", "json"];
    let mut child = sandbox.docre(&[&resume[..], &many].concat()).spawn().unwrap();
    // The student follows the labels.
    let rest = wait_for_line(&mut child, |line| line.contains(r#""event":"step""#));
    kill(&child, Signal::KILL);
    child.wait().unwrap();
    rest.join().unwrap();
    assert!(sandbox.path(&shards[1]).exists());
    assert_eq!(first(), written);
}

/// A run of the teacher that was interrupted after its first epoch.
fn interrupted_teacher(sandbox: &Sandbox, settings: &[&str]) {
    interrupt(sandbox, &[&TRAIN_TEACHER[..], settings].concat(), "epoch");
}

#[test]
fn a_damaged_checkpoint_is_an_error_that_names_the_file() {
    let sandbox = Sandbox::new();
    interrupted_teacher(&sandbox, &["--set", "stages.teacher.epochs=50"]);
    for part in ["scheduler", "optim", "model"] {
        for entry in std::fs::read_dir(sandbox.path("run/teacher/checkpoint")).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_string_lossy().starts_with(part) {
                let bytes = std::fs::read(&path).unwrap();
                std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
            }
        }
        let rest = ["--resume", "--set", "stages.teacher.epochs=50"];
        let arguments = [&TRAIN_TEACHER[..], &rest].concat();
        let message = sandbox.fail(1, &arguments);
        assert!(message.contains(&format!("checkpoint/{part}-")), "{message}");
        assert!(message.contains("remove its directory to begin it again"), "{message}");
    }
}

#[test]
fn the_manifest_records_the_devices_and_the_precision_of_every_start() {
    let sandbox = Sandbox::new();
    let epochs = ["--set", "stages.teacher.epochs=50"];
    let compute = ["--set", "compute.devices=[0, 0]", "--set", "compute.precision=auto"];
    let settings = [&epochs[..], &compute].concat();
    interrupted_teacher(&sandbox, &settings);
    let resume = [&TRAIN_TEACHER[..], &["--resume"], &settings].concat();
    let message = sandbox.fail(1, &[&resume[..], &["--device", "0"]].concat());
    assert!(message.contains("the run began on 2 devices"), "{message}");
    let mut child = sandbox.docre(&resume).spawn().unwrap();
    let rest = wait_for_line(&mut child, |line| line.contains("epoch"));
    kill(&child, Signal::INT);
    child.wait().unwrap();
    rest.join().unwrap();
    let manifest = sandbox.json("run/manifest.json");
    let starts = manifest["starts"].as_array().unwrap();
    assert_eq!(starts.len(), 2);
    for start in starts {
        assert_eq!(start["devices"], serde_json::json!([0, 0]));
        assert_eq!(start["device_names"].as_array().unwrap().len(), 2);
        assert!(start["precision"] == "f32" || start["precision"] == "bf16", "{start}");
        assert_eq!(start["precision"], starts[0]["precision"]);
    }
}

#[test]
fn naive_adaptation_needs_no_logits() {
    let sandbox = Sandbox::new();
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
    sandbox.succeed(&arguments);
    assert!(sandbox.path("run/student/model/model.safetensors").exists());
}

#[test]
fn a_relation_outside_the_vocabulary_stops_the_run_before_training() {
    let sandbox = Sandbox::new();
    sandbox.write("rel2id.json", r#"{"Na": 0, "P17": 1}"#);
    let document = r#"[{"title": "Only", "sents": [["A", "B"]], "vertexSet": [
        [{"name": "A", "sent_id": 0, "pos": [0, 1], "type": "X"}],
        [{"name": "B", "sent_id": 0, "pos": [1, 2], "type": "X"}]],
        "labels": [{"h": 0, "t": 1, "r": "P99", "evidence": []}]}]"#;
    sandbox.write("documents.json", document);
    let config = common::TINY
        .split("[data.synthetic]")
        .next()
        .map(|before| {
            let files = "[data]\ntrain = \"documents.json\"\ndev = \"documents.json\"\n\
                         relations = \"rel2id.json\"\n";
            let rest = common::TINY.split("spurious = 0.2").nth(1).unwrap();
            format!("{before}{files}{rest}")
        })
        .unwrap();
    sandbox.write("files.toml", config);
    let train = ["train", "files.toml", "--stage", "teacher", "--out", "run"];
    let message = sandbox.fail(1, &train);
    for part in ["documents.json", "document 0", "Only", "P99"] {
        assert!(message.contains(part), "{message}");
    }
    // The failed run left no files, so a run with the corrected file starts in the same directory.
    sandbox.write("documents.json", document.replace("P99", "P17"));
    sandbox.succeed(&train);
}

/// Writes `self.toml`, whose documents have relations of an entity with itself, and a document of
/// one entity.
fn write_config_with_self_relations(sandbox: &Sandbox) {
    sandbox.write("rel2id.json", r#"{"Na": 0, "P17": 1}"#);
    let mention = |name: &str, word: usize| serde_json::json!([{ "name": name, "sent_id": 0, "pos": [word, word + 1], "type": "X" }]);
    let label = |entity: usize| serde_json::json!([{ "h": entity, "t": entity, "r": "P17" }]);
    let documents = serde_json::json!([
        { "title": "Two", "sents": [["A", "and", "B"]],
          "vertexSet": [mention("A", 0), mention("B", 2)], "labels": label(1) },
        { "title": "One", "sents": [["B"]], "vertexSet": [mention("B", 0)], "labels": label(0) },
    ]);
    sandbox.write("documents.json", documents.to_string());
    let rest = &TINY[TINY.find("[encoder").unwrap()..];
    let data = "seed = 7\n[data]\ntrain = \"documents.json\"\ndev = \"documents.json\"\n\
        distant = \"documents.json\"\nrelations = \"rel2id.json\"\nself_relations = true\n";
    sandbox.write("self.toml", format!("{data}{rest}"));
}

#[test]
fn self_relations_are_learned_labelled_and_predicted() {
    let sandbox = Sandbox::new();
    write_config_with_self_relations(&sandbox);
    let mut distill = vec!["distill", "self.toml", "--out", "run"];
    for setting in [
        "encoder.scratch.dropout=0.0",
        "stages.teacher.epochs=150",
        "stages.teacher.encoder_lr=1e-2",
        "stages.teacher.relation_lr=1e-2",
    ] {
        distill.extend(["--set", setting]);
    }
    let messages = stderr(&sandbox.succeed(&distill));
    assert!(!messages.contains("are skipped"), "{messages}");
    assert_eq!(sandbox.json("run/teacher/model/config.json")["self_relations"], true);
    // Every gold fact is a self relation.
    let f1 = sandbox.json("run/results.json")["teacher"]["f1"].clone();
    assert!(f1.as_f64().unwrap() > 0.0);

    let predict = ["predict", "--model", "run/teacher/model", "--input", "documents.json"];
    sandbox.succeed(&[&predict[..], &["--output", "facts.json"]].concat());
    let facts = sandbox.json("facts.json");
    assert!(facts.as_array().unwrap().iter().any(|fact| fact["h_idx"] == fact["t_idx"]), "{facts}");
    sandbox.succeed(&[&predict[..], &["--output", "all.jsonl", "--all-scores"]].concat());
    let lines = std::fs::read_to_string(sandbox.path("all.jsonl")).unwrap();
    let of_line = |line| serde_json::from_str::<serde_json::Value>(line).unwrap()["pairs"].clone();
    let n_pairs: Vec<_> =
        lines.lines().map(|line| of_line(line).as_array().unwrap().len()).collect();
    assert_eq!(n_pairs, [4, 1]);
    let evaluate = ["evaluate", "--predictions", "facts.json", "--gold", "documents.json"];
    let files = ["--train", "documents.json", "--relations", "rel2id.json", "--json"];
    let evaluate = [&evaluate[..], &files].concat();
    let scores = stdout(&sandbox.succeed(&[&evaluate[..], &["--self-relations"]].concat()));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&scores).unwrap()["f1"], f1);

    // Without the key, the same documents are an error that names it.
    let without = ["--set", "data.self_relations=false"];
    let train = ["train", "self.toml", "--stage", "teacher", "--out", "other"];
    let message = sandbox.fail(1, &[&train[..], &without].concat());
    for part in ["documents.json: document 0 (\"Two\")", "itself", "`self_relations`"] {
        assert!(message.contains(part), "{message}");
    }
    let resume = [&distill[..], &["--resume"], &without].concat();
    let message = sandbox.fail(1, &resume);
    assert!(message.contains("`data.self_relations`"), "{message}");
}

#[test]
fn patience_ends_a_stage_early() {
    let sandbox = Sandbox::new();
    let mut arguments = TRAIN_TEACHER.to_vec();
    for setting in [
        "stages.teacher.epochs=30",
        "stages.teacher.patience=1",
        "stages.teacher.encoder_lr=0.0",
        "stages.teacher.relation_lr=0.0",
    ] {
        arguments.extend(["--set", setting]);
    }
    sandbox.succeed(&arguments);
    let state = sandbox.json("run/teacher/training_state.json");
    assert_eq!(state["history"].as_array().unwrap().len(), 2);
}

#[test]
fn two_devices_give_the_weights_of_one_device_that_accumulates() {
    // Both workers use the only CPU device. The test shows that their gradients are summed.
    for sandbox in [Sandbox::new(), with_kmgre()] {
        let teacher = |out: &str, settings: [&str; 2]| {
            let mut arguments = vec!["train", "tiny.toml", "--stage", "teacher", "--out", out];
            settings.into_iter().for_each(|setting| arguments.extend(["--set", setting]));
            sandbox.succeed(&arguments);
            weights(&sandbox.path(out), "teacher")
        };
        let one = teacher("one", ["stages.teacher.accumulation=2", "compute.devices=[0]"]);
        let two = teacher("two", ["stages.teacher.accumulation=1", "compute.devices=[0, 0]"]);
        assert!(one == two, "the weights differ");
    }
}

#[test]
fn predictions_do_not_depend_on_the_number_of_threads() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&TRAIN_TEACHER);
    let predict = |threads: &str| {
        let files = ["--input", "run/data/dev.json", "--output", "predicted.jsonl"];
        let arguments = [&["predict", "--model", "run/teacher/model"][..], &files].concat();
        let mut command = sandbox.docre(&arguments);
        let status = command.env("RAYON_NUM_THREADS", threads).status().unwrap();
        assert!(status.success());
        std::fs::read(sandbox.path("predicted.jsonl")).unwrap()
    };
    let one = predict("1");
    assert!(
        String::from_utf8_lossy(&one).contains("\"logit\""),
        "no predicted fact, so no logits to compare"
    );
    assert!(one == predict("2") && one == predict("5"), "the predictions differ");
}

#[test]
fn an_interrupted_benchmark_ends_its_benchmark_process() {
    let sandbox = Sandbox::new();
    let endless = ["bench", "--modes", "preprocess", "--documents", "2", "--samples", "100000000"];
    let mut child = sandbox.docre(&endless).spawn().unwrap();
    let rest = wait_for_line(&mut child, |line| line.contains("warmed up"));
    kill(&child, Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    // Standard error closes only after every process that holds it has ended.
    let rest = rest.join().unwrap();
    assert!(rest.contains("stopped on request"), "{rest}");
}

/// Writes `same.toml`, whose dev documents are the annotated training documents. The distant
/// documents are the same without labels.
fn write_config_with_train_as_dev(sandbox: &Sandbox) {
    let run = ["train", "tiny.toml", "--stage", "teacher", "--out", "corpus"];
    sandbox.succeed(&run);
    let relations = sandbox.json("corpus/teacher/model/relations.json");
    let relations = relations.as_array().unwrap().iter().enumerate();
    let rel2id: serde_json::Map<_, _> =
        relations.map(|(class, r)| (r["id"].as_str().unwrap().to_owned(), class.into())).collect();
    sandbox.write("rel2id.json", serde_json::to_string(&rel2id).unwrap());
    let mut documents = sandbox.json("corpus/data/train.json");
    for document in documents.as_array_mut().unwrap() {
        document["labels"] = serde_json::json!([]);
    }
    sandbox.write("unlabelled.json", documents.to_string());
    let rest = &TINY[TINY.find("[encoder").unwrap()..];
    let data = "seed = 7\n[data]\ntrain = \"corpus/data/train.json\"\ndev = \"corpus/data/train.json\"\n\
        distant = \"unlabelled.json\"\nrelations = \"rel2id.json\"\n";
    sandbox.write("same.toml", format!("{data}{rest}"));
}

#[test]
fn ign_f1_of_every_stage_ignores_the_annotated_facts() {
    let sandbox = Sandbox::new();
    write_config_with_train_as_dev(&sandbox);
    let mut arguments = vec!["distill", "same.toml", "--out", "run"];
    for setting in [
        "stages.teacher.epochs=40",
        "stages.student.epochs=40",
        "stages.student.batch_size=2",
        "stages.student.distillation={ kind = \"mse\", relation_weight = 0.0 }",
    ] {
        arguments.extend(["--set", setting]);
    }
    sandbox.succeed(&arguments);
    let results = sandbox.json("run/results.json");
    for stage in STAGES {
        // Every gold fact is an annotated training fact; the distant documents have no facts.
        assert!(results[stage]["f1"].as_f64().unwrap() > 0.0, "{stage}: {results}");
        assert_eq!(results[stage]["ign_f1"], 0.0, "{stage}");
    }
}
