//! `docre bench`: every mode, records that are merged, and a peer that behaves or does not.

#![cfg(unix)]

mod common;

use common::{Workshop, stderr, stdout};

/// A peer that takes its turns and hands in `record.json`.
const WELL_BEHAVED: &str = r#"
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

fn records(workshop: &Workshop, directory: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(workshop.path(directory).join("bench.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A trained model, documents, and the command that measures with them.
fn bench_of_a_model(workshop: &Workshop) -> [&'static str; 9] {
    workshop.succeed(&["train", "tiny.toml", "--stage", "teacher", "--out", "run"]);
    let model = ["bench", "--model", "run/teacher/model", "--input", "run/data/dev.json"];
    [model[0], model[1], model[2], model[3], model[4], "--documents", "2", "--samples", "2"]
}

#[test]
fn the_benchmark_writes_its_records_and_pictures_and_merges_them() {
    let workshop = Workshop::new();
    let small = ["--documents", "2", "--samples", "2", "--modes", "preprocess"];
    workshop.succeed(&[&["bench", "--output", "a"][..], &small].concat());
    for name in ["bench.json", "bench.svg", "bench.png"] {
        assert!(workshop.path("a").join(name).exists(), "{name}");
    }
    let merge = ["bench", "--merge", "a/bench.json", "a/bench.json", "--output", "both"];
    let table = stdout(&workshop.succeed(&merge));
    assert!(table.contains("preprocess") && table.contains("docs/s"), "{table}");
    assert_eq!(2 * records(&workshop, "a").len(), records(&workshop, "both").len());
    assert!(table.contains("#1") && table.contains("#2"), "{table}");
    assert!(workshop.fail(1, &["bench", "--merge", "tiny.toml"]).contains("tiny.toml"));
}

#[test]
fn options_that_would_be_ignored_are_refused() {
    let workshop = Workshop::new();
    for arguments in [
        ["--merge", "a.json", "--samples", "2"],
        ["--merge", "a.json", "--backend", "flex"],
        ["--merge", "a.json", "--dump-inputs", "b.json"],
        ["--dump-inputs", "b.json", "--output", "c"],
        ["--record", "b.json", "--output", "c"],
    ] {
        let message = workshop.fail(2, &[&["bench"][..], &arguments].concat());
        assert!(message.contains("cannot be used with"), "{message}");
    }
}

#[test]
fn a_benchmark_that_cannot_be_is_one_sentence() {
    let workshop = Workshop::new();
    for (arguments, reason) in [
        (["--device", "4711"], "device 4711 does not exist"),
        (["--precision", "f16"], "`--precision` f16 is for inference; gradients need the range"),
    ] {
        let message = workshop.fail(1, &[&["bench"][..], &arguments].concat());
        assert!(message.contains(reason), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn every_mode_is_measured_and_a_peer_takes_its_turns() {
    let workshop = Workshop::new();
    let bench = bench_of_a_model(&workshop);
    workshop.succeed(&[&bench[..], &["--modes", "inference", "--output", "a"]].concat());
    let of_a = records(&workshop, "a");
    workshop.write("record.json", serde_json::to_vec(&of_a[..1]).unwrap());
    workshop.write("peer.sh", WELL_BEHAVED);

    let modes = ["--modes", "inference,training,label,preprocess", "--output", "b"];
    let output = workshop.succeed(&[&bench[..], &modes, &["--peer", "sh", "peer.sh"]].concat());
    assert_eq!(records(&workshop, "b").len(), 4 * of_a.len() + 2);
    // Each would have a default of its own.
    let n_threads = std::thread::available_parallelism().unwrap();
    let arguments = std::fs::read_to_string(workshop.path("arguments")).unwrap();
    assert!(arguments.contains(&format!("--threads {n_threads}")), "{arguments}");
    assert!(records(&workshop, "b").iter().all(|record| record["threads"] == n_threads.get()));
    let table = stdout(&output);
    assert!(table.contains("inference, turn by turn, "), "{table}");
    assert!(stderr(&output).contains("inference on peer: warmed up in 0.5 s"));
}

#[test]
fn a_peer_that_fails_is_left_out_with_its_reason() {
    let workshop = Workshop::new();
    let bench = bench_of_a_model(&workshop);
    let with_peer = |script: &str| {
        workshop.write("peer.sh", script);
        let rest = ["--modes", "inference", "--output", "a", "--peer", "sh", "peer.sh"];
        let output = workshop.succeed(&[&bench[..], &rest].concat());
        assert!(records(&workshop, "a").iter().all(|record| record["name"] == "inference"));
        stderr(&output)
    };
    let message = with_peer("exit 3");
    assert!(message.contains("left out: inference on peer failed (exit status: 3)"), "{message}");
    let message = with_peer("echo hello\nexec sleep 1000");
    assert!(message.contains("left out: inference on peer: \"hello\" is none of"), "{message}");
    let message = with_peer("echo warm 1 2\nread -r _\necho sample\nexec sleep 0");
    assert!(message.contains("left out: inference on peer"), "{message}");
    let half = [&bench[..], &["--precision", "bf16", "--peer", "sh", "peer.sh"]].concat();
    assert!(workshop.fail(1, &half).contains("a peer computes in f32"));
}
