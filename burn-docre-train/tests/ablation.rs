//! `docre ablate` on a small corpus: tables, shared teachers, interruptions, refusals.

#![cfg(unix)]

#[allow(dead_code, reason = "the other tests use the rest")]
mod common;
#[path = "common/corpus.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod corpus;
#[path = "common/process.rs"]
mod process;

use std::path::Path;

use burn_docre_train::ablation::results::{AblationTable, Ablations};
use common::{Sandbox, TINY, stderr, stdout};
use corpus::{RELATIONS, documents};
use process::{Signal, kill, wait_for_line};

/// The overrides that make the runs short.
const SHORT: [&str; 4] =
    ["--set", "stages.teacher.epochs=2", "--set", "data.synthetic.n_distant=8"];

/// The arguments for two seeds of the pair mixers and of the distillation.
fn ablate(out: &'static str) -> Vec<&'static str> {
    let groups = ["ablate", "tiny.toml", "--only", "mixer", "--only", "distillation"];
    [&groups[..], &["--seeds", "2", "--out", out], &SHORT].concat()
}

fn read(directory: &Path, file: &str) -> String {
    std::fs::read_to_string(directory.join(file)).unwrap()
}

fn results(sandbox: &Sandbox, out: &str) -> Ablations {
    serde_json::from_value(sandbox.json(&format!("{out}/ablations.json"))).unwrap()
}

/// The names of the rows with their numbers of seeds.
fn rows(table: &AblationTable) -> Vec<(&str, usize)> {
    table.rows.iter().map(|row| (row.run.as_str(), row.seeds.len())).collect()
}

#[test]
fn an_ablation_that_is_killed_again_and_again_ends_with_the_same_bytes() {
    let sandbox = Sandbox::new();
    let table = stdout(&sandbox.succeed(&ablate("whole")));
    let arguments = [&ablate("killed")[..], &["--log-format", "json"]].concat();
    for moment in [
        // The first epoch of the first run; a run between two others; its student; the second seed.
        r#""epoch":1,"epochs":2,"event":"epoch""#,
        r#""name":"7/mixer-none""#,
        r#""finished":false,"name":"7/distillation-kl""#,
        r#""finished":false,"name":"8/base""#,
    ] {
        let mut child = sandbox.docre(&arguments).spawn().unwrap();
        let rest = wait_for_line(&mut child, |line| line.contains(moment));
        kill(&child, Signal::KILL);
        assert_eq!(child.wait().unwrap().code(), None);
        rest.join().unwrap();
    }
    let last = sandbox.succeed(&arguments);
    assert_eq!(stdout(&last), table);
    assert!(stderr(&last).contains(r#""finished":true,"name":"7/base""#), "{}", stderr(&last));
    let (whole, killed) = (sandbox.path("whole"), sandbox.path("killed"));
    let runs = ["base", "mixer-two-hop", "mixer-none", "distillation-none", "distillation-kl"];
    let seeds = ["7", "8"];
    let run_files = seeds
        .iter()
        .flat_map(|seed| runs.iter().map(move |run| format!("{seed}/{run}/results.json")));
    for file in ["ablations.json".into(), "ablations.md".into()].into_iter().chain(run_files) {
        assert_eq!(read(&whole, &file), read(&killed, &file), "{file}");
    }
    assert_eq!(read(&whole, "ablations.md"), table);

    // The rows of all tables, and the teachers that they share.
    let results = results(&sandbox, "whole");
    assert_eq!(results.seeds, [7, 8]);
    let mixers = [("base", 2), ("mixer-two-hop", 2), ("mixer-none", 2)];
    let distillations = [("distillation-none", 2), ("distillation-kl", 2), ("base", 2)];
    let found: Vec<_> = results.tables.iter().map(rows).collect();
    assert_eq!(found, [&mixers[..], &mixers, &distillations, &distillations]);
    for seed in seeds {
        let run = |name: &str| whole.join(seed).join(name);
        assert!(run("base").join("labels").exists());
        for path in ["distillation-kl/teacher", "distillation-kl/labels", "mixer-none/student"] {
            assert!(!run(path).exists(), "{seed}/{path}");
        }
        let corpus = read(&run("base"), "config.toml");
        assert!(corpus.contains(if seed == "7" { "seed = 3" } else { "seed = 4" }), "{corpus}");
    }
    // The scores are those of the runs.
    let student = &results.tables[2];
    for (row, run) in [(1, "distillation-kl"), (2, "base")] {
        for scores in &student.rows[row].seeds {
            let of_run = sandbox.json(&format!("whole/{}/{run}/results.json", scores.seed));
            for key in ["f1", "ign_f1"] {
                assert_eq!(scores.scores[key], of_run["student"][key].as_f64().unwrap());
            }
        }
    }
    // A student that learns from the base's teacher is the one that learns from a teacher of its
    // own.
    let kl = r#"stages.student.distillation={ kind = "kl", temperature = 1.0 }"#;
    sandbox.succeed(&[&["distill", "tiny.toml", "--out", "kl", "--set", kl][..], &SHORT].concat());
    for stage in ["student", "finetune"] {
        let weights =
            |run: &Path| std::fs::read(run.join(stage).join("model/model.safetensors")).unwrap();
        let (shared, own) = (whole.join("7/distillation-kl"), sandbox.path("kl"));
        assert!(weights(&shared) == weights(&own), "{stage} differs");
    }
}

#[test]
fn an_interrupted_ablation_says_that_the_same_command_continues() {
    let sandbox = Sandbox::new();
    let arguments = ["ablate", "tiny.toml", "--only", "loss", "--seeds", "1", "--out", "out"];
    let arguments = [&arguments[..], &SHORT].concat();
    let mut child =
        sandbox.docre(&[&arguments[..], &["--log-format", "json"]].concat()).spawn().unwrap();
    let rest = wait_for_line(&mut child, |line| line.contains(r#""event":"epoch""#));
    kill(&child, Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let rest = rest.join().unwrap();
    for part in ["run 1 of 3, 7/base", "stopped on request", "the same command continues"] {
        assert!(rest.contains(part), "{rest}");
    }
    let listed = stdout(&sandbox.succeed(&[&arguments[..], &["--dry-run"]].concat()));
    assert!(listed.contains("7/base") && listed.contains("begun"), "{listed}");
    sandbox.succeed(&arguments);
    let listed = stdout(&sandbox.succeed(&[&arguments[..], &["--dry-run"]].concat()));
    assert_eq!(listed.matches("finished").count(), 3, "{listed}");
    let again = sandbox.succeed(&arguments);
    assert_eq!(stderr(&again).matches("already finished").count(), 3, "{}", stderr(&again));
}

#[test]
fn a_failed_run_does_not_stop_the_others_and_the_tables_keep_other_groups_and_seeds() {
    let sandbox = Sandbox::new();
    let ablate = |groups: &[&'static str], seeds| {
        let groups = groups.iter().flat_map(|group| ["--only", group]);
        let arguments = ["ablate", "tiny.toml", "--out", "out", "--seeds", seeds];
        [&arguments[..], &groups.collect::<Vec<_>>(), &SHORT].concat()
    };
    sandbox.succeed(&ablate(&["mixer"], "2"));
    let table = read(&sandbox.path("out"), "ablations.md");
    // A model that cannot be read, and after it a run that is missing.
    let run = |name: &str| sandbox.path("out/7").join(name).join("teacher");
    std::fs::remove_file(run("mixer-two-hop").join("dev_report.json")).unwrap();
    sandbox.write("out/7/mixer-two-hop/teacher/model/model.safetensors", "damaged");
    std::fs::remove_dir_all(sandbox.path("out/7/mixer-none")).unwrap();
    let message = sandbox.fail(1, &ablate(&["mixer"], "2"));
    for part in ["1 of 6 runs failed", "out/ablations.md", "7/mixer-two-hop"] {
        assert!(message.contains(part), "{message}");
    }
    let expected = [("base", 2), ("mixer-two-hop", 1), ("mixer-none", 2)];
    assert_eq!(rows(&results(&sandbox, "out").tables[0]), expected);
    // The run is trained again, and the table is the first one.
    std::fs::remove_dir_all(sandbox.path("out/7/mixer-two-hop")).unwrap();
    assert_eq!(stdout(&sandbox.succeed(&ablate(&["mixer"], "2"))), table);

    let two_groups = stdout(&sandbox.succeed(&ablate(&["loss"], "1")));
    let found = results(&sandbox, "out");
    assert_eq!((&found.seeds[..], found.tables.len()), (&[7, 8][..], 3));
    assert_eq!(rows(&found.tables[0]), [("base", 2), ("mixer-two-hop", 2), ("mixer-none", 2)]);
    assert_eq!(rows(&found.tables[2])[0], ("loss-afl-paper", 1), "{two_groups}");
}

#[test]
fn an_ablation_that_was_killed_before_its_first_run_began_goes_on() {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.path("out/7/base")).unwrap();
    for lock in ["out/.lock", "out/7/base/.lock"] {
        sandbox.write(lock, "");
    }
    let arguments = ["ablate", "tiny.toml", "--only", "loss", "--seeds", "1", "--out", "out"];
    sandbox.succeed(&[&arguments[..], &SHORT].concat());
}

#[test]
fn an_ablation_that_was_killed_while_its_first_run_was_opened_goes_on() {
    let sandbox = Sandbox::new();
    let arguments = ["ablate", "tiny.toml", "--only", "loss", "--seeds", "1", "--out", "out"];
    let arguments = [&arguments[..], &SHORT].concat();
    let mut child = sandbox.docre(&arguments).spawn().unwrap();
    while !sandbox.path("out/7/base/config.toml").exists() {
        assert!(child.try_wait().unwrap().is_none(), "the ablation has ended");
    }
    kill(&child, Signal::KILL);
    child.wait().unwrap();
    sandbox.succeed(&arguments);
}

#[test]
fn an_ablation_whose_first_run_cannot_be_opened_can_begin_with_another_configuration() {
    let sandbox = Sandbox::new();
    let arguments = ["ablate", "tiny.toml", "--only", "loss", "--seeds", "1", "--out", "out"];
    let elsewhere = r#"data={ train = "no.json", dev = "no.json", relations = "no.json" }"#;
    let message = sandbox.fail(1, &[&arguments[..], &["--set", elsewhere]].concat());
    assert!(message.contains("no.json"), "{message}");
    assert!(!sandbox.path("out/ablation.toml").exists());
    sandbox.succeed(&[&arguments[..], &SHORT].concat());
}

#[test]
fn an_ablation_of_kmgre_has_rows_with_and_without_a_key_classifier() {
    let sandbox = Sandbox::new();
    let output = sandbox.succeed(&["ablate", "kmgre.toml", "--seeds", "1", "--out", "out"]);
    assert!(stderr(&output).contains("left out: distillation: "), "{}", stderr(&output));
    let results = results(&sandbox, "out");
    let [table] = &results.tables[..] else { panic!("{results:?}") };
    let expected = [("base", 1), ("key-classifier-shared-encoder", 1), ("key-classifier-none", 1)];
    assert_eq!(rows(table), expected);
    assert_eq!(table.rows[2].paper.as_ref().unwrap()["f1"], 0.7038);
    assert!(table.rows[0].deviation.is_none());
    assert_eq!(results.omitted.len(), 5);
    // Without a classifier, no step has a phase of EM.
    let config = read(&sandbox.path("out/7/key-classifier-none"), "config.toml");
    assert!(!config.contains("[em]"), "{config}");
}

#[test]
fn a_dry_run_writes_nothing() {
    let sandbox = Sandbox::new();
    let listed = stdout(&sandbox.succeed(&[&ablate("out")[..], &["--dry-run"]].concat()));
    for line in ["7/base", "8/mixer-none", "8/distillation-kl"] {
        assert!(listed.lines().any(|found| found.starts_with(line)), "{listed}");
    }
    assert!(listed.contains("stages.student.distillation"), "{listed}");
    assert!(!sandbox.path("out").exists());
}

#[test]
fn another_configuration_or_a_foreign_directory_is_an_error() {
    let sandbox = Sandbox::new();
    let ablate = ["ablate", "kmgre.toml", "--seeds", "1", "--out", "out"];
    let fast = ["--set", "stages.teacher.epochs=3"];
    sandbox.succeed(&[&ablate[..], &fast].concat());
    for more in [&["--dry-run"][..], &[]] {
        let changed = [&ablate[..], &["--set", "stages.teacher.epochs=4"], more].concat();
        let message = sandbox.fail(1, &changed);
        assert!(message.contains("`stages.teacher.epochs` was 3 and is now 4"), "{message}");
    }
    std::fs::create_dir(sandbox.path("notes")).unwrap();
    sandbox.write("notes/mine.txt", "text");
    let message = sandbox.fail(1, &["ablate", "tiny.toml", "--out", "notes"]);
    assert!(message.contains("not the directory of an ablation"), "{message}");
    let message = sandbox.fail(1, &["ablate", "tiny.toml", "--only", "key-classifier"]);
    assert!(message.contains("no ablation fits the configuration: key-classifier"), "{message}");
    sandbox.fail(2, &["ablate", "tiny.toml", "--seeds", "0"]);
    sandbox.fail(2, &["ablate", "tiny.toml", "--only", "mixers"]);
}

#[test]
fn documents_that_have_changed_since_a_run_finished_are_an_error() {
    let sandbox = Sandbox::new();
    let rest = &TINY[TINY.find("[encoder").unwrap()..];
    let data = "seed = 7\n[data]\ntrain = \"train.json\"\ndev = \"dev.json\"\n\
        distant = \"train.json\"\nrelations = \"rel2id.json\"\n";
    sandbox.write("files.toml", format!("{data}{rest}"));
    sandbox.write("rel2id.json", RELATIONS);
    sandbox.write("train.json", documents(3));
    sandbox.write("dev.json", documents(2));
    let ablate = ["ablate", "files.toml", "--only", "mixer", "--out", "out", "--seeds"];
    sandbox.succeed(&[&ablate[..], &["1"]].concat());
    sandbox.write("dev.json", documents(4));
    let message = sandbox.fail(1, &[&ablate[..], &["2"]].concat());
    for part in ["run 1 of 6, 7/base", "dev.json has changed since the run began"] {
        assert!(message.contains(part), "{message}");
    }
}
