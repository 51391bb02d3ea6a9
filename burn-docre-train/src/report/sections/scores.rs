//! The scores of all models side by side.

use maud::html;

use super::parts::{Section, bars_of, head_of, legend_of, score_row};
use crate::report::{
    chart::{BarChart, Unit},
    scored_model::ScoredModel,
    table::{Row, Table},
};

/// A score, a fraction; `None` if it is not defined for the model.
type Score = (&'static str, fn(&ScoredModel) -> Option<f64>);

/// The rows of the table.
const SCORES: [Score; 17] = [
    ("F1", |model| Some(model.report.official.f1)),
    ("Ign F1", |model| model.report.official.ign_f1),
    ("precision", |model| Some(model.report.official.precision)),
    ("recall", |model| Some(model.report.official.recall)),
    ("evidence F1", |model| evidence(model, model.report.official.evidence_f1)),
    ("evidence precision", |model| evidence(model, model.report.official.evidence_precision)),
    ("evidence recall", |model| evidence(model, model.report.official.evidence_recall)),
    ("macro F1, all relations", |model| Some(model.report.macro_average.f1)),
    ("macro precision", |model| Some(model.report.macro_average.precision)),
    ("macro recall", |model| Some(model.report.macro_average.recall)),
    ("F1, frequent relations", |model| Some(model.report.frequent?.f1)),
    ("F1, long-tail relations", |model| Some(model.report.long_tail?.f1)),
    ("F1, intra-sentence", |model| Some(model.report.intra.f1)),
    ("F1, inter-sentence", |model| Some(model.report.inter.f1)),
    ("F1, reasoning (Infer)", |model| Some(model.report.infer.score.f1)),
    ("F1, reasoning over all predictions", |model| Some(model.report.infer.f1_all_predictions)),
    ("F1, related or not", |model| Some(model.report.binary.f1)),
];

/// The rows of the chart.
const CHART: [Score; 7] =
    [SCORES[0], SCORES[1], SCORES[10], SCORES[11], SCORES[12], SCORES[13], SCORES[14]];

/// A score of the evidence; `None` for a model that names no evidence.
fn evidence(model: &ScoredModel, score: f64) -> Option<f64> {
    model.system.names_evidence().then_some(score)
}

pub(super) fn section(models: &[ScoredModel]) -> Option<Section> {
    if models.is_empty() {
        return None;
    }
    let groups = CHART.map(|(label, score)| bars_of(label, "", models, score));
    let chart = BarChart::new("Scores", "score", Unit::Percent, groups.into());
    let body = html! {
        p {
            "The best model of each stage predicts the dev documents. Scores are in percent, and the "
            "highest of a row is bold if all models have the same documents. Frequent are the ten relations with the most facts in the "
            "training documents."
        }
        (legend_of(models))
        div.beside {
            (chart)
            (table(models))
        }
    };
    Some(Section { id: "scores", title: "Scores", body })
}

fn table(models: &[ScoredModel]) -> Table {
    let documents = |model: &ScoredModel| model.corpus.documents.len().to_string();
    let facts = |model: &ScoredModel| model.corpus.scorer.n_gold_facts().to_string();
    let numbers = [
        Row::new("dev documents", models.iter().map(documents)),
        Row::new("gold facts", models.iter().map(facts)),
    ];
    let row = |(label, score): Score| {
        let scores: Vec<Option<f64>> = models.iter().map(score).collect();
        scores.iter().any(Option::is_some).then(|| score_row(label, &scores, models))
    };
    Table {
        caption: "Dev scores of the best models, %".into(),
        head: head_of("", models),
        n_text_columns: 1,
        rows: numbers.into_iter().chain(SCORES.into_iter().filter_map(row)).collect(),
    }
}
