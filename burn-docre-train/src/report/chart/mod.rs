//! Charts in SVG, made for a width of 340 pixels, so that their text is readable on a small screen.
//!
//! A chart is a figure with a text alternative: a summary as label, and a table of its values.
//! Series are told apart by colour, dash pattern and key.

mod axis;
mod bars;
mod lines;

use maud::{Markup, Render, html};

pub(super) use self::{
    bars::{Bar, BarChart, BarGroup},
    lines::{Line, LineChart},
};
use super::table::{Table, percent};
use crate::ui::three_digits;

/// The width of a chart in units of its drawing.
const WIDTH: f64 = 340.0;
/// The numbers of colours and of dash patterns in the style sheet. They have no common divisor, so
/// that each colour comes with each pattern.
const N_COLOURS: usize = 7;
const N_DASHES: usize = 5;

/// The form of a chart's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Fractions, shown in percent.
    Percent,
    /// Numbers with three significant digits.
    Number,
}

impl Unit {
    /// The text of a value.
    pub(super) fn text(self, value: f64) -> String {
        match self {
            Self::Percent => percent(value),
            Self::Number => three_digits(value),
        }
    }

    /// The number of a tick's label.
    fn tick(self, value: f64) -> f64 {
        match self {
            Self::Percent => 100.0 * value,
            Self::Number => value,
        }
    }

    /// The unit as a suffix of titles.
    fn suffix(self) -> &'static str {
        match self {
            Self::Percent => ", %",
            Self::Number => "",
        }
    }
}

/// What a line or a bar belongs to, such as a stage of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Series {
    /// The position in the report, which selects colour and dash pattern.
    pub(super) index: usize,
    /// The short key in charts and tables.
    pub(super) key: String,
    /// The name in the legend.
    pub(super) name: String,
}

impl Series {
    /// The classes that have the colour and the dash pattern.
    fn class(&self) -> String {
        format!("series-{} dash-{}", self.index % N_COLOURS + 1, self.index % N_DASHES + 1)
    }
}

/// The keys and names of series, with their colours and dash patterns.
pub(super) fn legend(series: &[Series]) -> Markup {
    html! {
        ul.legend {
            @for series in series {
                li class=(series.class()) {
                    svg viewBox="0 0 28 8" width="28" height="8" aria-hidden="true" {
                        path.line d="M0 4H28" {}
                    }
                    b { (series.key) } " " (series.name)
                }
            }
        }
    }
}

/// Puts a drawing of this height into a figure with a title, a summary for screen readers, and a
/// table of the values.
fn figure(title: &str, height: f64, summary: &str, drawing: &Markup, values: &Table) -> Markup {
    html! {
        figure.chart {
            figcaption { (title) }
            svg viewBox={ "0 0 " (WIDTH) " " (round(height)) } role="img" aria-label=(summary) {
                (drawing)
            }
            details {
                summary { "Values" span.hidden { " of " (title) } }
                (values)
            }
        }
    }
}

/// A text at a position; `class` has its size, colour and anchor.
fn text((x, y): (f64, f64), class: &str, text: &str) -> Markup {
    html! { text x=(round(x)) y=(round(y)) class=(class) { (text) } }
}

/// A coordinate with one decimal.
fn round(coordinate: f64) -> f64 {
    (10.0 * coordinate).round() / 10.0
}

/// At most the first `n` characters of a text, the last of which is an ellipsis if it is cut.
fn shortened(text: &str, n: usize) -> String {
    if text.chars().count() <= n {
        return text.to_owned();
    }
    let start: String = text.chars().take(n.saturating_sub(1)).collect();
    start.trim_end().to_owned() + "…"
}

impl Render for LineChart {
    fn render(&self) -> Markup {
        self.figure()
    }
}

impl Render for BarChart {
    fn render(&self) -> Markup {
        self.figure()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn long_texts_end_in_an_ellipsis() {
        assert_eq!(shortened("located in", 10), "located in");
        assert_eq!(shortened("located in the", 9), "located…");
    }

    #[test]
    fn series_of_one_colour_have_different_dash_patterns_and_keys() {
        let series = |index: usize| Series { index, key: index.to_string(), name: "<b>".into() };
        let classes: BTreeSet<String> =
            (0..N_COLOURS * N_DASHES).map(|index| series(index).class()).collect();
        assert_eq!(classes.len(), N_COLOURS * N_DASHES);
        let legend = legend(&[series(0), series(N_COLOURS)]).into_string();
        assert!(legend.contains("<b>0</b> &lt;b&gt;") && legend.contains("<b>7</b>"), "{legend}");
    }
}
