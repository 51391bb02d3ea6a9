//! The tables of an ablation as Markdown, with columns aligned for the terminal.

use super::results::{AblationRow, AblationTable, Ablations, Metric, OrderedRows, Scores};
use crate::ui::percent;

/// The tables, a list of the groups that were left out, and the meaning of the columns.
pub fn markdown(results: &Ablations) -> String {
    let seeds: Vec<String> = results.seeds.iter().map(u64::to_string).collect();
    let mut text = format!(
        "# Ablations\n\nDev scores in percent, mean ± sample standard deviation over n of the \
         seeds {}. *Paper* is the paper's score on its own corpus. A difference between two rows has its \
         standard error over the seeds; their order is undecided if its 95 % confidence interval \
         (Student's t) contains 0, and with one seed.\n",
        seeds.join(", ")
    );
    for table in &results.tables {
        text += &format!("\n## {}\n\n", table.title);
        text += &format!("{}. Stage `{}`.\n", table.source, table.stage);
        if let Some(note) = &table.note {
            text += &format!("{note}\n");
        }
        text += &format!("\n{}\n", grid(&cells(table)));
        text.extend(table.order.iter().map(|pair| format!("- {}\n", verdict(pair, table))));
    }
    if !results.omitted.is_empty() {
        text += "\n## Left out\n\n";
        text.extend(results.omitted.iter().map(|omitted| format!("- {omitted}\n")));
    }
    text
}

/// The header and the rows. A metric has a second column if the paper has figures of it.
fn cells(table: &AblationTable) -> Vec<Vec<String>> {
    let has_paper =
        |metric: &Metric| table.rows.iter().any(|row| paper_score(row, metric).is_some());
    let mut header = vec!["".to_string(), "n".to_string()];
    for metric in &table.metrics {
        header.push(metric.title.clone());
        header.extend(has_paper(metric).then(|| "paper".to_string()));
    }
    let row = |row: &AblationRow| {
        let mut cells = vec![row.name.clone(), row.seeds.len().to_string()];
        for metric in &table.metrics {
            cells.push(own_score(row, metric));
            let paper = paper_score(row, metric).map_or_else(dash, percent);
            cells.extend(has_paper(metric).then_some(paper));
        }
        cells
    };
    std::iter::once(header).chain(table.rows.iter().map(row)).collect()
}

fn paper_score(row: &AblationRow, metric: &Metric) -> Option<f64> {
    row.paper.as_ref()?.get(&metric.key).copied()
}

/// Mean and deviation, as in `61.20 ± 0.45`.
fn own_score(row: &AblationRow, metric: &Metric) -> String {
    let score = |scores: &Option<Scores>| scores.as_ref()?.get(&metric.key).copied();
    match (score(&row.mean), score(&row.deviation)) {
        (None, _) => dash(),
        (Some(mean), None) => percent(mean),
        (Some(mean), Some(deviation)) => format!("{} ± {}", percent(mean), percent(deviation)),
    }
}

fn dash() -> String {
    "-".into()
}

/// A sentence that says whether the order of two rows is the paper's.
fn verdict(pair: &OrderedRows, table: &AblationTable) -> String {
    let OrderedRows { higher, lower, n_in_order, n_seeds, .. } = pair;
    let metric = table.metrics.iter().find(|metric| metric.key == table.order_metric);
    let metric = metric.map_or(&table.order_metric, |metric| &metric.title);
    let error = pair.standard_error.map(|error| format!(" ± {}", percent(error)));
    format!(
        "{}: {higher} above {lower} by {metric} (paper {:+.2}, here {:+.2}{}; seeds in order: \
         {n_in_order} of {n_seeds})",
        pair.order().name(),
        100.0 * pair.paper_difference,
        100.0 * pair.difference,
        error.unwrap_or_default(),
    )
}

/// A Markdown table with aligned columns; the first one is text, the others are numbers.
fn grid(rows: &[Vec<String>]) -> String {
    let n_columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    // A separator has at least three characters.
    let widths: Vec<usize> = (0..n_columns).map(|i| width(i).unwrap_or(0).max(3)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let separators = widths.iter().enumerate().map(|(column, &width)| {
        if column == 0 { "-".repeat(width) } else { "-".repeat(width - 1) + ":" }
    });
    let separators: Vec<String> = separators.collect();
    let mut lines = rows.iter().map(line);
    let header = lines.next().unwrap_or_default();
    header + &line(&separators) + &lines.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::{super::results::tests::row, *};

    #[test]
    fn a_table_has_mean_deviation_the_papers_score_and_a_verdict_for_each_pair() {
        let rows = vec![
            row("with", Some(0.6419), &[0.5, 0.625]),
            row("new", None, &[0.25]),
            row("without", Some(0.6356), &[]),
            row("other", Some(0.6356), &[0.75, 0.5]),
        ];
        let metric = |key: &str, title: &str| Metric { key: key.into(), title: title.into() };
        let table = AblationTable {
            group: "mixer".into(),
            title: "Pair mixer".into(),
            source: "A paper, Table 4".into(),
            note: Some("A note.".into()),
            stage: "teacher".into(),
            metrics: vec![metric("f1", "F1"), metric("ign_f1", "Ign F1")],
            order_metric: "f1".into(),
            order: OrderedRows::of(&rows, "f1"),
            rows,
        };
        let omitted = super::super::results::OmittedGroup {
            group: "key-classifier".into(),
            reason: "no KMGRE".into(),
        };
        let results = Ablations { seeds: vec![1, 2], tables: vec![table], omitted: vec![omitted] };
        // Deviations: of 0.5 and 0.625, 0.125 / √2; of 0.75 and 0.5, 0.25 / √2. The differences of the
        // two seeds are -0.25 and 0.125: their standard error is 0.375 / 2.
        let expected = "\
# Ablations

Dev scores in percent, mean ± sample standard deviation over n of the seeds 1, 2. *Paper* is the paper's score on its own corpus. A difference between two rows has its standard error over the seeds; their order is undecided if its 95 % confidence interval (Student's t) contains 0, and with one seed.

## Pair mixer

A paper, Table 4. Stage `teacher`.
A note.

|         |   n |            F1 | paper | Ign F1 |
| ------- | --: | ------------: | ----: | -----: |
| with    |   2 |  56.25 ± 8.84 | 64.19 |      - |
| new     |   1 |         25.00 |     - |      - |
| without |   0 |             - | 63.56 |      - |
| other   |   2 | 62.50 ± 17.68 | 63.56 |      - |

- undecided: with above other by F1 (paper +0.63, here -6.25 ± 18.75; seeds in order: 1 of 2)

## Left out

- key-classifier: no KMGRE
";
        assert_eq!(markdown(&results), expected);
    }
}
