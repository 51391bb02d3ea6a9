//! The scores of all systems side by side.

use burn_docre::eval::Report;
use maud::html;

use super::{Section, bars_of, head_of, legend_of};
use crate::report::{
    chart::{BarChart, Unit},
    system::System,
    table::{Row, Table},
};

/// A score of a report, a fraction; `None` if it is not defined.
type Score = (&'static str, fn(&Report) -> Option<f64>);

/// The rows of the table.
const SCORES: [Score; 17] = [
    ("F1", |report| Some(report.official.f1)),
    ("Ign F1", |report| report.official.ign_f1),
    ("precision", |report| Some(report.official.precision)),
    ("recall", |report| Some(report.official.recall)),
    ("evidence F1", |report| Some(report.official.evidence_f1)),
    ("evidence precision", |report| Some(report.official.evidence_precision)),
    ("evidence recall", |report| Some(report.official.evidence_recall)),
    ("macro F1, all relations", |report| Some(report.macro_average.f1)),
    ("macro precision", |report| Some(report.macro_average.precision)),
    ("macro recall", |report| Some(report.macro_average.recall)),
    ("F1, frequent relations", |report| Some(report.frequent.f1)),
    ("F1, long-tail relations", |report| Some(report.long_tail.f1)),
    ("F1, intra-sentence", |report| Some(report.intra.f1)),
    ("F1, inter-sentence", |report| Some(report.inter.f1)),
    ("F1, reasoning (Infer)", |report| Some(report.infer.score.f1)),
    ("F1, reasoning over all predictions", |report| Some(report.infer.f1_all_predictions)),
    ("F1, related or not", |report| Some(report.binary.f1)),
];

/// The rows of the chart.
const CHART: [Score; 7] =
    [SCORES[0], SCORES[1], SCORES[10], SCORES[11], SCORES[12], SCORES[13], SCORES[14]];

pub(super) fn section(systems: &[System]) -> Option<Section> {
    if systems.is_empty() {
        return None;
    }
    let groups = CHART
        .map(|(label, score)| bars_of(label, "", systems, |system: &System| score(&system.report)));
    let chart = BarChart {
        title: "Scores".into(),
        of: "score",
        unit: Unit::Percent,
        groups: groups.into(),
    };
    let body = html! {
        p {
            "The best model of each stage predicts the dev documents. Scores are in percent, and the "
            "highest of a row is bold. Frequent are the ten relations with the most facts in the "
            "training documents."
        }
        (legend_of(systems))
        div.charts { (chart) }
        (table(systems))
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
        let scores: Vec<Option<f64>> = systems.iter().map(|system| score(&system.report)).collect();
        Row::scores(label, &scores)
    };
    Table {
        caption: "Dev scores of the best models, %".into(),
        head: head_of("", systems),
        rows: numbers.into_iter().chain(SCORES.map(row)).collect(),
    }
}
