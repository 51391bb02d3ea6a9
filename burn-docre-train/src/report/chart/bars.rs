//! Bar charts: groups of horizontal bars under their labels.

use maud::{Markup, Render, html};

use super::{
    figure::{WIDTH, figure, round, shortened, text},
    series::{Series, Unit},
};
use crate::report::table::{Row, Table};

/// The start of the bars, behind the keys of their series.
const LEFT: f64 = 34.0;
/// The end of the longest bar, before its value.
const RIGHT: f64 = WIDTH - 56.0;
const LABEL: f64 = 18.0;
const BAR: f64 = 10.0;
const ROW: f64 = 15.0;
const GAP: f64 = 6.0;
/// The most characters of a label beside a note of its usual length.
const LABEL_CHARACTERS: usize = 34;

/// A bar chart.
pub(crate) struct BarChart {
    /// The title.
    title: String,
    /// The heading of the groups in the table of values.
    of: &'static str,
    /// The unit of the values.
    unit: Unit,
    /// The groups from top to bottom.
    groups: Vec<BarGroup>,
    /// The value at the end of the axis; `None` for the largest value. A part of a chart has that
    /// of the whole.
    end: Option<f64>,
}

/// Bars under one label.
pub(crate) struct BarGroup {
    /// The label.
    pub(crate) label: String,
    /// A short text at the other end of the label's line; may be empty.
    pub(crate) note: String,
    /// The bars from top to bottom.
    pub(crate) bars: Vec<Bar>,
}

/// A bar.
pub(crate) struct Bar {
    /// The stage or process of the bar.
    pub(crate) series: Series,
    /// The length; `None` draws no bar and a dash, and a negative value no bar.
    pub(crate) value: Option<f64>,
}

impl Render for BarChart {
    fn render(&self) -> Markup {
        self.figure()
    }
}

impl BarChart {
    /// A chart of `groups` from top to bottom. `of` is their heading in the table of values.
    pub(crate) fn new(
        title: impl Into<String>,
        of: &'static str,
        unit: Unit,
        groups: Vec<BarGroup>,
    ) -> Self {
        Self { title: title.into(), of, unit, groups, end: None }
    }

    /// The chart as a figure.
    fn figure(&self) -> Markup {
        let title = format!("{}{}", self.title, self.unit.suffix());
        let rows: usize = self.groups.iter().map(|group| group.bars.len()).sum();
        let height = self.groups.len() as f64 * (LABEL + GAP) + rows as f64 * ROW;
        figure(&title, height, &self.summary(), &self.drawing(), &self.values(&title))
    }

    /// Charts of at most `n` groups each, with the axis of the whole. The titles have the positions
    /// of their groups.
    pub(crate) fn split(self, n: usize) -> Vec<Self> {
        let (end, total) = (Some(self.end()), self.groups.len());
        let mut charts = Vec::new();
        let mut groups = self.groups.into_iter();
        for first in (0..total).step_by(n) {
            let title = format!("{}, {} to {}", self.title, first + 1, total.min(first + n));
            let groups = groups.by_ref().take(n).collect();
            charts.push(Self { title, of: self.of, unit: self.unit, groups, end });
        }
        charts
    }

    /// The value at the end of the axis.
    fn end(&self) -> f64 {
        self.end.unwrap_or_else(|| self.largest())
    }

    fn largest(&self) -> f64 {
        let bars = self.groups.iter().flat_map(|group| &group.bars);
        bars.filter_map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max)
    }

    fn drawing(&self) -> Markup {
        let (end, mut y) = (self.end(), 0.0);
        let groups = self.groups.iter().map(|group| {
            let drawing = group.drawing(y, end, self.unit);
            y += LABEL + ROW * group.bars.len() as f64 + GAP;
            drawing
        });
        html! { @for group in groups { (group) } }
    }

    fn summary(&self) -> String {
        let describe = |group: &BarGroup| {
            let bars = group.bars.iter();
            let value = |bar: &Bar| format!("{} {}", bar.series.key, text_of(self.unit, bar.value));
            format!("{}: {}.", group.label, bars.map(value).collect::<Vec<_>>().join(", "))
        };
        let groups: Vec<String> = self.groups.iter().map(describe).collect();
        format!("Bar chart, {}{}. {}", self.title, self.unit.suffix(), groups.join(" "))
    }

    /// The values, one row for each group. The columns are the series in the order in which they
    /// appear.
    fn values(&self, title: &str) -> Table {
        let mut series: Vec<&Series> = Vec::new();
        for bar in self.groups.iter().flat_map(|group| &group.bars) {
            if !series.contains(&&bar.series) {
                series.push(&bar.series);
            }
        }
        let has_notes = self.groups.iter().any(|group| !group.note.is_empty());
        let row = |group: &BarGroup| {
            let note = has_notes.then(|| group.note.clone());
            let value = |series: &&Series| {
                let bar = group.bars.iter().find(|bar| bar.series == **series);
                text_of(self.unit, bar.and_then(|bar| bar.value))
            };
            Row::new(group.label.clone(), note.into_iter().chain(series.iter().map(value)))
        };
        let note = has_notes.then(String::new);
        let keys = series.iter().map(|series| series.key.clone());
        Table {
            caption: title.to_owned(),
            head: std::iter::once(self.of.to_owned()).chain(note).chain(keys).collect(),
            n_text_columns: 1,
            rows: self.groups.iter().map(row).collect(),
        }
    }
}

fn text_of(unit: Unit, value: Option<f64>) -> String {
    value.map_or("–".into(), |value| unit.text(value))
}

impl BarGroup {
    /// Draws the group with its upper edge at `y`; `end` is the value at the end of the axis.
    fn drawing(&self, y: f64, end: f64, unit: Unit) -> Markup {
        let n_characters = if self.note.is_empty() { usize::MAX } else { LABEL_CHARACTERS };
        let rows = (0..self.bars.len()).map(|row| y + LABEL + ROW * row as f64);
        html! {
            (text((0.0, y + 13.0), "label", &shortened(&self.label, n_characters.min(50))))
            @if !self.note.is_empty() {
                (text((WIDTH, y + 13.0), "end muted", &self.note))
            }
            @for (bar, y) in self.bars.iter().zip(rows) { (bar.drawing(y, end, unit)) }
        }
    }
}

impl Bar {
    fn drawing(&self, y: f64, end: f64, unit: Unit) -> Markup {
        let width = (RIGHT - LEFT) * self.value.unwrap_or(0.0).max(0.0) / end;
        html! {
            g class=(self.series.class()) {
                (text((LEFT - 6.0, y + 9.0), "end key", &self.series.key))
                rect.bar x=(LEFT) y=(round(y)) width=(round(width)) height=(BAR) {}
                (text((LEFT + width + 5.0, y + 9.0), "value", &text_of(unit, self.value)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(values: &[(&str, [Option<f64>; 2])]) -> BarChart {
        let bar = |(index, value): (usize, Option<f64>)| {
            let key = ["A", "B"][index].to_owned();
            Bar { series: Series { index, key, name: "a run".into() }, value }
        };
        let group = |(label, values): &(&str, [Option<f64>; 2])| BarGroup {
            label: (*label).into(),
            note: "7 facts".into(),
            bars: values.iter().copied().enumerate().map(bar).collect(),
        };
        let groups = values.iter().map(group).collect();
        BarChart::new("F1", "relation", Unit::Percent, groups)
    }

    #[test]
    fn the_parts_of_a_chart_have_the_axis_of_the_whole() {
        let values = [("a", [Some(0.5), None]), ("b", [None, None]), ("c", [Some(0.25), None])];
        let parts = chart(&values).split(2);
        let titles: Vec<&str> = parts.iter().map(|part| part.title.as_str()).collect();
        assert_eq!(titles, ["F1, 1 to 2", "F1, 3 to 3"]);
        assert_eq!(parts[1].groups[0].label, "c");
        let drawing = parts[1].drawing().into_string();
        assert!(drawing.contains("width=\"125\""), "{drawing}");
    }

    #[test]
    fn bars_are_drawn_at_the_positions_of_a_calculation_by_hand() {
        let drawing =
            chart(&[("a", [Some(0.5), Some(0.125)]), ("b", [None, Some(0.25)])]).drawing();
        let drawing = drawing.into_string();
        // The axis of 250 units ends at 0.5. A group has 18 + 2 · 15 + 6 = 54 units.
        for (y, width) in [(18, "250"), (33, "62.5"), (72, "0"), (87, "125")] {
            let bar = format!("x=\"34\" y=\"{y}\" width=\"{width}\" height=\"10\"");
            assert!(drawing.contains(&bar), "{bar} in {drawing}");
        }
        assert!(drawing.contains(">–<"), "{drawing}");
    }

    #[test]
    fn the_text_alternative_has_a_summary_and_all_values() {
        let figure = chart(&[("a", [Some(0.5), None])]).figure().into_string();
        assert!(figure.contains("aria-label=\"Bar chart, F1, %. a: A 50.00, B –.\""), "{figure}");
        let row = "<th class=\"text\" scope=\"row\"><span>a</span></th><td>7 facts</td><td>50.00</td><td>–</td>";
        assert!(figure.contains(row), "{figure}");
    }

    #[test]
    fn a_hostile_label_does_not_become_markup() {
        let figure = chart(&[("<script>\"&", [None, None])]).figure().into_string();
        assert!(!figure.contains("<script>"), "{figure}");
        assert!(figure.contains("&lt;script&gt;&quot;&amp;"), "{figure}");
    }
}
