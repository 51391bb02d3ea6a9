//! Inputs and outputs of any origin: pipes, compressed files, standard input and output; files that
//! a command refuses.

#![cfg(unix)]

mod common;
#[allow(dead_code, reason = "the documents of the other tests are not needed here")]
#[path = "common/corpus.rs"]
mod corpus;

use std::{
    io::Write,
    process::{Output, Stdio},
};

use burn_docre::io::weights::{Weight, WeightFile, write_safetensors};
use common::{Sandbox, TINY, TRAIN_TEACHER, stderr, stdout};
use corpus::lay_encoder;
use safetensors::SafeTensors;

/// Documents of the synthetic corpus's relations: two entities each.
fn documents(titles: &[&str], labels: &str) -> String {
    let document = |title: &&str| {
        format!(
            r#"{{"title": "{title}", "sents": [["Anna", "lives", "in", "{title}", "."]],
            "vertexSet": [[{{"name": "Anna", "sent_id": 0, "pos": [0, 1], "type": null}}],
                          [{{"name": "Oslo", "sent_id": 0, "pos": [3, 4], "type": 7}}]]{labels}}}"#
        )
    };
    format!("[{}]", titles.iter().map(document).collect::<Vec<_>>().join(","))
}

const LABELS: &str = r#", "labels": [{"h": 0, "t": 1, "r": "P551", "evidence": [0]}]"#;

/// A test directory with a trained teacher in `run` and `documents.json`.
fn with_teacher() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.succeed(&TRAIN_TEACHER);
    sandbox.write("documents.json", documents(&["One", "Two"], ""));
    sandbox
}

/// The arguments that predict `input` with the teacher.
fn predict<'a>(input: &'a str, output: &'a str) -> [&'a str; 7] {
    ["predict", "--model", "run/teacher/model", "--input", input, "--output", output]
}

/// Runs `docre` with `input` as standard input.
fn fed(sandbox: &Sandbox, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = sandbox.docre(arguments).stdin(Stdio::piped()).spawn().unwrap();
    // A command that refuses its input does not read it.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// Writes `files.toml`, which trains on `train.json`, `dev.json` and `distant.json`.
fn write_config_with_files(sandbox: &Sandbox) {
    let (seed, rest) = TINY.split_once("[data.synthetic]").unwrap();
    let rest = &rest[rest.find("[encoder").unwrap()..];
    let data = "[data]\ntrain = \"train.json\"\ndev = \"dev.json\"\ndistant = \"distant.json\"\n\
                relations = \"rel2id.json\"\n";
    sandbox.write("files.toml", format!("{seed}{data}{rest}"));
    sandbox.write("rel2id.json", r#"{"Na": 0, "P551": 1}"#);
    sandbox.write("train.json", documents(&["A", "B"], LABELS));
    sandbox.write("dev.json", documents(&["C"], LABELS));
    sandbox.write("distant.json", documents(&["D", "E"], LABELS));
}

const TRAIN_FILES: [&str; 6] = ["train", "files.toml", "--stage", "teacher", "--out", "new/run"];

#[test]
fn an_output_that_names_an_input_is_refused_before_anything_is_read() {
    let sandbox = with_teacher();
    let text = std::fs::read(sandbox.path("documents.json")).unwrap();
    std::os::unix::fs::symlink("documents.json", sandbox.path("link.json")).unwrap();
    std::fs::hard_link(sandbox.path("documents.json"), sandbox.path("hard.json")).unwrap();
    for (input, output) in [
        ("documents.json", "documents.json"),
        ("documents.json", "./run/../documents.json"),
        ("documents.json", "link.json"),
        ("link.json", "documents.json"),
        ("documents.json", "hard.json"),
        ("documents.json", "run/teacher/model/config.json"),
        ("documents.json", "run/teacher/model/model.safetensors"),
    ] {
        let message = sandbox.fail(1, &predict(input, output));
        assert!(message.contains("is an input of this command"), "{output}: {message}");
    }
    // The paths are compared before the model is opened, which does not exist here.
    let missing =
        ["predict", "--model", "none", "--input", "link.json", "--output", "documents.json"];
    assert!(sandbox.fail(1, &missing).contains("is an input of this command"));
    let dump = ["bench", "--model", "run/teacher/model", "--input", "documents.json"];
    let dump = [&dump[..], &["--dump-inputs", "link.json"]].concat();
    assert!(sandbox.fail(1, &dump).contains("is an input of this command"));
    assert!(std::fs::read(sandbox.path("documents.json")).unwrap() == text);
    sandbox.succeed(&predict("documents.json", "other.json"));
}

#[test]
fn an_output_in_a_missing_directory_is_refused_before_anything_is_read() {
    let sandbox = Sandbox::new();
    let input = ["--model", "none", "--input", "none.json"];
    for (command, output) in [
        ("predict", ["--output", "missing/facts.json"]),
        ("bench", ["--dump-inputs", "missing/inputs.json"]),
    ] {
        let message = sandbox.fail(1, &[&[command][..], &input, &output].concat());
        assert!(message.contains("the directory of the output does not exist"), "{message}");
    }
    let convert = ["convert", "--from", "dwie", "--input", "none", "--output", "missing/a.json"];
    let message = sandbox.fail(1, &convert);
    assert!(message.contains("the directory of the output does not exist"), "{message}");
}

#[test]
fn train_and_dev_documents_without_labels_are_refused_and_leave_no_directory() {
    let misspelt = LABELS.replace("labels", "relations");
    let empty = r#", "labels": []"#;
    for file in ["train.json", "dev.json", "distant.json"] {
        for labels in ["", empty, &misspelt] {
            let sandbox = Sandbox::new();
            write_config_with_files(&sandbox);
            sandbox.write(file, documents(&["X", "Y"], labels));
            for command in ["teacher", "plan"] {
                let message = match command {
                    "teacher" if file == "distant.json" => continue,
                    "teacher" => sandbox.fail(1, &TRAIN_FILES),
                    _ => sandbox.fail(1, &["distill", "files.toml", "--out", "new/run"]),
                };
                let expected = format!("{file}: no document has a label");
                assert!(message.contains(&expected), "{labels}: {message}");
                assert!(!sandbox.path("new").exists());
            }
        }
    }
}

#[test]
fn a_document_in_both_train_and_dev_is_noted() {
    let sandbox = Sandbox::new();
    write_config_with_files(&sandbox);
    let note = "`data.train` and `data.dev` share";
    assert!(!stderr(&sandbox.succeed(&TRAIN_FILES)).contains(note));
    let both = documents(&["C", "B"], LABELS).replace(r#""title": "B""#, r#""title": "renamed""#);
    sandbox.write("dev.json", both);
    let arguments = ["train", "files.toml", "--stage", "teacher", "--out", "other"];
    let message = stderr(&sandbox.succeed(&arguments));
    assert!(
        message.contains(&format!("{note} 1 documents, the first is \"renamed\"")),
        "{message}"
    );
}

#[test]
fn a_distant_corpus_without_a_pair_is_refused_before_the_teacher_trains() {
    let sandbox = Sandbox::new();
    write_config_with_files(&sandbox);
    sandbox.write(
        "distant.json",
        r#"[{"title": "D", "sents": [["Oslo"]],
             "vertexSet": [[{"name": "Oslo", "sent_id": 0, "pos": [0, 1]}]]}]"#,
    );
    let unlabelled = "stages.student.distillation={ kind = \"mse\", relation_weight = 0.0 }";
    for setting in ["seed=1", unlabelled] {
        let message =
            sandbox.fail(1, &["distill", "files.toml", "--out", "new/run", "--set", setting]);
        assert!(message.contains("no document has"), "{message}");
        assert!(!sandbox.path("new").exists(), "the teacher has trained");
    }
}

#[test]
fn a_refused_command_leaves_the_directory_as_it_was() {
    let sandbox = Sandbox::new();
    for stage in ["student", "finetune"] {
        let train = |out: &str| {
            sandbox.fail(1, &["train", "tiny.toml", "--stage", stage, "--out", out]);
        };
        train("a/b/c");
        assert!(!sandbox.path("a").exists());
        std::fs::create_dir_all(sandbox.path("empty")).unwrap();
        train("empty");
        train("empty/inner");
        assert_eq!(std::fs::read_dir(sandbox.path("empty")).unwrap().count(), 0);
    }
    // A further stage of a run that fails at its start leaves the files of the run unchanged.
    sandbox.succeed(&TRAIN_TEACHER);
    let manifest = std::fs::read(sandbox.path("run/manifest.json")).unwrap();
    let student = ["train", "tiny.toml", "--stage", "student", "--out", "run", "--resume"];
    sandbox.fail(1, &student);
    assert!(std::fs::read(sandbox.path("run/manifest.json")).unwrap() == manifest);
    sandbox.succeed(&[&TRAIN_TEACHER[..], &["--resume"]].concat());
}

#[test]
fn repeated_titles_are_noted_because_their_predictions_cannot_be_told_apart() {
    let sandbox = with_teacher();
    let note = "cannot be told apart";
    let message = stderr(&sandbox.succeed(&predict("documents.json", "facts.json")));
    assert!(!message.contains(note), "{message}");
    sandbox.write("twice.json", documents(&["One", "Two", "One"], ""));
    let message = stderr(&sandbox.succeed(&predict("twice.json", "facts.json")));
    assert!(message.contains("twice.json: 1 documents") && message.contains(note), "{message}");
    assert!(message.contains("\"One\""), "{message}");
}

#[test]
fn predictions_are_the_same_from_files_pipes_and_compressed_files() {
    let sandbox = with_teacher();
    let text = documents(&["One", "Two", "Three"], "");
    sandbox.write("plain.json", &text);
    sandbox.succeed(&predict("plain.json", "expected.jsonl"));
    let expected = std::fs::read(sandbox.path("expected.jsonl")).unwrap();
    let compressed = |text: &str| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        gzip.finish().unwrap()
    };
    sandbox.write("documents.json.gz", compressed(&text));
    let marked = format!("\u{feff}{text}");
    sandbox.write("marked.json", &marked);
    let elements: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let lines: Vec<_> = elements.iter().map(ToString::to_string).collect();
    sandbox.write("lines.jsonl", lines.join("\n"));
    for input in ["documents.json.gz", "marked.json", "lines.jsonl"] {
        sandbox.succeed(&predict(input, "facts.jsonl"));
        assert!(std::fs::read(sandbox.path("facts.jsonl")).unwrap() == expected, "{input}");
    }
    for input in ["-", "/dev/stdin"] {
        for bytes in [text.clone().into_bytes(), compressed(&marked)] {
            let output = fed(&sandbox, &predict(input, "facts.jsonl"), &bytes);
            assert!(output.status.success(), "{}", stderr(&output));
            assert!(std::fs::read(sandbox.path("facts.jsonl")).unwrap() == expected, "{input}");
        }
    }
    sandbox.succeed(&predict("plain.json", "facts.json"));
    let facts = std::fs::read(sandbox.path("facts.json")).unwrap();
    assert!(sandbox.succeed(&predict("plain.json", "-")).stdout == facts);
    sandbox.succeed(&predict("plain.json", "facts.json.gz"));
    let bytes = std::fs::read(sandbox.path("facts.json.gz")).unwrap();
    assert!(bytes.starts_with(b"\x1F\x8B"));
    let mut read = Vec::new();
    std::io::copy(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut read).unwrap();
    assert!(read == facts);
    assert!(sandbox.fail(1, &predict("plain.json", "facts.zip.gz")).contains("remove `.gz`"));
}

#[test]
fn evaluate_reads_every_file_that_predict_writes_and_each_input_from_a_pipe() {
    let sandbox = with_teacher();
    let relations = "run/teacher/model/relations.json";
    let gold = "run/data/dev.json";
    let evaluate = |predictions: &str, relations: &str, gold: &str| {
        ["evaluate", "--predictions", predictions, "--relations", relations, "--gold", gold]
            .map(str::to_owned)
    };
    sandbox.succeed(&predict(gold, "facts.json"));
    let run = |arguments: &[String], input: &str| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = match input {
            "" => sandbox.docre(&arguments).output().unwrap(),
            file => fed(&sandbox, &arguments, &std::fs::read(sandbox.path(file)).unwrap()),
        };
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        stdout(&output)
    };
    let expected = run(&evaluate("facts.json", relations, gold), "");
    assert!(expected.contains("all facts") && !expected.contains("Ign"), "{expected}");
    for output in ["facts.zip", "FACTS.ZIP", "facts.jsonl", "x.JSONL", "facts.json.gz"] {
        sandbox.succeed(&predict(gold, output));
        assert_eq!(run(&evaluate(output, relations, gold), ""), expected, "{output}");
    }
    for pipe in ["-", "/dev/stdin"] {
        assert_eq!(run(&evaluate(pipe, relations, gold), "facts.json"), expected);
        assert_eq!(run(&evaluate("facts.json", pipe, gold), relations), expected);
        assert_eq!(run(&evaluate("facts.json", relations, pipe), gold), expected);
    }
}

#[test]
fn a_closed_pipe_on_standard_output_is_no_error() {
    let sandbox = with_teacher();
    for arguments in [&["backends"][..], &predict("documents.json", "-")] {
        let mut child = sandbox.docre(arguments).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
}

#[test]
fn a_pipe_as_an_input_of_a_run_is_refused() {
    let sandbox = Sandbox::new();
    write_config_with_files(&sandbox);
    let arguments = [&TRAIN_FILES[..], &["--set", "data.dev=/dev/stdin"]].concat();
    let output = fed(&sandbox, &arguments, documents(&["C"], LABELS).as_bytes());
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/dev/stdin is a pipe"), "{}", stderr(&output));
}

#[test]
fn a_learning_rate_that_is_too_high_is_named_as_the_cause_of_divergence() {
    let sandbox = Sandbox::new();
    let rates = ["stages.teacher.encoder_lr=1e10", "stages.teacher.relation_lr=1e10"];
    let rates = ["--set", rates[0], "--set", rates[1]];
    let message = sandbox.fail(1, &[&TRAIN_TEACHER[..], &rates].concat());
    let message = message.lines().last().unwrap();
    assert!(message.contains("the training diverges"), "{message}");
    assert!(message.contains("lower `encoder_lr` and `relation_lr`"), "{message}");
}

#[test]
fn invalid_mentions_are_skipped_with_a_count_and_a_list_where_that_is_chosen() {
    let sandbox = with_teacher();
    let valid = documents(&["One", "Two"], "");
    let second = r#"{"name": "Anna", "sent_id": 0, "pos": [5, 5], "type": null}"#;
    let first = r#"[[{"name": "Anna""#;
    sandbox
        .write("invalid.json", valid.replacen(first, &format!("[[{second}, {}", &first[2..]), 1));
    sandbox.succeed(&predict("documents.json", "expected.jsonl"));
    let expected = std::fs::read(sandbox.path("expected.jsonl")).unwrap();
    let message = sandbox.fail(1, &predict("invalid.json", "facts.jsonl"));
    assert!(message.contains("[5, 5] is not a span of sentence 0"), "{message}");
    let skip = |what| {
        let arguments = predict("invalid.json", "facts.jsonl");
        stderr(&sandbox.succeed(&[&arguments[..], &["--on-invalid", what]].concat()))
    };
    let message = skip("skip-mention");
    assert!(message.contains("1 mentions and 0 documents are skipped: "), "{message}");
    assert!(message.contains("document 0 (\"One\"): entity 0, mention 0: [5, 5]"), "{message}");
    assert!(std::fs::read(sandbox.path("facts.jsonl")).unwrap() == expected);
    let message = skip("skip-document");
    assert!(message.contains("0 mentions and 1 documents are skipped: "), "{message}");
    let lines = std::fs::read_to_string(sandbox.path("facts.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 1);
}

/// Documents of which the second mention of the first entity has an empty span.
fn with_an_empty_span(labels: &str) -> String {
    let first = r#"[[{"name": "Anna""#;
    let empty = r#"[[{"name": "Anna", "sent_id": 0, "pos": [5, 5], "type": null}, "#;
    documents(&["One", "Two"], labels).replacen(first, &format!("{empty}{}", &first[2..]), 1)
}

#[test]
fn every_command_that_reads_documents_skips_the_same_invalid_ones() {
    let sandbox = with_teacher();
    write_config_with_files(&sandbox);
    sandbox.write("valid.json", documents(&["One", "Two"], LABELS));
    sandbox.write("invalid.json", with_an_empty_span(LABELS));
    // The teacher does not know the relation of the labels.
    sandbox.write("unlabelled.json", with_an_empty_span(""));
    sandbox.write("facts.json", r#"[{"title": "One", "h_idx": 0, "t_idx": 1, "r": "P551"}]"#);
    for command in [
        "predict --model run/teacher/model --input invalid.json --output facts.jsonl",
        "label --model run/teacher/model --input invalid.json --output labels",
        "evaluate --relations rel2id.json --predictions facts.json --gold invalid.json",
        "evaluate --relations rel2id.json --predictions facts.json --gold valid.json \
         --train invalid.json",
        "evaluate --relations rel2id.json --predictions facts.json --gold valid.json \
         --distant invalid.json",
        "convert --from docred-jsonl --input invalid.json --output converted.json",
        "bench --model run/teacher/model --input unlabelled.json --dump-inputs dump.json",
        "bench --model run/teacher/model --input unlabelled.json --documents 1 --samples 1 \
         --modes preprocess",
    ] {
        let command: Vec<&str> = command.split(' ').collect();
        let error = sandbox.fail(1, &command);
        assert!(error.contains("[5, 5] is not a span of sentence 0"), "{command:?}: {error}");
        for (what, counts) in [
            ("skip-mention", "1 mentions and 0 documents are skipped: "),
            ("skip-document", "0 mentions and 1 documents are skipped: "),
        ] {
            let skip = [&command[..], &["--on-invalid", what]].concat();
            let notes = stderr(&sandbox.succeed(&skip));
            assert!(notes.contains(&format!("d.json: {counts}")), "{skip:?}: {notes}");
            assert!(notes.contains("document 0 (\"One\"): entity 0, mention 0"), "{notes}");
            let _ = std::fs::remove_dir_all(sandbox.path("labels"));
        }
    }
    let error = sandbox.fail(1, &["bench", "--on-invalid", "skip-mention"]);
    assert!(error.contains("are for the documents of `--input`"), "{error}");
}

#[test]
fn a_run_skips_the_invalid_documents_of_each_corpus_where_its_configuration_says_so() {
    for key in ["train", "dev", "distant"] {
        let sandbox = Sandbox::new();
        write_config_with_files(&sandbox);
        sandbox.write(&format!("{key}.json"), with_an_empty_span(LABELS));
        let command = match key {
            "distant" => &["distill", "files.toml"][..],
            _ => &["train", "files.toml", "--stage", "teacher"],
        };
        let error = sandbox.fail(1, &[command, &["--out", "run"]].concat());
        assert!(error.contains("[5, 5] is not a span of sentence 0"), "{key}: {error}");
        assert!(!sandbox.path("run").exists());
        for (what, counts) in [
            ("skip-mention", "1 mentions and 0 documents are skipped: "),
            ("skip-document", "0 mentions and 1 documents are skipped: "),
        ] {
            let setting = format!("data.on_invalid={what}");
            let arguments = [command, &["--out", what, "--set", &setting]].concat();
            let notes = stderr(&sandbox.succeed(&arguments));
            assert!(notes.contains(&format!("{key}.json: {counts}")), "{key}, {what}: {notes}");
        }
    }
}

#[test]
fn all_scores_are_the_logits_of_every_pair_and_agree_with_the_predicted_ones() {
    let sandbox = with_teacher();
    let dev = "run/data/dev.json";
    sandbox.succeed(&predict(dev, "facts.jsonl"));
    sandbox.succeed(&[&predict(dev, "all.jsonl")[..], &["--all-scores"]].concat());
    let lines = |name: &str| -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(sandbox.path(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let relations = sandbox.json("run/teacher/model/relations.json");
    let class = |id: &serde_json::Value| {
        relations.as_array().unwrap().iter().position(|relation| relation["id"] == *id).unwrap()
    };
    let mut n_compared = 0;
    for (all, some) in lines("all.jsonl").iter().zip(lines("facts.jsonl")) {
        assert_eq!(all["title"], some["title"]);
        let n = all["n_entities"].as_u64().unwrap() as usize;
        let pairs = all["pairs"].as_array().unwrap();
        assert_eq!(pairs.len(), n * n.saturating_sub(1));
        for fact in some["predictions"].as_array().unwrap() {
            let of_fact = |pair: &&serde_json::Value| {
                pair["h_idx"] == fact["h_idx"] && pair["t_idx"] == fact["t_idx"]
            };
            let logits = &pairs.iter().find(of_fact).unwrap()["logits"];
            assert_eq!(logits[class(&fact["r"])], fact["logit"]);
            assert_eq!(logits[0], fact["threshold"]);
            n_compared += 1;
        }
    }
    assert!(n_compared > 0, "the teacher predicts nothing");
    let message = sandbox.fail(1, &[&predict(dev, "all.json")[..], &["--all-scores"]].concat());
    assert!(message.contains("give a `.jsonl` file or a `.safetensors` file"), "{message}");
    let message = sandbox.fail(1, &predict(dev, "all.safetensors"));
    assert!(message.contains("give `--all-scores`, too"), "{message}");
}

#[test]
fn all_scores_are_the_same_as_json_lines_and_as_safetensors_also_for_repeated_titles() {
    let sandbox = with_teacher();
    sandbox.write("input.json", documents(&["One", "Two", "One"], ""));
    for output in ["all.jsonl", "all.safetensors"] {
        sandbox.succeed(&[&predict("input.json", output)[..], &["--all-scores"]].concat());
    }
    let file = std::fs::read(sandbox.path("all.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&file).unwrap();
    let (_, header) = SafeTensors::read_metadata(&file).unwrap();
    let list = |key: &str| -> Vec<String> {
        serde_json::from_str(&header.metadata().as_ref().unwrap()[key]).unwrap()
    };
    assert_eq!(list("titles"), ["One", "Two", "One"]);
    let relations = sandbox.json("run/teacher/model/relations.json");
    let ids = relations.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap());
    assert_eq!(list("classes"), ids.collect::<Vec<_>>());
    let lines = std::fs::read_to_string(sandbox.path("all.jsonl")).unwrap();
    assert_eq!(tensors.len(), 2 * lines.lines().count());
    let values = |name: &str| tensors.tensor(name).unwrap().data().as_chunks::<4>().0.to_vec();
    for (index, line) in lines.lines().enumerate() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let pairs = line["pairs"].as_array().unwrap();
        let entities = pairs.iter().flat_map(|pair| [&pair["h_idx"], &pair["t_idx"]]);
        let entities = entities.map(|entity| entity.as_i64().unwrap() as i32);
        let expected: Vec<_> = entities.map(i32::to_le_bytes).collect();
        assert_eq!(values(&format!("pairs.{index}")), expected);
        let logits = pairs.iter().flat_map(|pair| pair["logits"].as_array().unwrap());
        let expected: Vec<_> =
            logits.map(|logit| (logit.as_f64().unwrap() as f32).to_le_bytes()).collect();
        assert_eq!(values(&format!("logits.{index}")), expected);
    }
}

/// The arguments that predict the relations of a text with the teacher.
fn predict_text<'a>(option: &'a str, text: &'a str) -> [&'a str; 5] {
    ["predict", "--model", "run/teacher/model", option, text]
}

/// A text of two sentences, equal to [`MARKED_DOCUMENT`].
const MARKED: &str = "[Anna Marl|PER|1] lives in [Oslo|LOC|2].\n[Anna|PER|1]'s town is small.";

/// [`MARKED`] in DocRED's format.
const MARKED_DOCUMENT: &str = r#"[{"title": "anna",
    "sents": [["Anna", "Marl", "lives", "in", "Oslo", "."], ["Anna", "'s", "town", "is", "small", "."]],
    "vertexSet": [[{"name": "Anna Marl", "sent_id": 0, "pos": [0, 2], "type": "PER"},
                   {"name": "Anna", "sent_id": 1, "pos": [0, 1], "type": "PER"}],
                  [{"name": "Oslo", "sent_id": 0, "pos": [4, 5], "type": "LOC"}]]}]"#;

#[test]
fn marked_text_gives_the_relations_of_the_same_document() {
    let sandbox = with_teacher();
    sandbox.write("anna.txt", MARKED);
    sandbox.write("anna.json", MARKED_DOCUMENT);
    let all = |input: [&str; 2], output: &str| {
        let model = ["predict", "--model", "run/teacher/model", "--all-scores"];
        sandbox.succeed(&[&model[..], &input, &["--output", output]].concat());
        std::fs::read_to_string(sandbox.path(output)).unwrap()
    };
    let expected = all(["--input", "anna.json"], "expected.jsonl");
    assert_eq!(all(["--text-file", "anna.txt"], "file.jsonl"), expected);
    let text = all(["--text", MARKED], "text.jsonl");
    assert_eq!(text, expected.replace(r#""title":"anna""#, r#""title":"text""#));
    let piped = fed(&sandbox, &predict_text("--text-file", "-"), MARKED.as_bytes());
    assert!(piped.status.success(), "{}", stderr(&piped));
    assert_eq!(stdout(&piped), stdout(&sandbox.succeed(&predict_text("--text", MARKED))));
}

#[test]
fn without_an_output_the_facts_are_a_table_with_names_and_scores() {
    let sandbox = with_teacher();
    let dev = "run/data/dev.json";
    sandbox.succeed(&predict(dev, "facts.json"));
    let tables = stdout(&sandbox.succeed(&predict_text("--input", dev)));
    let facts = sandbox.json("facts.json");
    let facts = facts.as_array().unwrap();
    assert!(!facts.is_empty(), "the teacher finds no relation");
    let documents = sandbox.json(dev);
    let documents = documents.as_array().unwrap();
    let sections: Vec<_> = tables.split("\n\n\n").collect();
    assert_eq!(sections.len(), documents.len(), "{tables}");
    for (section, document) in sections.iter().zip(documents) {
        let title = document["title"].as_str().unwrap();
        assert!(section.starts_with(&format!("{title}\n\n")), "{section}");
        let mut scores: Vec<f64> = Vec::new();
        for fact in facts.iter().filter(|fact| fact["title"] == title) {
            let name = |key: &str| {
                let entity = usize::try_from(fact[key].as_u64().unwrap()).unwrap();
                document["vertexSet"][entity][0]["name"].as_str().unwrap()
            };
            let (head, tail) = (name("h_idx"), name("t_idx"));
            let score = format!("{:.2}", fact["score"].as_f64().unwrap() as f32);
            let is_row = |line: &&str| {
                line.starts_with(head) && line.contains(tail) && line.ends_with(&score)
            };
            assert!(section.lines().any(|line| is_row(&line)), "{fact}: {section}");
            scores.push(score.parse().unwrap());
        }
        let rows = section.lines().skip(3).filter_map(|line| line.split_whitespace().last());
        let shown: Vec<f64> = rows.map(|score| score.parse().unwrap()).collect();
        scores.sort_by(|a, b| b.total_cmp(a));
        assert_eq!(shown, scores, "{section}");
    }
}

#[test]
fn an_error_in_a_text_points_at_its_column() {
    let sandbox = with_teacher();
    let message = sandbox.fail(1, &predict_text("--text", "[Anna [Marl|PER|1] lives"));
    let lines: Vec<_> = message.lines().skip_while(|line| !line.starts_with("error: ")).collect();
    assert!(lines[0].starts_with("error: --text: `[` in a mention;"), "{message}");
    assert!(lines[0].ends_with("(line 1, column 7)"), "{message}");
    assert_eq!(lines[1..], ["  [Anna [Marl|PER|1] lives", "        ^"], "{message}");
    sandbox.write("anna.txt", "[Anna|PER|1] lives\nin [Oslo|LOC]");
    let message = sandbox.fail(1, &predict_text("--text-file", "anna.txt"));
    assert!(message.contains("anna.txt: ") && message.contains("(line 2, column 13)"), "{message}");
    // The text is read before the model.
    let missing = ["predict", "--model", "none", "--text", "]"];
    assert!(sandbox.fail(1, &missing).contains("(line 1, column 1)"));
}

#[test]
fn a_text_may_begin_with_a_hyphen() {
    let sandbox = with_teacher();
    let text = "- [Anna|PER|1] lives in [Oslo|LOC|2].";
    let auto = [&predict_text("--text", text)[..], &["--precision", "auto"]].concat();
    assert!(stderr(&sandbox.succeed(&auto)).contains("precision auto: "));
}

#[test]
fn a_text_with_fewer_than_two_entities_is_noted() {
    let sandbox = with_teacher();
    for (text, n) in [("Anna lives in Oslo.", 0), ("[Anna|PER|1] lives in Oslo.", 1), ("", 0)] {
        let output = sandbox.succeed(&predict_text("--text", text));
        assert!(stdout(&output).ends_with("no relation found\n"), "{}", stdout(&output));
        let note = format!("--text: the number of marked entities is {n}; mark the entities");
        assert!(stderr(&output).contains(&note), "{}", stderr(&output));
    }
    assert!(!stderr(&sandbox.succeed(&predict_text("--text", MARKED))).contains("marked entities"));
}

#[test]
fn the_forms_of_the_input_exclude_each_other() {
    let sandbox = Sandbox::new();
    let model = ["predict", "--model", "model"];
    for arguments in [
        &[][..],
        &["--text", "a", "--input", "documents.json"],
        &["--text", "a", "--text-file", "a.txt"],
        &["--text", "a", "--on-invalid", "skip-mention"],
        &["--text", "a", "--all-scores"],
    ] {
        sandbox.fail(2, &[&model[..], arguments].concat());
    }
}

/// A run on a pretrained encoder in `encoder`; `model` are the lines of `[model]`.
fn pretrained_config(model: &str) -> String {
    let (_, stage) = TINY.split_once("[stages.teacher]").unwrap();
    let (stage, _) = stage.split_once("[stages.student]").unwrap();
    let data = "train = \"train.json\"\ndev = \"dev.json\"\nrelations = \"rel2id.json\"\n";
    format!(
        "seed = 7\n[data]\n{data}[encoder]\npretrained = \"encoder\"\n[model]\n{model}\n\
         [loss]\nkind = \"atl\"\n[stages.teacher]\n{stage}"
    )
}

#[test]
fn unused_weights_of_a_pretrained_file_are_noted_once_also_for_two_encoders() {
    let sandbox = Sandbox::new();
    write_config_with_files(&sandbox);
    lay_encoder(&sandbox.path("encoder"), "bert");
    let path = sandbox.path("encoder/model.safetensors");
    let file = WeightFile::open(&path).unwrap();
    let mut weights: Vec<_> =
        file.names().map(|name| (name.to_owned(), file.read(name).unwrap())).collect();
    drop(file);
    for name in ["encoder.layer.1.output.dense.bias", "pooler.dense.bias", "pooler.dense.weight"] {
        weights.push((name.to_owned(), Weight { shape: vec![1], values: vec![0.5] }));
    }
    write_safetensors(&path, &weights).unwrap();
    for (system, model, more) in [
        ("atlop", "emb_size = 16\ngroup_size = 8", ""),
        (
            "kmgre",
            "key_classifier = { kind = \"own-encoder\", xi = 0.15, tau = 0.5 }",
            "[em]\nwarmup_epochs = 1\n",
        ),
    ] {
        let config = pretrained_config(&format!("kind = \"{system}\"\n{model}"));
        sandbox.write("pretrained.toml", config + more);
        let output =
            sandbox.succeed(&["train", "pretrained.toml", "--stage", "teacher", "--out", system]);
        let notes = stderr(&output);
        let expected = "the encoder's weight file has unused tensors: further layers: 1 (1); \
                        pooler and output layers: pooler (2)";
        assert_eq!(notes.matches(expected).count(), 1, "{system}: {notes}");
        assert_eq!(notes.matches("pooler").count(), 2, "{system}: {notes}");
    }
}

#[test]
fn a_threshold_class_of_any_name_is_given_to_every_command_that_reads_relations() {
    let sandbox = Sandbox::new();
    write_config_with_files(&sandbox);
    sandbox.write("rel2id.json", r#"{"ohne": 0, "P551": 1}"#);
    let train = ["train", "files.toml", "--stage", "teacher", "--out", "run"];
    let error = sandbox.fail(1, &train);
    let expected = ["class 0 is \"ohne\"", "`data.threshold_class`", "`--threshold-class`"];
    assert!(expected.iter().all(|text| error.contains(text)), "{error}");
    let threshold = ["--set", "data.threshold_class=ohne", "--set", "stages.teacher.epochs=1"];
    sandbox.succeed(&[&train[..], &threshold].concat());
    sandbox.succeed(&predict("dev.json", "predictions.json"));

    let files = ["--relations", "rel2id.json"];
    let scored = ["evaluate", "--predictions", "predictions.json", "--gold", "dev.json"];
    let converted =
        ["convert", "--from", "docred-jsonl", "--input", "dev.json", "--output", "out.json"];
    for command in [&scored[..], &converted] {
        let with_files = [command, &files].concat();
        assert!(sandbox.fail(1, &with_files).contains("class 0 is \"ohne\""));
        let named = |name| [&with_files[..], &["--threshold-class", name]].concat();
        assert!(sandbox.fail(1, &named("P551")).contains("\"P551\" is given as the threshold"));
        sandbox.succeed(&named("ohne"));
        sandbox.fail(2, &[command, &["--threshold-class", "ohne"]].concat());
    }
}
