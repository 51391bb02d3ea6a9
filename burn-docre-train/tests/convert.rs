//! `docre convert`, and other corpora as inputs of the other commands.

mod common;

use common::{Sandbox, TRAIN_TEACHER, stderr, stdout};
use serde_json::Value;

/// Two views of one document, with the entities in another order.
const HACRED: &str = r#"{"id": 6020, "text": "安娜住奥城。",
 "sents_char": [["安", "娜", "住", "奥", "城", "。"]],
 "vertex_char": [[{"name": "安娜", "sent_id": 0, "type": "PER", "pos": [0, 2]}],
                 [{"name": "奥城", "sent_id": 0, "type": "LOC", "pos": [3, 5]}]],
 "labels_char": [{"r": "居住地", "h": 0, "t": 1}, {"r": "出生地", "h": 0, "t": 1},
                 {"r": "居民", "h": 1, "t": 0}],
 "sents_word": [["安娜", "住", "奥城", "。"]],
 "vertex_word": [[{"name": "奥城", "sent_id": 0, "type": "LOC", "pos": [2, 3]}],
                 [{"name": "安娜", "sent_id": 0, "type": "PER", "pos": [0, 1]}]],
 "labels_word": [{"r": "居住地", "h": 1, "t": 0}, {"r": "出生地", "h": 1, "t": 0},
                 {"r": "居民", "h": 0, "t": 1}]}
"#;

const DWIE: &str = r#"{"id": "DW_1", "content": "Zoë Kay\nTolm's mayor Zoë Kay spoke. She left.",
 "tags": ["all", "train"],
 "mentions": [{"begin": 8, "end": 12, "text": "Tolm", "concept": 0},
              {"begin": 21, "end": 28, "text": "Zoë Kay", "concept": 1}],
 "concepts": [{"concept": 0, "tags": ["type::gpe"]}, {"concept": 1, "tags": ["type::person"]},
              {"concept": 2, "tags": []}],
 "relations": [{"s": 1, "p": "head_of_gov", "o": 0}, {"s": 0, "p": "part_of", "o": 0}]}
"#;

const CDR: &str = "7\tAspirin causes pain|It hurts\t1:CID:2\tR2L\tNON-CROSS\t0-1\t2-3\t\
                   D1\tAspirin\tChemical\t0\t1\t0\tD2\tpain|hurts\tDisease\t2:4\t3:5\t0:1\n";

const HF: &str = r#"{"title": "Anna", "sents": [["Anna", "lives", "in", "Oslo", "."]],
 "vertexSet": [[{"name": "Anna", "sent_id": 0, "pos": [0, 1], "type": "PER"}],
               [{"name": "Oslo", "sent_id": 0, "pos": [3, 4], "type": "LOC"}]],
 "labels": {"head": [0], "tail": [1], "relation_id": ["P551"], "relation_text": ["residence"],
            "evidence": [[0]]}}
"#;

const LINKED: &str = r#"[{"title": "Anna", "sents": [["Anna", "lives", "in", "Oslo", "."]],
 "entities": [{"id": 7, "type": "LOC", "mentions": [{"name": "Oslo", "sent_id": 0, "pos": [3, 4]}]},
              {"id": 2, "type": "PER", "mentions": [{"name": "Anna", "sent_id": 0, "pos": [0, 1]}]}],
 "relations": [{"r": "P551", "h": 2, "t": 7, "evidence": [0]}]}]
"#;

const DOCRED: &str = r#"{"title": "Anna", "sents": [["Anna", "lives", "in", "Oslo", "."]],
 "vertexSet": [[{"name": "Anna", "sent_id": 0, "pos": [0, 1], "type": "PER"}],
               [{"name": "Oslo", "sent_id": 0, "pos": [3, 4], "type": "LOC"}]],
 "labels": [{"r": "P551", "h": 0, "t": 1, "evidence": [0]}]}
"#;

/// A file of each corpus, with its numbers of documents, entities, mentions, facts and relations.
fn samples() -> [(&'static str, String, [u64; 5]); 7] {
    [
        ("hacred", HACRED.to_owned(), [1, 2, 2, 3, 3]),
        ("dwie", DWIE.to_owned(), [1, 2, 2, 2, 2]),
        ("cdr", CDR.to_owned(), [1, 2, 3, 1, 1]),
        ("gda", CDR.replace("CID", "GDA"), [1, 2, 3, 1, 1]),
        ("hf-datasets", HF.to_owned(), [1, 2, 2, 1, 1]),
        ("linked-docred", LINKED.to_owned(), [1, 2, 2, 1, 1]),
        ("docred-jsonl", DOCRED.to_owned(), [1, 2, 2, 1, 1]),
    ]
}

/// The arguments that convert the file `corpus` to `output`.
fn convert<'a>(from: &'a str, output: &'a str) -> [&'a str; 7] {
    ["convert", "--from", from, "--input", "corpus", "--output", output]
}

/// The arguments that convert the file `corpus` to `output` and write `relations.json`.
fn convert_with_relations<'a>(from: &'a str, output: &'a str) -> Vec<&'a str> {
    [&convert(from, output)[..], &["--relations-output", "relations.json"]].concat()
}

/// The scores of `predictions.json` on `gold`.
fn evaluate(sandbox: &Sandbox, gold: &str, more: &[&str]) -> Value {
    let arguments = [
        &["evaluate", "--predictions", "predictions.json", "--gold", gold, "--json"][..],
        &["--relations", "relations.json"],
        more,
    ];
    serde_json::from_str(&stdout(&sandbox.succeed(&arguments.concat()))).unwrap()
}

/// The facts of a document as a submission.
fn submission_of(document: &Value) -> Value {
    let fact = |label: &Value| {
        serde_json::json!({ "title": document["title"], "h_idx": label["h"], "t_idx": label["t"],
                            "r": label["r"], "evidence": label["evidence"] })
    };
    document["labels"].as_array().unwrap().iter().map(fact).collect()
}

#[test]
fn every_corpus_is_converted_counted_and_evaluated_by_its_own_labels() {
    let sandbox = Sandbox::new();
    for (from, text, counts) in samples() {
        sandbox.write("corpus", &text);
        let arguments = convert_with_relations(from, "out.json");
        let output = sandbox.succeed(&[&arguments[..], &["--log-format", "json"]].concat());
        let report = stderr(&output);
        let report: Value = report
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .find(|line| line["event"] == "converted")
            .unwrap();
        for (key, expected) in
            ["documents", "entities", "mentions", "facts", "relations"].iter().zip(counts)
        {
            assert_eq!(report[key], expected, "{from}: {key}");
        }
        let documents = sandbox.json("out.json");
        sandbox.write("predictions.json", submission_of(&documents[0]).to_string());
        let more: &[&str] = if from == "dwie" { &["--self-relations"] } else { &[] };
        let scores = evaluate(&sandbox, "out.json", more);
        assert_eq!(scores["f1"], 1.0, "{from}");
    }
}

#[test]
fn what_docreds_format_has_no_place_for_is_reported() {
    let sandbox = Sandbox::new();
    sandbox.write("corpus", DWIE);
    let message = stderr(&sandbox.succeed(&convert("dwie", "out.json")));
    for part in [
        "out.json: 1 documents, 2 entities, 2 mentions, 2 facts, 2 relations",
        "left out: 1 concepts without a mention",
        "1 facts relate an entity to itself",
    ] {
        assert!(message.contains(part), "{message}");
    }
    sandbox.write("corpus", format!("{DWIE}{DWIE}"));
    let message = stderr(&sandbox.succeed(&convert("dwie", "out.json")));
    assert!(message.contains("1 documents have the title of an earlier one"), "{message}");
    let test = [&convert("dwie", "out.json")[..], &["--split", "test"]].concat();
    assert!(sandbox.fail(1, &test).contains("corpus: there are no documents"));
}

#[test]
fn outputs_are_arrays_or_lines_compressed_or_not_by_their_extension() {
    let sandbox = Sandbox::new();
    sandbox.write("corpus", format!("{DOCRED}{DOCRED}"));
    sandbox.succeed(&convert("docred-jsonl", "out.json"));
    let array = sandbox.json("out.json");
    sandbox.succeed(&convert("docred-jsonl", "out.jsonl"));
    let lines = std::fs::read_to_string(sandbox.path("out.jsonl")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(Value::from(lines), array);
    sandbox.succeed(&convert("docred-jsonl", "out.json.gz"));
    let bytes = std::fs::read(sandbox.path("out.json.gz")).unwrap();
    let text: Value = serde_json::from_reader(flate2::read::GzDecoder::new(&bytes[..])).unwrap();
    assert_eq!(text, array);
    let output = sandbox.succeed(&convert("docred-jsonl", "-"));
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), array);
}

#[test]
fn a_malformed_file_of_any_corpus_is_one_line_of_error_and_leaves_no_output() {
    let sandbox = Sandbox::new();
    for (from, text, _) in samples() {
        for (damaged, place) in [
            (text.replacen("\"name\"", "\"n\"", 1).replacen("\t0\t1\t0", "\t0\tx\t0", 1), true),
            (text.chars().take(text.chars().count() / 2).collect(), false),
            ("\u{0}".to_owned(), false),
            (String::new(), false),
        ] {
            let damaged =
                if from == "dwie" { damaged.replace("\"begin\"", "\"b\"") } else { damaged };
            sandbox.write("corpus", &damaged);
            let message = sandbox.fail(1, &convert(from, "out.json"));
            assert!(message.starts_with("error: corpus: "), "{from}: {message}");
            assert_eq!(message.lines().count(), 1, "{from}: {message}");
            assert!(!place || message.contains("document 0 (\""), "{from}: {message}");
            assert!(!sandbox.path("out.json").exists(), "{from}");
        }
    }
}

#[test]
fn files_that_exclude_each_other_are_refused_before_anything_is_written() {
    let sandbox = Sandbox::new();
    sandbox.write("corpus", DOCRED);
    let refused = |output: &str, more: &[&str], expected: &str| {
        let arguments = [&convert("docred-jsonl", output)[..], more].concat();
        let message = sandbox.fail(1, &arguments);
        assert!(message.contains(expected), "{message}");
        assert_eq!(std::fs::read_to_string(sandbox.path("corpus")).unwrap(), DOCRED);
        assert!(!sandbox.path("out.json").exists());
    };
    refused("corpus", &[], "is an input of this command");
    refused("out.json", &["--relations-output", "corpus"], "is an input of this command");
    refused("out.json", &["--relations-output", "out.json"], "are the same file");
    refused("-", &["--relations-output", "-"], "only one output can be `-`");
    refused("out.json", &["--split", "train"], "`--split` is for dwie");
    sandbox.write("rel2id.json", r#"{"TH": 0, "P1": 1}"#);
    let expected = "document 0 (\"Anna\"): label 0: relation \"P551\" is not in the vocabulary";
    refused("out.json", &["--relations", "rel2id.json"], expected);
    sandbox.fail(2, &convert("docred", "out.json"));
}

#[test]
fn relations_are_collected_once_and_then_given_to_the_other_files() {
    let sandbox = Sandbox::new();
    sandbox.write("corpus", HF);
    sandbox.succeed(&convert_with_relations("hf-datasets", "out.json"));
    let relations = sandbox.json("relations.json");
    assert_eq!(relations[0]["id"], "Na");
    assert_eq!(relations[1], serde_json::json!({ "id": "P551", "name": "residence" }));
    let again = [&convert("hf-datasets", "out.json")[..], &["--relations", "relations.json"]];
    sandbox.succeed(&again.concat());
    sandbox.write("corpus", HF.replace("P551", "P1"));
    assert!(sandbox.fail(1, &again.concat()).contains("relation \"P1\" is not in the vocabulary"));
    // A test set without labels has no relations to write.
    sandbox.write("corpus", format!("{}}}", DOCRED.split(",\n \"labels\"").next().unwrap()));
    let message = stderr(&sandbox.succeed(&convert("docred-jsonl", "out.json")));
    assert!(message.contains("1 documents have no labels"), "{message}");
    let message = sandbox.fail(1, &convert_with_relations("docred-jsonl", "out.json"));
    assert!(message.contains("no document has a label"), "{message}");
}

#[test]
fn hacred_is_scored_by_micro_precision_and_recall_in_the_view_of_the_predictions() {
    let sandbox = Sandbox::new();
    sandbox.write("corpus", HACRED);
    sandbox.succeed(&convert_with_relations("hacred", "out.json"));
    // In the view of characters, entity 0 is the person. One of two predictions is right, and there
    // are three facts.
    sandbox.write(
        "predictions.json",
        r#"[{"title": "6020", "h_idx": 0, "t_idx": 1, "r": "居住地"},
            {"title": "6020", "h_idx": 0, "t_idx": 1, "r": "居民"}]"#,
    );
    for (gold, view) in
        [("corpus", &["--hacred-view", "char"][..]), ("corpus", &[]), ("out.json", &[])]
    {
        let scores = evaluate(&sandbox, gold, view);
        assert_eq!(scores["precision"], 0.5, "{gold} {view:?}");
        assert_eq!(scores["recall"], 1.0 / 3.0, "{gold} {view:?}");
        assert!((scores["f1"].as_f64().unwrap() - 0.4).abs() < 1e-12, "{gold} {view:?}");
    }
    // In the view of words, entity 0 is the place, so that the other prediction is right.
    let scores = evaluate(&sandbox, "corpus", &["--hacred-view", "word"]);
    assert_eq!(scores["per_relation"]["居民"]["f1"], 1.0);
    assert_eq!(scores["per_relation"]["居住地"]["f1"], 0.0);
}

#[test]
fn hacred_is_an_input_of_predict_as_it_is() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&TRAIN_TEACHER);
    sandbox.write("corpus", HACRED);
    let predict = |input: &str, output: &str, more: &[&str]| {
        let arguments = ["predict", "--model", "run/teacher/model", "--input", input];
        let output = ["--output", output, "--all-scores"];
        sandbox.succeed(&[&arguments[..], &output[..], more].concat());
    };
    let scores = |name: &str| std::fs::read_to_string(sandbox.path(name)).unwrap();
    for view in ["char", "word"] {
        let more = ["--hacred-view", view];
        sandbox.succeed(&[&convert("hacred", "out.json")[..], &more[..]].concat());
        predict("out.json", "converted.jsonl", &[]);
        predict("corpus", "direct.jsonl", &more);
        assert!(scores("direct.jsonl").starts_with(r#"{"n_entities":2,"pairs""#));
        assert_eq!(scores("direct.jsonl"), scores("converted.jsonl"), "{view}");
    }
}
