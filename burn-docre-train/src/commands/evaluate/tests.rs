//! Tests of the command on small files.

use clap::Parser;
use serde_json::Value;

use super::*;
use crate::{
    cli::LogFormat,
    ui::{Ui, signals::StopFlag},
};

const GOLD: &str = r#"[
 {"title":"Anna","sents":[["Anna","lives","in","Tolm","."],["Tolm","lies","in","Veskia","."]],
  "vertexSet":[[{"name":"Anna","sent_id":0,"pos":[0,1],"type":"PER"}],
               [{"name":"Tolm","sent_id":0,"pos":[3,4],"type":"LOC"},{"name":"Tolm","sent_id":1,"pos":[0,1],"type":"LOC"}],
               [{"name":"Veskia","sent_id":1,"pos":[3,4],"type":"LOC"}]],
  "labels":[{"h":0,"t":1,"r":"P551","evidence":[0]},{"h":1,"t":2,"r":"P17","evidence":[1]},
            {"h":0,"t":2,"r":"P27","evidence":[0,1]}]}]"#;

const TRAIN: &str = r#"[
 {"title":"Tolm","sents":[["Tolm",",","Veskia"]],
  "vertexSet":[[{"name":"Tolm","sent_id":0,"pos":[0,1],"type":"LOC"}],
               [{"name":"Veskia","sent_id":0,"pos":[2,3],"type":"LOC"}]],
  "labels":[{"h":0,"t":1,"r":"P17","evidence":[]}]}]"#;

const PREDICTIONS: &str = r#"[
 {"title":"Anna","h_idx":1,"t_idx":2,"r":"P17","evidence":[1]},
 {"title":"Anna","h_idx":1,"t_idx":2,"r":"P17","evidence":[0]},
 {"title":"Anna","h_idx":0,"t_idx":2,"r":"P27"},
 {"title":"Anna","h_idx":0,"t_idx":1,"r":"P19"},
 {"title":"Nobody","h_idx":0,"t_idx":1,"r":"P19"}]"#;

/// The arguments as clap reads them.
#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: EvaluateArgs,
}

/// Runs the command; returns its text and its notes.
fn evaluated(args: &EvaluateArgs) -> Result<(String, Vec<String>)> {
    let (ui, stop) = (Ui::new(LogFormat::Human), StopFlag::default());
    let mut notes = Vec::new();
    let session = Session::new(&ui, &stop);
    let text = evaluate(&session, args, |note| notes.push(note.to_owned()))?;
    Ok((text, notes))
}

/// Runs the command on `predictions` with `more` arguments, which replace those of the tests;
/// returns its text and its notes.
fn run_on(predictions: &str, more: &[&str]) -> Result<(String, Vec<String>)> {
    let dir = tempfile::tempdir()?;
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let required = [
        ("--predictions", file("predictions.json", predictions)),
        ("--gold", file("gold.json", GOLD)),
        ("--train", file("train.json", TRAIN)),
    ];
    let is_replaced = |option: &str| more.contains(&option);
    let required = required.into_iter().filter(|(option, _)| !is_replaced(option));
    file("rel2id.json", r#"{"Na":0,"P17":1,"P27":2,"P551":3,"P19":4}"#);
    file("narrow.json", r#" [{"id":"Na","name":"no relation"},{"id":"P27","name":"citizen"}]"#);
    let given = more.iter().map(|arg| arg.replace("DIR", dir.path().to_str().unwrap()));
    let flags = required.flat_map(|(flag, path)| [flag.to_owned(), path]);
    let args = ["docre".to_owned()].into_iter().chain(flags).chain(given);
    evaluated(&Command::parse_from(args).args)
}

/// The error of the command on `predictions`, with its causes.
fn failure(predictions: &str, more: &[&str]) -> String {
    format!("{:#}", run_on(predictions, more).unwrap_err())
}

#[test]
fn json_contains_the_scores_calculated_by_hand() {
    let (text, notes) = run_on(PREDICTIONS, &["--json"]).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    // 2 of 4 distinct predictions are correct. There are 3 gold facts. The training documents
    // contain 1 of the 2.
    assert_eq!(json["precision"], 0.5);
    assert_eq!(json["recall"], 2.0 / 3.0);
    assert!((json["ign_f1"].as_f64().unwrap() - 2.0 * (2.0 / 9.0)).abs() < 1e-12);
    assert!(json["ign_f1_distant"].is_null());
    assert_eq!(json["errors"]["wrong"], 1);
    assert_eq!(json["infer"]["recall"], 2.0 / 3.0);
    // F1 of P17 and P27 is 1, of P551 without predictions 0; P19 has no gold fact.
    assert_eq!(
        (&json["macro"]["f1"], &json["macro"]["n_relations"]),
        (&(2.0 / 3.0).into(), &3.into())
    );
    // Distance 0: P551 and P17, of which P17 is predicted, and the wrong P19. Distance 1: P27.
    assert_eq!(
        (&json["by_distance"][0]["precision"], &json["by_distance"][0]["support"]),
        (&0.5.into(), &2.into())
    );
    assert_eq!(
        (&json["by_distance"][1]["f1"], &json["by_distance"][5]["to"]),
        (&1.0.into(), &Value::Null)
    );
    assert_eq!(notes.len(), 2);
    assert!(notes[0].contains("1 repeated") && notes[1].contains("1 predictions for unknown"));
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn the_tables_are_aligned_and_name_the_relations() {
    let (text, _) = run_on(PREDICTIONS, &[]).unwrap();
    let line = |start: &str| {
        let found = text.lines().find(|line| line.starts_with(start));
        found.unwrap_or_else(|| panic!("no line {start:?} in\n{text}"))
    };
    assert!(words(line("all facts")).ends_with(&["50.00", "66.67", "57.14"]), "{text}");
    assert_eq!(line("all facts").len(), line("Ign (annotated)").len());
    // Predicted: one sentence, the right one. Gold: four.
    assert!(words(line("evidence")).ends_with(&["100.00", "25.00", "40.00"]), "{text}");
    let relation = words(line("P17 country"));
    assert!(relation.ends_with(&["100.00", "100.00", "100.00", "1"]), "{text}");
    // P551 and P17 have a side with two mentions, P27 has not.
    let section = text.split("\n\n").find(|section| section.starts_with("mentions of head"));
    let supports: Vec<_> = section.unwrap().lines().skip(1).map(|line| words(line).pop()).collect();
    assert_eq!(supports, ["1", "2", "0", "0", "0"].map(Some));
    assert!(line("7 and more").len() == line("entities of the document").len(), "{text}");
    assert!(!text.contains("Ign (distant)"), "{text}");
}

#[test]
fn distant_documents_give_a_second_ign_score() {
    let (text, _) = run_on(PREDICTIONS, &["--distant", "DIR/train.json", "--json"]).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["ign_f1_distant"], json["ign_f1"]);
}

#[test]
fn no_predictions_score_zero_with_a_note() {
    let (text, notes) = run_on("[]", &["--json"]).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&json["f1"], &json["ign_f1"]), (&0.0.into(), &0.0.into()));
    assert!(notes[0].contains("no predictions"));
}

#[test]
fn relations_are_read_from_both_file_formats() {
    let run = |flag: &[&str]| run_on(PREDICTIONS, flag).unwrap().0;
    let built_in = run(&["--json"]);
    assert_eq!(run(&["--json", "--relations", "DIR/rel2id.json"]), built_in);
    let error = failure(PREDICTIONS, &["--relations", "DIR/narrow.json"]);
    assert!(error.contains("gold.json: document 0") && error.contains("P551"), "{error}");
    let error = failure(PREDICTIONS, &["--relations", "DIR/none.json"]);
    assert!(error.contains("none.json"), "{error}");
}

#[test]
fn an_invalid_prediction_is_an_error_that_names_file_and_record() {
    let of = |record: &str| failure(&format!("[{record}]"), &[]);
    for (record, cause) in [
        (r#"{"title":"Anna","h_idx":0,"t_idx":1,"r":"P9999"}"#, "P9999"),
        (r#"{"title":"Anna","h_idx":3,"t_idx":1,"r":"P17"}"#, "h_idx is 3"),
        (r#"{"title":"Anna","h_idx":0,"r":"P17"}"#, "t_idx"),
    ] {
        let error = of(record);
        assert!(error.contains("predictions.json: record 0"), "{error}");
        assert!(error.contains(cause), "{error}");
    }
}

#[test]
fn self_relations_are_scored_where_the_option_allows_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dwie.json");
    let label = r#"{"h":0,"t":2,"r":"P27","evidence":[0,1]}"#;
    assert!(GOLD.contains(label));
    std::fs::write(&path, GOLD.replace(label, r#"{"h":2,"t":2,"r":"P17"}"#)).unwrap();
    let gold = ["--gold", path.to_str().unwrap()];
    let predictions = r#"[{"title":"Anna","h_idx":2,"t_idx":2,"r":"P17"},
                          {"title":"Anna","h_idx":1,"t_idx":2,"r":"P17"},
                          {"title":"Anna","h_idx":0,"t_idx":0,"r":"P17"}]"#;
    let more = [&gold[..], &["--self-relations", "--json"]].concat();
    let (text, notes) = run_on(predictions, &more).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&json["precision"], &json["recall"]), (&(2.0 / 3.0).into(), &(2.0 / 3.0).into()));
    assert!(notes.is_empty(), "{notes:?}");

    let error = failure(predictions, &gold);
    for part in ["dwie.json: document 0 (\"Anna\")", "related to itself", "`self_relations`"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn documents_without_labels_are_an_error_that_names_their_file() {
    let misspelt = GOLD.replace("\"labels\"", "\"relations\"");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("unlabelled.json");
    let file = path.to_str().unwrap();
    for (documents, expected) in [
        (misspelt, "no document has a label; the key is `labels`"),
        (GOLD.replace("\"labels\":[", "\"labels\":[],\"other\":["), "no document has a label"),
    ] {
        std::fs::write(&path, documents).unwrap();
        for option in ["--gold", "--train", "--distant"] {
            let error = failure(PREDICTIONS, &[option, file]);
            assert!(error.contains("unlabelled.json") && error.contains(expected), "{error}");
        }
    }
    std::fs::write(&path, "[]").unwrap();
    let error = failure(PREDICTIONS, &["--gold", file]);
    assert!(error.contains("unlabelled.json: there are no documents"), "{error}");
}

#[test]
fn repeated_gold_labels_give_the_evidence_score_of_the_official_scorer() {
    let gold = GOLD.replace(
        r#"{"h":1,"t":2,"r":"P17","evidence":[1]}"#,
        r#"{"h":1,"t":2,"r":"P17","evidence":[0]},{"h":1,"t":2,"r":"P17","evidence":[1]}"#,
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("repeated.json");
    std::fs::write(&path, gold).unwrap();
    let more = ["--gold", path.to_str().unwrap(), "--json"];
    let (text, _) = run_on(PREDICTIONS, &more).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    // One sentence is predicted and correct; the gold rows have 1 + 1 + 1 + 2 sentences.
    assert_eq!((&json["evidence_precision"], &json["evidence_recall"]), (&1.0.into(), &0.2.into()));
    assert_eq!(json["recall"], 2.0 / 3.0);
}

#[test]
fn without_training_documents_there_is_no_ign_score() {
    let dir = tempfile::tempdir().unwrap();
    let (predictions, gold) = (dir.path().join("p.json"), dir.path().join("g.json"));
    std::fs::write(&predictions, PREDICTIONS).unwrap();
    std::fs::write(&gold, GOLD).unwrap();
    let [predictions, gold] = [&predictions, &gold].map(|path| path.to_str().unwrap());
    let files = ["docre", "--predictions", predictions, "--gold", gold];
    let run = |more: &[&str]| evaluated(&Command::parse_from([&files[..], more].concat()).args);
    let (with, _) = run(&["--train", gold, "--json"]).unwrap();
    let (without, _) = run(&["--json"]).unwrap();
    let [with, without] = [with, without].map(|text| serde_json::from_str::<Value>(&text).unwrap());
    assert!(with["ign_f1"].is_number() && without["ign_f1"].is_null());
    assert_eq!(with["f1"], without["f1"]);
    assert!(!run(&[]).unwrap().0.contains("Ign"));
    let error = run(&["--frequent-relations", "train"]).unwrap_err().to_string();
    assert!(error.contains("give `--train`"), "{error}");
}

#[test]
fn standard_input_can_be_only_one_input() {
    let error = failure(PREDICTIONS, &["--gold", "-", "--predictions", "-"]);
    assert!(error.contains("only one input can be `-`"), "{error}");
}
