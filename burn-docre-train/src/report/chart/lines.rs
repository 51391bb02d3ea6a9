//! Line charts: one quantity over another, such as the loss over the steps.

use std::collections::BTreeMap;

use maud::{Markup, Render, html};

use super::{
    axis::{Axis, spread},
    figure::{WIDTH, figure, round, text},
    series::{Series, Unit},
};
use crate::report::table::{Row, Table};

const HEIGHT: f64 = 190.0;
const LEFT: f64 = 42.0;
const RIGHT: f64 = WIDTH - 30.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = HEIGHT - 34.0;
const INTERVALS: usize = 5;
/// The smallest distance between the keys at the ends of lines.
const LINE_OF_TEXT: f64 = 12.0;

/// A line chart.
pub(crate) struct LineChart {
    /// The title: the quantity of the vertical axis.
    pub(crate) title: String,
    /// The unit that the horizontal axis counts, such as `epoch`.
    pub(crate) over: &'static str,
    /// The unit of the vertical axis.
    pub(crate) unit: Unit,
    /// The lines.
    pub(crate) lines: Vec<Line>,
}

/// A line of a chart.
pub(crate) struct Line {
    /// The stage of the line.
    pub(crate) series: Series,
    /// The connected parts, at least one and none empty.
    pub(crate) segments: Vec<Segment>,
}

/// Connected points, ascending in `x`, over all segments of a line too; all numbers are finite.
pub(crate) type Segment = Vec<(f64, f64)>;

impl Render for LineChart {
    fn render(&self) -> Markup {
        self.figure()
    }
}

impl LineChart {
    /// The chart as a figure.
    fn figure(&self) -> Markup {
        let title = format!("{}{}", self.title, self.unit.suffix());
        figure(&title, HEIGHT, &self.summary(), &self.drawing(), &self.values(&title))
    }

    fn drawing(&self) -> Markup {
        let (x, y) = self.axes();
        html! {
            @for &tick in &y.ticks {
                path.grid d={ "M" (LEFT) " " (round(y.position(tick))) "H" (RIGHT) } {}
                (text(
                    (LEFT - 6.0, y.position(tick) + 4.0),
                    "end",
                    &self.tick(&y, tick),
                ))
            }
            @for &tick in &x.ticks {
                (text(
                    (x.position(tick), BOTTOM + 15.0),
                    "middle",
                    &format!("{tick:.*}", x.decimals),
                ))
            }
            (text(((LEFT + RIGHT) / 2.0, BOTTOM + 29.0), "middle muted", self.over))
            @for line in &self.lines { (line.drawing(&x, &y)) }
            (self.keys(&y))
        }
    }

    /// The label of a tick of the vertical axis.
    fn tick(&self, y: &Axis, tick: f64) -> String {
        let decimals = match self.unit {
            Unit::Percent => y.decimals.saturating_sub(2),
            Unit::Number => y.decimals,
        };
        format!("{:.decimals$}", self.unit.tick(tick))
    }

    /// The horizontal and the vertical axis. Quantities that are not negative start at 0.
    fn axes(&self) -> (Axis, Axis) {
        let points = || self.lines.iter().flat_map(Line::points);
        let range = |values: &mut dyn Iterator<Item = f64>| {
            values.fold((0_f64, f64::MIN), |(low, high), value| (low.min(value), high.max(value)))
        };
        let (x_low, x_high) = range(&mut points().map(|point| point.0));
        let (y_low, y_high) = range(&mut points().map(|point| point.1));
        (
            Axis::of_counts(x_low, x_high, INTERVALS, (LEFT, RIGHT)),
            Axis::around(y_low, y_high, INTERVALS, (BOTTOM, TOP)),
        )
    }

    /// The keys of the series at the ends of their lines, if there is room for all.
    fn keys(&self, y: &Axis) -> Markup {
        let ends = self.lines.iter().filter_map(|line| line.points().last());
        let heights: Vec<f64> = ends.map(|&(_, value)| y.position(value) + 4.0).collect();
        let heights = spread(&heights, LINE_OF_TEXT, TOP + 4.0, BOTTOM + 4.0).unwrap_or_default();
        html! {
            @for (line, height) in self.lines.iter().zip(heights) {
                g class=(line.series.class()) {
                    (text((RIGHT + 4.0, height), "key", &line.series.key))
                }
            }
        }
    }

    /// Describes each line by its first, last, lowest and highest value.
    fn summary(&self) -> String {
        let unit = self.unit;
        let describe = |line: &Line| {
            let values = || line.points().map(|point| point.1);
            let at = |point: Option<&(f64, f64)>| unit.text(point.map_or(0.0, |point| point.1));
            format!(
                "{} {}: from {} to {}, lowest {}, highest {}.",
                line.series.key,
                line.series.name,
                at(line.points().next()),
                at(line.points().last()),
                unit.text(values().fold(f64::MAX, f64::min)),
                unit.text(values().fold(f64::MIN, f64::max)),
            )
        };
        let lines: Vec<String> = self.lines.iter().map(describe).collect();
        format!("Line chart, {}{} by {}. {}", self.title, unit.suffix(), self.over, lines.join(" "))
    }

    /// The values of all lines, one row for each position.
    fn values(&self, title: &str) -> Table {
        let mut rows: BTreeMap<u64, (f64, Vec<String>)> = BTreeMap::new();
        for (column, line) in self.lines.iter().enumerate() {
            for &(x, y) in line.points() {
                // Positive floating-point numbers are ordered as their bits.
                let empty = || (x, vec![String::new(); self.lines.len()]);
                rows.entry(x.to_bits()).or_insert_with(empty).1[column] = self.unit.text(y);
            }
        }
        Table {
            caption: format!("{title} by {}", self.over),
            head: std::iter::once(self.over.to_owned())
                .chain(self.lines.iter().map(|line| line.series.key.clone()))
                .collect(),
            n_text_columns: 1,
            rows: rows.into_values().map(|(x, cells)| Row::new(significant_x(x), cells)).collect(),
        }
    }
}

/// A position in a table: whole numbers have no decimals.
fn significant_x(x: f64) -> String {
    if x.fract() == 0.0 { x.to_string() } else { format!("{x:.1}") }
}

impl Line {
    fn points(&self) -> impl Iterator<Item = &(f64, f64)> {
        self.segments.iter().flatten()
    }

    fn drawing(&self, x: &Axis, y: &Axis) -> Markup {
        let at = |(a, b): (f64, f64)| (round(x.position(a)), round(y.position(b)));
        let path = |segment: &Segment| {
            let commands = std::iter::once("M").chain(std::iter::repeat("L"));
            let points = commands.zip(segment).map(|(command, &point)| {
                let (x, y) = at(point);
                format!("{command}{x} {y}")
            });
            points.collect::<String>()
        };
        html! {
            g class=(self.series.class()) {
                @for segment in &self.segments {
                    @match &segment[..] {
                        // A line of one point would be invisible.
                        [point] => { circle.dot cx=(at(*point).0) cy=(at(*point).1) r="3" {} }
                        _ => { path.line d=(path(segment)) {} }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(key: &str) -> Series {
        Series { index: 0, key: key.into(), name: format!("run {key}") }
    }

    fn chart(lines: &[&[(f64, f64)]]) -> LineChart {
        let lines = lines.iter().zip(["A", "B"]);
        let line = |(points, key): (&&[(f64, f64)], &str)| Line {
            series: series(key),
            segments: vec![points.to_vec()],
        };
        LineChart {
            title: "loss".into(),
            over: "step",
            unit: Unit::Number,
            lines: lines.map(line).collect(),
        }
    }

    #[test]
    fn points_are_drawn_at_the_positions_of_a_calculation_by_hand() {
        // Axes 0 to 10 and 0 to 4: x = 42 + 268 · x / 10, y = 156 − 146 · y / 4.
        let drawing = chart(&[&[(0.0, 4.0), (5.0, 1.0), (10.0, 0.0)]]).drawing().into_string();
        assert!(drawing.contains("d=\"M42 10L176 119.5L310 156\""), "{drawing}");
    }

    #[test]
    fn a_line_of_one_point_is_a_dot() {
        let drawing = chart(&[&[(10.0, 4.0)]]).drawing().into_string();
        assert!(drawing.contains("<circle class=\"dot\" cx=\"310\" cy=\"10\""), "{drawing}");
    }

    #[test]
    fn the_parts_of_a_line_are_not_connected() {
        let mut chart = chart(&[&[(0.0, 4.0), (5.0, 1.0), (10.0, 0.0)]]);
        chart.lines[0].segments = vec![vec![(0.0, 4.0), (5.0, 1.0)], vec![(10.0, 0.0)]];
        let drawing = chart.drawing().into_string();
        assert!(drawing.contains("d=\"M42 10L176 119.5\""), "{drawing}");
        assert!(drawing.contains("<circle class=\"dot\" cx=\"310\" cy=\"156\""), "{drawing}");
    }

    #[test]
    fn the_keys_at_the_ends_of_lines_do_not_overlap() {
        let drawing = chart(&[&[(0.0, 1.0), (10.0, 4.0)], &[(0.0, 2.0), (10.0, 4.0)]]).drawing();
        let drawing = drawing.into_string();
        assert!(drawing.contains("y=\"14\" class=\"key\">A<"), "{drawing}");
        assert!(drawing.contains("y=\"26\" class=\"key\">B<"), "{drawing}");
    }

    #[test]
    fn ticks_in_percent_have_the_decimals_of_their_step() {
        let mut chart = chart(&[&[(1.0, 0.5), (2.0, 0.76)]]);
        chart.unit = Unit::Percent;
        let drawing = chart.drawing().into_string();
        assert!(drawing.contains(">80<") && !drawing.contains(">80.0<"), "{drawing}");
    }

    #[test]
    fn the_text_alternative_has_a_summary_and_all_values() {
        let figure = chart(&[&[(0.0, 4.0), (5.0, 1.0)], &[(5.0, 2.5)]]).figure().into_string();
        let summary = "Line chart, loss by step. A run A: from 4.00 to 1.00, lowest 1.00, highest \
                       4.00. B run B: from 2.50 to 2.50";
        assert!(figure.contains(summary), "{figure}");
        let row = "<th class=\"text\" scope=\"row\"><span>5</span></th><td>1.00</td><td>2.50</td>";
        assert!(figure.contains(row), "{figure}");
    }
}
