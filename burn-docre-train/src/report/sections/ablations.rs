//! The results of ablations beside those of the papers.

use maud::{Markup, html};

use super::parts::{Section, prose};
use crate::{
    ablation::results::{AblationRow, AblationTable, OrderedRows, Scores},
    report::{
        chart::{Bar, BarChart, BarGroup, Series, Unit, legend},
        inputs::ReportedAblation,
        table::{Row, Table},
    },
    ui::percent,
};

pub(super) fn section(ablations: &[ReportedAblation]) -> Option<Section> {
    if ablations.is_empty() {
        return None;
    }
    // A single ablation needs no name.
    let name_of = |of: &ReportedAblation| match ablations {
        [_] => String::new(),
        _ => format!(" ({})", of.name),
    };
    let body = html! {
        p {
            "Means over the seeds, with sample standard deviations. Models, corpora and encoders are not "
            "those of the papers: compare the order of the rows, not their scores. A difference has its standard "
            "error over the seeds; the order is undecided if its 95 % confidence interval (Student's t) contains "
            "0, and with one seed."
        }
        @for of in ablations {
            @for table in &of.results.tables { (of_table(table, &name_of(of))) }
        }
        @for of in ablations {
            @for group in &of.results.omitted {
                p { "Not run" (name_of(of)) ", " b { (group.group) } ": " (prose(&group.reason)) "." }
            }
        }
    };
    Some(Section { id: "ablations", title: "Ablations", body })
}

/// The part about one table. The `name` of its ablation makes captions unique in the report.
fn of_table(table: &AblationTable, name: &str) -> Markup {
    let title = format!("{}{name}", table.title);
    html! {
        h3 { (title) }
        p {
            (table.source) ". " @if let Some(note) = &table.note { (prose(note)) " " }
            "Stage " (table.stage) "."
        }
        (legend(&[here(), paper()]))
        div.beside {
            (chart(table, &title))
            div {
                (scores(table, &title))
                @if !table.order.is_empty() { (order(table, &title)) }
            }
        }
    }
}

fn here() -> Series {
    Series { index: 0, key: "H".into(), name: "here".into() }
}

fn paper() -> Series {
    Series { index: 1, key: "P".into(), name: "in the paper".into() }
}

/// The chart of the metric that orders the rows.
fn chart(table: &AblationTable, title: &str) -> BarChart {
    let metric = table.metrics.iter().find(|metric| metric.key == table.order_metric);
    let metric = metric.map_or(table.order_metric.as_str(), |metric| metric.title.as_str());
    let score = |scores: &Option<Scores>| scores.as_ref()?.get(&table.order_metric).copied();
    let group = |row: &AblationRow| BarGroup {
        label: row.name.clone(),
        note: String::new(),
        bars: vec![
            Bar { series: here(), value: score(&row.mean) },
            Bar { series: paper(), value: score(&row.paper) },
        ],
    };
    BarChart::new(
        format!("{metric}, {title}"),
        "variant",
        Unit::Percent,
        table.rows.iter().map(group).collect(),
    )
}

/// The means and deviations of all metrics beside the scores of the paper.
fn scores(table: &AblationTable, title: &str) -> Table {
    let head = table
        .metrics
        .iter()
        .flat_map(|metric| [metric.title.clone(), format!("{} in the paper", metric.title)]);
    let row = |row: &AblationRow| {
        let cells = table.metrics.iter().flat_map(|metric| {
            let of = |scores: &Option<Scores>| {
                scores.as_ref().and_then(|scores| scores.get(&metric.key).copied())
            };
            let deviation =
                of(&row.deviation).map(|deviation| format!(" ± {}", percent(deviation)));
            let mean = of(&row.mean).map(|mean| percent(mean) + &deviation.unwrap_or_default());
            [mean, of(&row.paper).map(percent)].map(|text| text.unwrap_or("–".into()))
        });
        let changes = if row.changes.is_empty() { "–".into() } else { row.changes.join(", ") };
        let n_seeds = row.seeds.len().to_string();
        Row::new(row.name.clone(), std::iter::once(changes).chain(cells).chain([n_seeds]))
    };
    let first = ["variant", "changed keys"].map(String::from);
    Table {
        caption: format!("{title}, %"),
        head: first.into_iter().chain(head).chain(["seeds".into()]).collect(),
        n_text_columns: 2,
        rows: table.rows.iter().map(row).collect(),
    }
}

/// The neighbours in the paper's order.
fn order(table: &AblationTable, title: &str) -> Table {
    let points = |difference: f64| format!("{:+.2}", 100.0 * difference);
    let row = |rows: &OrderedRows| {
        let error = rows.standard_error.map(|error| format!(" ± {}", percent(error)));
        Row::new(
            format!("{} above {}", rows.higher, rows.lower),
            [
                points(rows.paper_difference),
                points(rows.difference) + &error.unwrap_or_default(),
                format!("{} of {}", rows.n_in_order, rows.n_seeds),
                rows.order().name().into(),
            ],
        )
    };
    let head =
        ["order in the paper", "by, in the paper", "by, here", "seeds in order", "order here"];
    Table {
        caption: format!("Order of the rows: {title}"),
        head: head.map(String::from).into(),
        n_text_columns: 1,
        rows: table.order.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ablation::results::{Ablations, Metric, OmittedGroup, SeedScores};

    fn ablation(name: &str) -> ReportedAblation {
        let of = |score: f64| Scores::from([("f1".into(), score)]);
        let row = |name: &str, paper: Option<f64>, scores: &[f64]| {
            let seeds =
                (1..).zip(scores).map(|(seed, &score)| SeedScores { seed, scores: of(score) });
            AblationRow::new(name.into(), "run".into(), Vec::new(), paper.map(of), seeds.collect())
        };
        let rows = vec![row("full", Some(0.75), &[0.5, 0.7]), row("<b>without", None, &[0.25])];
        let order = OrderedRows {
            higher: "full".into(),
            lower: "<b>without".into(),
            paper_difference: 0.25,
            difference: -0.5,
            standard_error: Some(0.03),
            n_in_order: 1,
            n_seeds: 2,
        };
        let table = AblationTable {
            group: "axial".into(),
            title: "Axial attention".into(),
            source: "Paper, table 4".into(),
            note: None,
            stage: "teacher".into(),
            metrics: vec![Metric { key: "f1".into(), title: "F1".into() }],
            order_metric: "f1".into(),
            rows,
            order: vec![order],
        };
        let omitted = vec![OmittedGroup { group: "em".into(), reason: "there is no EM".into() }];
        let results = Ablations { seeds: vec![1, 2], tables: vec![table], omitted };
        ReportedAblation::named(name, results)
    }

    #[test]
    fn means_deviations_and_the_papers_scores_stand_side_by_side() {
        let text = section(&[ablation("demo")]).unwrap().body.into_string();
        // The deviation of 0.5 and 0.7 is the root of 2 · 0.1² / 1.
        let row = "<th class=\"text\" scope=\"row\"><span>full</span></th><td class=\"text\">–</td><td>60.00 ± 14.14</td>\
                   <td>75.00</td><td>2</td>";
        assert!(text.contains(row), "{text}");
        let row = "&lt;b&gt;without</span></th><td class=\"text\">–</td><td>25.00</td><td>–</td>\
                   <td>1</td>";
        assert!(text.contains(row), "{text}");
        let row = "full above &lt;b&gt;without</span></th><td>+25.00</td><td>-50.00 ± 3.00</td><td>1 of 2</td><td>reversed<";
        assert!(text.contains(row), "{text}");
        assert!(text.contains("Not run, <b>em</b>: there is no EM"), "{text}");
    }

    #[test]
    fn tables_of_two_ablations_have_their_names() {
        let text = section(&[ablation("demo"), ablation("small")]).unwrap().body.into_string();
        for caption in ["Axial attention (demo), %", "Axial attention (small), %"] {
            let caption = format!("<caption>{caption}</caption>");
            assert_eq!(text.matches(&caption).count(), 1, "{caption}");
        }
        assert!(text.contains("Not run (small), <b>em</b>"), "{text}");
    }
}
