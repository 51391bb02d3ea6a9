//! The runs: their models, machines and recorded results.

use maud::html;

use super::parts::Section;
use crate::{
    config::EncoderSource,
    report::{
        run::{ReportedRun, ReportedStage},
        table::{Row, Table},
    },
    run::manifest::{Manifest, Start},
    ui::percent,
};

/// The dev metrics of the table of results, by key.
const METRICS: [(&str, &str); 5] = [
    ("F1", "f1"),
    ("Ign F1", "ign_f1"),
    ("precision", "precision"),
    ("recall", "recall"),
    ("evidence F1", "evidence_f1"),
];

pub(super) fn section(runs: &[ReportedRun]) -> Option<Section> {
    if runs.is_empty() {
        return None;
    }
    let body = html! {
        p {
            "Letters stand for runs, and numbers behind them for the stages of a run. Scores in this "
            "section are those of the best epoch, as recorded in training, in percent."
        }
        (table_of_runs(runs))
        (table_of_stages(runs))
    };
    Some(Section { id: "runs", title: "Runs", body })
}

fn table_of_runs(runs: &[ReportedRun]) -> Table {
    let head = ["", "run", "plan", "system", "encoder", "backend", "device", "program", "seed"];
    let row = |run: &ReportedRun| {
        let starts = run.manifest.as_ref().map(Manifest::starts).unwrap_or_default();
        let start = |text: fn(&Start) -> String| starts.last().map_or("–".into(), text);
        let config = &run.config;
        let cells = [
            run.name.clone(),
            config.plan.plan().name.to_owned(),
            config.model.kind().to_owned(),
            encoder(&config.encoder),
            start(|start| start.backend.clone()),
            start(|start| start.device_names.join("; ")),
            start(program),
            config.seed.to_string(),
        ];
        Row::new(run.key.clone(), cells)
    };
    Table {
        caption: "The runs and their last starts".into(),
        head: head.map(String::from).into(),
        n_text_columns: 8,
        rows: runs.iter().map(row).collect(),
    }
}

fn encoder(encoder: &EncoderSource) -> String {
    match encoder {
        EncoderSource::Pretrained(path) => path.display().to_string(),
        EncoderSource::Scratch(_) => "from scratch".into(),
    }
}

/// The version of the program with the first digits of its commit.
fn program(start: &Start) -> String {
    match start.commit.as_ref().and_then(|commit| commit.get(..9)) {
        Some(commit) => format!("{} ({commit})", start.version),
        None => start.version.clone(),
    }
}

fn table_of_stages(runs: &[ReportedRun]) -> Table {
    let stages = || runs.iter().flat_map(|run| &run.stages);
    let is_known = |key: &str| {
        stages().any(|stage| stage.metrics().is_some_and(|metrics| metrics.contains_key(key)))
    };
    let metrics: Vec<_> = METRICS.into_iter().filter(|(_, key)| is_known(key)).collect();
    let titles = metrics.iter().map(|(title, _)| (*title).to_owned());
    let row = |stage: &ReportedStage| {
        let scores = metrics.iter().map(|(_, key)| {
            let score = stage.metrics().and_then(|metrics| metrics.get(*key));
            score.map_or("–".into(), |score| percent(*score))
        });
        let state = &stage.state;
        let best = state.best_epoch.map_or("–".into(), |epoch| epoch.to_string());
        let progress = if state.finished { "finished" } else { "in progress" };
        let rest = [best, state.epochs_done.to_string(), state.step.to_string()];
        let first = [stage.series.name.clone(), progress.into()];
        Row::new(stage.series.key.clone(), first.into_iter().chain(scores).chain(rest))
    };
    let first = ["", "stage", "state"].map(String::from);
    let rest = ["best epoch", "epochs", "steps"].map(String::from);
    Table {
        caption: "Dev scores of the stages, as recorded in training".into(),
        head: first.into_iter().chain(titles).chain(rest).collect(),
        n_text_columns: 3,
        rows: stages().map(row).collect(),
    }
}
