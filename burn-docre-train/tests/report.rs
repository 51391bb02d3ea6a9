//! `docre report` on runs that were trained here.

mod common;

use common::{Sandbox, TRAIN_TEACHER, stdout};

/// The text of a page.
fn page(sandbox: &Sandbox, name: &str) -> String {
    std::fs::read_to_string(sandbox.path(name)).unwrap()
}

/// Reports whether the page has a section with this identifier.
fn has_section(page: &str, id: &str) -> bool {
    page.contains(&format!("<section id=\"{id}\""))
}

/// Writes the report of `arguments` to `report.html`.
fn report(sandbox: &Sandbox, arguments: &[&str]) -> String {
    sandbox.succeed(&[&["report"], arguments, &["--output", "report.html"]].concat());
    page(sandbox, "report.html")
}

#[test]
fn the_page_has_the_curves_and_scores_of_every_stage_and_loads_nothing() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["distill", "tiny.toml", "--out", "run"]);
    let page = report(&sandbox, &["run"]);
    for id in ["runs", "scores", "curves", "relations", "errors", "binary", "ranges", "documents"] {
        assert!(has_section(&page, id), "{id}");
    }
    let results = sandbox.json("run/results.json");
    for (key, stage) in [("A1", "teacher"), ("A2", "student"), ("A3", "finetune")] {
        assert!(page.contains(&format!("<b>{key}</b>")), "{key}");
        // The models predict the dev documents as in training, so a message about another F1 is
        // missing.
        let f1 = format!("{:.2}", 100.0 * results[stage]["f1"].as_f64().unwrap());
        assert!(page.matches(&f1).count() >= 2, "{stage}: {f1}");
    }
    assert!(!page.contains("in training and is"), "{page}");
    for title in ["Loss, teacher", "Distillation Loss, student", "dev F1, student, fine-tuned"] {
        assert!(page.contains(title), "{title}");
    }
    for address in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(address), "{address}");
    }
    // Without ablations and benchmarks, the page says how to add them.
    assert!(!has_section(&page, "throughput") && page.contains("bench --output"), "{page}");
}

#[test]
fn two_runs_stand_side_by_side_with_the_keys_that_differ() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&TRAIN_TEACHER);
    let other = ["--set", "loss={ kind = \"atl\" }", "--set", "seed=8"];
    sandbox.succeed(
        &[&["train", "tiny.toml", "--stage", "teacher", "--out", "other"], &other[..]].concat(),
    );
    let page = report(&sandbox, &["run", "other"]);
    for part in [
        "<th class=\"text\" scope=\"row\"><span>seed</span></th><td class=\"text\">7</td><td class=\"text\">8</td>",
        "<th scope=\"col\">A1</th><th scope=\"col\">B1</th>",
        "<b>B1</b> other: teacher",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(
        !page.contains("<th class=\"text\" scope=\"row\"><span>stages.teacher.epochs</span></th>"),
        "{page}"
    );
    let again = report(&sandbox, &["run", "other"]);
    assert!(page == again, "equal inputs give equal bytes");
}

#[test]
fn the_documents_of_another_model_are_shown_and_wrong_names_are_errors_before_any_prediction() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["distill", "tiny.toml", "--out", "run"]);
    for (model, name) in [("A1", "run: teacher"), ("run: student", "run: student")] {
        let page = report(&sandbox, &["run", "--documents-of", model]);
        let (_, documents) = page.split_once("<section id=\"documents\"").unwrap();
        let (documents, _) = documents.split_once("<section").unwrap();
        assert!(documents.contains(name), "{name}");
    }
    for stage in ["teacher", "student", "finetune"] {
        sandbox.write(&format!("run/{stage}/model/model.safetensors"), "damaged");
    }
    for (arguments, expected) in [
        (
            ["--documents-of", "B1"],
            "no model is called \"B1\"; the models are A1 (run: teacher), A2",
        ),
        (["--document", "None"], "no dev document has the title or index \"None\""),
    ] {
        let command = [&["report", "run", "-o", "report.html"], &arguments[..]].concat();
        let message = sandbox.fail(1, &command);
        // The note about a model that cannot predict.
        assert!(message.contains(expected) && !message.contains("no predictions"), "{message}");
    }
}

#[test]
fn a_run_without_its_model_or_with_changed_documents_still_has_curves() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["train", "tiny.toml", "--stage", "teacher", "--out", "run"]);
    let page_without = report(&sandbox, &["run", "--no-predictions"]);
    assert!(has_section(&page_without, "curves") && !has_section(&page_without, "scores"));
    std::fs::remove_file(sandbox.path("run/teacher/model/model.safetensors")).unwrap();
    let page = report(&sandbox, &["run"]);
    assert!(has_section(&page, "curves") && !has_section(&page, "scores"));
    assert!(page.contains("A1, run: teacher: the stage has no model."), "{page}");
    sandbox.write("run/teacher/model/model.safetensors", "damaged");
    let page = report(&sandbox, &["run"]);
    assert!(page.contains("A1, run: teacher: no predictions: "), "{page}");
}

/// Trains a teacher on the documents of [`TRAIN_TEACHER`] as files, in the directory `out`.
fn train_on_files(sandbox: &Sandbox, out: &str) {
    let text = std::fs::read_to_string(sandbox.path("tiny.toml")).unwrap();
    let (before, rest) = text.split_once("[data.synthetic]").unwrap();
    let (_, after) = rest.split_once("[encoder").unwrap();
    let data = r#"
[data]
train = "run/data/train.json"
dev = "run/data/dev.json"
relations = "rel2id.json"
relation_names = "names.json"
"#;
    sandbox.write("files.toml", format!("{before}[encoder{after}{data}"));
    let vocab = sandbox.json("run/teacher/model/relations.json");
    let ids = vocab.as_array().unwrap().iter().map(|relation| relation["id"].as_str().unwrap());
    let rel2id: serde_json::Map<_, _> =
        ids.zip(0..).map(|(id, class)| (id.into(), class.into())).collect();
    sandbox.write("rel2id.json", serde_json::Value::from(rel2id).to_string());
    sandbox.write("names.json", r#"{"P17": "state of the place"}"#);
    sandbox.succeed(&["train", "files.toml", "--stage", "teacher", "--out", out]);
}

#[test]
fn documents_that_changed_since_the_training_are_not_scored() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&TRAIN_TEACHER);
    train_on_files(&sandbox, "files");
    assert!(has_section(&report(&sandbox, &["files"]), "scores"));
    sandbox.write("run/data/dev.json", one_document());
    let page = report(&sandbox, &["files"]);
    assert!(!has_section(&page, "scores"));
    let message = "A: files: no predictions: run/data/dev.json has changed since the run began";
    assert!(page.contains(message), "{page}");
    // A run on the present documents does not make them those of the other one.
    std::fs::copy(sandbox.path("run/data/train.json"), sandbox.path("run/data/dev.json")).unwrap();
    train_on_files(&sandbox, "newer");
    let page = report(&sandbox, &["newer", "files"]);
    assert!(has_section(&page, "scores"));
    let message = "B: files: no predictions: run/data/dev.json has changed since the run began";
    assert!(page.contains(message), "{page}");
}

#[test]
fn facts_and_bars_have_the_names_of_relations_after_their_file_is_gone() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&TRAIN_TEACHER);
    train_on_files(&sandbox, "files");
    std::fs::remove_file(sandbox.path("names.json")).unwrap();
    let page = report(&sandbox, &["files"]);
    let (bars, facts) = page.split_once("<section id=\"documents\"").unwrap();
    assert!(bars.contains("P17 state of the place"), "{bars}");
    assert!(facts.contains("state of the place"), "{facts}");
}

/// A document without relations.
fn one_document() -> &'static str {
    r#"[{"title": "One", "sents": [["Anna"]], "vertexSet": [], "labels": []}]"#
}

#[test]
fn a_hostile_name_does_not_become_markup_on_standard_output() {
    let sandbox = Sandbox::new();
    let name = "<img src=x onerror=alert(1)>";
    sandbox.succeed(&["train", "tiny.toml", "--stage", "teacher", "--out", name]);
    let page = stdout(&sandbox.succeed(&["report", name, "--no-predictions", "-o", "-"]));
    assert!(page.starts_with("<!DOCTYPE html>") && !page.contains("<img"), "{page}");
    assert!(page.contains("Report: &lt;img src=x onerror=alert(1)&gt;"), "{page}");
}

#[test]
fn an_argument_that_is_no_run_is_an_error() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("empty")).unwrap();
    let message = sandbox.fail(1, &["report", "empty", "-o", "report.html"]);
    assert!(message.contains("empty: neither a run, an ablation nor"), "{message}");
    let message = sandbox.fail(1, &["report", "tiny.toml", "-o", "tiny.toml"]);
    assert!(message.contains("is an input of this command"), "{message}");
    sandbox.write("empty/results.json", "{}");
    let message = sandbox.fail(1, &["report", "empty", "-o", "empty/results.json"]);
    assert!(message.contains("end the name of the page in `.html`"), "{message}");
    let message = sandbox.fail(1, &["report", "empty", "-o", "none/report.html"]);
    assert!(message.contains("the directory of the output does not exist"), "{message}");
    sandbox.fail(2, &["report", "empty"]);
    assert!(!sandbox.path("report.html").exists());
}
