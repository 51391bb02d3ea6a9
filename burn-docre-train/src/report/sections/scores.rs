//! The scores of all systems side by side.

use maud::html;

use super::parts::{Section, bars_of, head_of, legend_of, score_row};
use crate::report::{
    chart::{BarChart, Unit},
    system::System,
    table::{Row, Table},
};

/// A score, a fraction; `None` if it is not defined for the system.
type Score = (&'static str, fn(&System) -> Option<f64>);

/// The rows of the table.
const SCORES: [Score; 17] = [
    ("F1", |system| Some(system.report.official.f1)),
    ("Ign F1", |system| system.report.official.ign_f1),
    ("precision", |system| Some(system.report.official.precision)),
    ("recall", |system| Some(system.report.official.recall)),
    ("evidence F1", |system| evidence(system, system.report.official.evidence_f1)),
    ("evidence precision", |system| evidence(system, system.report.official.evidence_precision)),
    ("evidence recall", |system| evidence(system, system.report.official.evidence_recall)),
    ("macro F1, all relations", |system| Some(system.report.macro_average.f1)),
    ("macro precision", |system| Some(system.report.macro_average.precision)),
    ("macro recall", |system| Some(system.report.macro_average.recall)),
    ("F1, frequent relations", |system| Some(system.report.frequent?.f1)),
    ("F1, long-tail relations", |system| Some(system.report.long_tail?.f1)),
    ("F1, intra-sentence", |system| Some(system.report.intra.f1)),
    ("F1, inter-sentence", |system| Some(system.report.inter.f1)),
    ("F1, reasoning (Infer)", |system| Some(system.report.infer.score.f1)),
    ("F1, reasoning over all predictions", |system| Some(system.report.infer.f1_all_predictions)),
    ("F1, related or not", |system| Some(system.report.binary.f1)),
];

/// The rows of the chart.
const CHART: [Score; 7] =
    [SCORES[0], SCORES[1], SCORES[10], SCORES[11], SCORES[12], SCORES[13], SCORES[14]];

/// A score of the evidence; `None` for a system that names no evidence.
fn evidence(system: &System, score: f64) -> Option<f64> {
    let mut predictions = system.predictions.iter().flatten();
    predictions.any(|prediction| !prediction.fact.evidence.is_empty()).then_some(score)
}

pub(super) fn section(systems: &[System]) -> Option<Section> {
    if systems.is_empty() {
        return None;
    }
    let groups = CHART.map(|(label, score)| bars_of(label, "", systems, score));
    let chart = BarChart::new("Scores", "score", Unit::Percent, groups.into());
    let body = html! {
        p {
            "The best model of each stage predicts the dev documents. Scores are in percent, and the "
            "highest of a row is bold if all systems have the same documents. Frequent are the ten relations with the most facts in the "
            "training documents."
        }
        (legend_of(systems))
        div.beside {
            (chart)
            (table(systems))
        }
    };
    Some(Section { id: "scores", title: "Scores", body })
}

fn table(systems: &[System]) -> Table {
    let documents = |system: &System| system.corpus.documents.len().to_string();
    let facts = |system: &System| system.corpus.scorer.n_gold_facts().to_string();
    let numbers = [
        Row::new("dev documents", systems.iter().map(documents)),
        Row::new("gold facts", systems.iter().map(facts)),
    ];
    let row = |(label, score): Score| {
        let scores: Vec<Option<f64>> = systems.iter().map(score).collect();
        scores.iter().any(Option::is_some).then(|| score_row(label, &scores, systems))
    };
    Table {
        caption: "Dev scores of the best models, %".into(),
        head: head_of("", systems),
        n_text_columns: 1,
        rows: numbers.into_iter().chain(SCORES.into_iter().filter_map(row)).collect(),
    }
}
