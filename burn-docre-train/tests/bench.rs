//! `docre bench`: all modes, merged records, and peers that follow the protocol or fail.

#![cfg(unix)]

mod common;

use common::{Sandbox, TRAIN_TEACHER, stderr, stdout};

/// A peer that follows the protocol and copies `record.json` to its output.
const VALID_PEER: &str = r#"
echo "$*" > arguments
while [ $# -gt 0 ]; do
    case $1 in --samples) samples=$2 ;; --output) output=$2 ;; esac
    shift
done
echo documents 2
echo warm 0.5 2
while [ "$samples" -gt 0 ]; do
    read -r _
    echo documents 2
    echo sample
    samples=$((samples - 1))
done
cp record.json "$output"
"#;

fn records(sandbox: &Sandbox, directory: &str) -> Vec<serde_json::Value> {
    serde_json::from_value(sandbox.json(&format!("{directory}/bench.json"))).unwrap()
}

/// The arguments that measure the teacher in the directory `run` on its dev documents.
const BENCH_OF_TEACHER: [&str; 9] = [
    "bench",
    "--model",
    "run/teacher/model",
    "--input",
    "run/data/dev.json",
    "--documents",
    "2",
    "--samples",
    "2",
];

/// Trains a model and returns the arguments that measure it on its dev documents.
fn bench_of_a_model(sandbox: &Sandbox) -> [&'static str; 9] {
    sandbox.succeed(&TRAIN_TEACHER);
    BENCH_OF_TEACHER
}

#[test]
fn the_benchmark_writes_records_and_charts_and_merges_records() {
    let sandbox = Sandbox::new();
    let small = ["--documents", "2", "--samples", "2", "--modes", "preprocess"];
    sandbox.succeed(&[&["bench", "--output", "a"][..], &small].concat());
    for name in ["bench.json", "bench.svg", "bench.png"] {
        assert!(sandbox.path("a").join(name).exists(), "{name}");
    }
    let onto_itself = ["bench", "--merge", "a/bench.json", "--output", "a"];
    let message = sandbox.fail(1, &onto_itself);
    assert!(message.contains("is an input of this command"), "{message}");
    let merge = ["bench", "--merge", "a/bench.json", "a/bench.json", "--output", "both"];
    let table = stdout(&sandbox.succeed(&merge));
    assert!(table.contains("preprocess") && table.contains("docs/s"), "{table}");
    assert_eq!(2 * records(&sandbox, "a").len(), records(&sandbox, "both").len());
    assert!(table.contains("#1") && table.contains("#2"), "{table}");
    assert!(sandbox.fail(1, &["bench", "--merge", "tiny.toml"]).contains("tiny.toml"));
}

#[test]
fn every_system_is_measured_and_a_merged_table_tells_their_work_apart() {
    let sandbox = Sandbox::new();
    let small = ["--documents", "1", "--samples", "1", "--modes", "inference"];
    let systems = ["kd-docre", "atlop", "kmgre"];
    for system in systems {
        let bench = ["bench", "--system", system, "--output", system];
        let table = stdout(&sandbox.succeed(&[&bench[..], &small].concat()));
        assert!(table.contains(&format!("\n{system} on 1 documents in batches of ")), "{table}");
        assert!(records(&sandbox, system).iter().all(|record| record["system"] == system));
    }
    sandbox.succeed(&[&["bench", "--output", "default"][..], &small].concat());
    let flops = |directory: &str| records(&sandbox, directory)[0]["flops"].as_u64().unwrap();
    assert_eq!(flops("default"), flops("kd-docre"));
    assert!(flops("atlop") < flops("kd-docre") && flops("kmgre") != flops("kd-docre"));

    let files = systems.map(|system| format!("{system}/bench.json"));
    let merge = [&["bench", "--merge"][..], &files.each_ref().map(String::as_str)].concat();
    let table = stdout(&sandbox.succeed(&merge));
    let work = table.lines().find(|line| line.starts_with("not the same work: "));
    let work = work.expect("the works differ");
    for system in systems {
        let backend = records(&sandbox, system)[0]["feature"].as_str().unwrap().to_string();
        assert!(table.contains(&format!("\n{backend}, {system}  ")), "{table}");
        assert!(work.contains(&format!("{backend}, {system}")), "{work}");
        assert!(work.contains(&format!("{system} on 1 documents")), "{work}");
    }
}

#[test]
fn a_kmgre_model_is_trained_by_em() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["train", "kmgre.toml", "--stage", "teacher", "--out", "run"]);
    let modes = ["--modes", "inference,training", "--output", "a"];
    sandbox.succeed(&[&BENCH_OF_TEACHER[..], &modes].concat());
    let of_a = records(&sandbox, "a");
    assert!(of_a.iter().all(|record| record["system"] == "kmgre"));
    let flops = |mode: &str| {
        of_a.iter().find(|record| record["name"] == mode).unwrap()["flops"].as_u64().unwrap()
    };
    // An E step and an M step cost one and three forward passes of each of the two parts.
    assert_eq!(flops("training"), 4 * flops("inference"));
}

#[test]
fn options_that_would_be_ignored_are_rejected() {
    let sandbox = Sandbox::new();
    for arguments in [
        ["--system", "kmgre", "--model", "a"],
        ["--merge", "a.json", "--system", "kmgre"],
        ["--merge", "a.json", "--samples", "2"],
        ["--merge", "a.json", "--backend", "flex"],
        ["--merge", "a.json", "--dump-inputs", "b.json"],
        ["--dump-inputs", "b.json", "--output", "c"],
        ["--record", "b.json", "--output", "c"],
    ] {
        let message = sandbox.fail(2, &[&["bench"][..], &arguments].concat());
        assert!(message.contains("cannot be used with"), "{message}");
    }
}

#[test]
fn an_impossible_benchmark_is_an_error_of_one_line() {
    let sandbox = Sandbox::new();
    for (arguments, reason) in [
        (["--device", "4711"], "device 4711 does not exist"),
        (["--precision", "f16"], "`--precision` f16 is for inference; gradients need the range"),
    ] {
        let message = sandbox.fail(1, &[&["bench"][..], &arguments].concat());
        assert!(message.contains(reason), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn every_mode_is_measured_and_a_peer_is_measured_in_turn() {
    let sandbox = Sandbox::new();
    let bench = bench_of_a_model(&sandbox);
    sandbox.succeed(&[&bench[..], &["--modes", "inference", "--output", "a"]].concat());
    let of_a = records(&sandbox, "a");
    sandbox.write("record.json", serde_json::to_vec(&of_a[..1]).unwrap());
    sandbox.write("peer.sh", VALID_PEER);

    let modes = ["--modes", "inference,training,label,preprocess", "--output", "b"];
    let output = sandbox.succeed(&[&bench[..], &modes, &["--peer", "sh", "peer.sh"]].concat());
    assert_eq!(records(&sandbox, "b").len(), 4 * of_a.len() + 2);
    // `docre bench` sets the number of threads, because peers have other defaults.
    let n_threads = std::thread::available_parallelism().unwrap();
    let arguments = std::fs::read_to_string(sandbox.path("arguments")).unwrap();
    assert!(arguments.contains(&format!("--threads {n_threads}")), "{arguments}");
    assert!(records(&sandbox, "b").iter().all(|record| record["threads"] == n_threads.get()));
    let table = stdout(&output);
    assert!(table.contains("inference, turn by turn, "), "{table}");
    assert!(stderr(&output).contains("inference on peer: warmed up in 0.5 s"));
}

#[test]
fn a_peer_that_fails_is_skipped_and_the_reason_is_reported() {
    let sandbox = Sandbox::new();
    let bench = bench_of_a_model(&sandbox);
    let with_peer = |script: &str| {
        sandbox.write("peer.sh", script);
        let rest = ["--modes", "inference", "--output", "a", "--peer", "sh", "peer.sh"];
        let output = sandbox.succeed(&[&bench[..], &rest].concat());
        assert!(records(&sandbox, "a").iter().all(|record| record["name"] == "inference"));
        stderr(&output)
    };
    let message = with_peer("exit 3");
    assert!(message.contains("skipped: inference on peer failed (exit status: 3)"), "{message}");
    let message = with_peer("echo hello\nexec sleep 1000");
    assert!(message.contains("skipped: inference on peer: \"hello\" is none of"), "{message}");
    let message = with_peer("echo warm 1 2\nread -r _\necho sample\nexec sleep 0");
    assert!(message.contains("skipped: inference on peer"), "{message}");
    let half = [&bench[..], &["--precision", "bf16", "--peer", "sh", "peer.sh"]].concat();
    assert!(sandbox.fail(1, &half).contains("a peer computes in f32"));
}
