//! Tables with a caption and scoped headings, which scroll in a container of their own.

use maud::{Markup, Render, html};

use crate::ui::percent;

/// A table whose first column has the headings of the rows.
///
/// Columns of text are left-aligned, columns of numbers right-aligned.
pub(super) struct Table {
    /// The caption, unique in the report.
    pub(super) caption: String,
    /// The headings of all columns; that of the first one may be empty.
    pub(super) head: Vec<String>,
    /// The number of columns of text, at least the first one.
    pub(super) n_text_columns: usize,
    /// The rows.
    pub(super) rows: Vec<Row>,
}

/// A row of a table.
pub(super) struct Row {
    heading: String,
    cells: Vec<String>,
    /// The indices of the cells with the best value.
    best: Vec<usize>,
}

impl Row {
    /// A row of texts.
    pub(super) fn new(heading: impl Into<String>, cells: impl IntoIterator<Item = String>) -> Self {
        Self { heading: heading.into(), cells: cells.into_iter().collect(), best: Vec::new() }
    }

    /// A row of scores as fractions, in percent.
    pub(super) fn scores(heading: impl Into<String>, scores: &[Option<f64>]) -> Self {
        let text = |score: &Option<f64>| score.map_or("–".into(), percent);
        Self::new(heading, scores.iter().map(text))
    }

    /// A row of scores on equal documents, as [`scores`](Self::scores), of which the highest are
    /// marked if they differ.
    pub(super) fn compared_scores(heading: impl Into<String>, scores: &[Option<f64>]) -> Self {
        let known = || scores.iter().flatten();
        let highest = known().copied().fold(f64::MIN, f64::max);
        let differ = known().any(|&score| percent(score) != percent(highest));
        let is_best = |score: Option<f64>| {
            differ && score.is_some_and(|score| percent(score) == percent(highest))
        };
        let best = (0..scores.len()).filter(|&index| is_best(scores[index])).collect();
        Self { best, ..Self::scores(heading, scores) }
    }
}

impl Render for Table {
    fn render(&self) -> Markup {
        html! {
            div.scroll tabindex="0" role="region" aria-label=(self.caption) {
                table {
                    caption { (self.caption) }
                    thead {
                        tr {
                            @for (column, heading) in self.head.iter().enumerate() {
                                @if heading.is_empty() {
                                    td {}
                                } @else {
                                    th class=[(column < self.n_text_columns).then_some("text")] scope="col" {
                                        (heading)
                                    }
                                }
                            }
                        }
                    }
                    tbody { @for row in &self.rows { (row.markup(self.n_text_columns)) } }
                }
            }
        }
    }
}

impl Row {
    /// The row in a table with this number of columns of text.
    pub(super) fn markup(&self, n_text_columns: usize) -> Markup {
        html! {
            tr {
                th.text scope="row" { span { (self.heading) } }
                @for (index, cell) in self.cells.iter().enumerate() {
                    td class=[(index + 1 < n_text_columns).then_some("text")] {
                        @if self.best.contains(&index) { strong { (cell) } } @else { (cell) }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_scores_of_a_row_are_marked_unless_all_are_equal() {
        let row =
            |scores: &[Option<f64>]| Row::compared_scores("F1", scores).markup(1).into_string();
        // 0.50001 and 0.5 are both 50.00.
        let marked = row(&[Some(0.5), Some(0.25), None, Some(0.50001)]);
        let cells = "<td><strong>50.00</strong></td><td>25.00</td><td>–</td><td><strong>50.00<";
        assert!(marked.contains(cells), "{marked}");
        assert!(!row(&[Some(0.5), Some(0.5)]).contains("strong"));
    }

    #[test]
    fn headings_have_scopes_and_all_text_is_escaped() {
        let table = Table {
            caption: "a < b".into(),
            head: vec![String::new(), "<i>".into(), "n".into()],
            n_text_columns: 2,
            rows: vec![Row::new("<b>", ["<u>", "1"].map(String::from))],
        };
        let expected = [
            "<caption>a &lt; b</caption><thead><tr><td></td>",
            "<th class=\"text\" scope=\"col\">&lt;i&gt;</th><th scope=\"col\">n</th></tr></thead><tbody>",
            "<tr><th class=\"text\" scope=\"row\"><span>&lt;b&gt;</span></th>",
            "<td class=\"text\">&lt;u&gt;</td><td>1</td></tr>",
        ];
        let text = table.render().into_string();
        assert!(text.contains(&expected.concat()), "{text}");
    }
}
