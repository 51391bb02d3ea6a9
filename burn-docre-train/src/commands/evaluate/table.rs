//! The scores as aligned tables, in percent.

use std::{cmp::Reverse, fmt::Write};

use burn_docre::{
    data::relation::RelationVocab,
    eval::{MacroScore, PrecisionRecall, RangeScore, RelationScore, Report},
};

use crate::ui::{percent, table::Table};

/// Formats all tables of a report.
pub(super) fn render(report: &Report, vocab: &RelationVocab) -> String {
    let sections = [
        scores(report),
        ranges("sentence distance", &report.by_distance),
        ranges("mentions of head and tail", &report.by_mentions),
        ranges("entities of the document", &report.by_entities),
        relations(report, vocab),
    ];
    let mut table = Table::new();
    for (index, rows) in sections.into_iter().enumerate() {
        let space = (index > 0).then(blank);
        space.into_iter().chain(rows).for_each(|row| table.row(row));
    }
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

/// A row with the number of gold facts.
fn scored(label: &str, score: PrecisionRecall, support: usize) -> Row {
    let mut row = row(label, score);
    row[4] = support.to_string();
    row
}

fn scores(report: &Report) -> Vec<Row> {
    let scores = &report.official;
    let MacroScore { precision: macro_precision, recall: macro_recall, f1: macro_f1, .. } =
        report.macro_average;
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
        row("macro, all relations", official(macro_precision, macro_recall, macro_f1)),
        blank(),
    ]);
    rows.extend(report.frequent.map(|score| row("frequent relations", score)));
    rows.extend(report.long_tail.map(|score| row("long-tail relations", score)));
    rows.extend([
        row("intra-sentence", report.intra),
        row("inter-sentence", report.inter),
        row("reasoning (Infer)", report.infer.score),
        row(
            "  over all predictions",
            PrecisionRecall {
                precision: report.infer.precision_all_predictions,
                recall: report.infer.score.recall,
                f1: report.infer.f1_all_predictions,
            },
        ),
        row("related or not", report.binary),
    ]);
    rows
}

/// One row per range of a number.
fn ranges(label: &str, ranges: &[RangeScore]) -> Vec<Row> {
    let rows = ranges.iter().map(|range| {
        let label = match (range.from, range.to) {
            (from, Some(to)) if from == to => from.to_string(),
            (from, Some(to)) => format!("{from}–{to}"),
            (from, None) => format!("{from} and more"),
        };
        scored(&label, range.score, range.support)
    });
    [header(label, "gold facts")].into_iter().chain(rows).collect()
}

/// One row per relation type, in descending order of gold facts.
fn relations(report: &Report, vocab: &RelationVocab) -> Vec<Row> {
    let mut relations: Vec<(&String, &RelationScore)> = report.per_relation.iter().collect();
    relations.sort_by_key(|(_, relation)| Reverse(relation.support));
    let rows = relations
        .into_iter()
        .map(|(id, relation)| scored(&label(id, vocab), relation.score, relation.support));
    [header("relation", "gold facts")].into_iter().chain(rows).collect()
}

fn label(id: &str, vocab: &RelationVocab) -> String {
    match vocab.index_of(id).map(|class| vocab.name(class)) {
        Some(name) if name != id => format!("{id} {name}"),
        _ => id.to_owned(),
    }
}
