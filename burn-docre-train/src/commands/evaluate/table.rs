//! The scores as aligned tables, in percent.

use std::{cmp::Reverse, fmt::Write};

use burn_docre::{
    data::relation::RelationVocab,
    eval::{PrecisionRecall, RelationScore, Report},
};

use crate::ui::table::Table;

/// Formats all tables of a report.
pub(super) fn render(report: &Report, vocab: &RelationVocab) -> String {
    let rows = scores(report).into_iter().chain([blank()]).chain(relations(report, vocab));
    let mut table = Table::new();
    rows.for_each(|row| table.row(row));
    let mut text = table.to_string();
    let errors = report.errors;
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "\ngold and predicted facts: {} correct, {} with a wrong relation, {} missed, {} spurious",
        errors.correct, errors.wrong, errors.missed, errors.spurious
    );
    text
}

type Row = [String; 5];

fn blank() -> Row {
    Row::default()
}

fn header(label: &str, last: &str) -> Row {
    [label, "precision", "recall", "F1", last].map(str::to_owned)
}

fn row(label: &str, score: PrecisionRecall) -> Row {
    let PrecisionRecall { precision, recall, f1 } = score;
    [label.to_owned(), percent(precision), percent(recall), percent(f1), String::new()]
}

fn percent(fraction: f64) -> String {
    format!("{:.2}", 100.0 * fraction)
}

fn scores(report: &Report) -> Vec<Row> {
    let scores = &report.official;
    let f1_only =
        |label: &str, f1| [label.to_owned(), "".into(), "".into(), percent(f1), "".into()];
    let official = |precision, recall, f1| PrecisionRecall { precision, recall, f1 };
    let mut rows = vec![
        header("", ""),
        row("all facts", official(scores.precision, scores.recall, scores.f1)),
    ];
    rows.extend(scores.ign_f1.map(|f1| f1_only("Ign (annotated)", f1)));
    rows.extend(scores.ign_f1_distant.map(|f1| f1_only("Ign (distant)", f1)));
    rows.extend([
        row(
            "evidence",
            official(scores.evidence_precision, scores.evidence_recall, scores.evidence_f1),
        ),
        blank(),
        row("frequent relations", report.frequent),
        row("long-tail relations", report.long_tail),
        row("intra-sentence", report.intra),
        row("inter-sentence", report.inter),
        row("reasoning (Infer)", report.infer.score),
        row(
            "  over all predictions",
            PrecisionRecall::from_ratios(
                report.infer.precision_all_predictions,
                report.infer.score.recall,
            ),
        ),
        row("related or not", report.binary),
    ]);
    rows
}

/// One row per relation type, in descending order of gold facts.
fn relations(report: &Report, vocab: &RelationVocab) -> Vec<Row> {
    let mut relations: Vec<(&String, &RelationScore)> = report.per_relation.iter().collect();
    relations.sort_by_key(|(_, relation)| Reverse(relation.support));
    let rows = relations.into_iter().map(|(id, relation)| {
        let mut row = row(&label(id, vocab), relation.score);
        row[4] = relation.support.to_string();
        row
    });
    [header("relation", "gold facts")].into_iter().chain(rows).collect()
}

fn label(id: &str, vocab: &RelationVocab) -> String {
    match vocab.index_of(id).map(|class| vocab.name(class)) {
        Some(name) if name != id => format!("{id} {name}"),
        _ => id.to_owned(),
    }
}
