//! The series of charts, the form of their values, and their legend.

use maud::{Markup, html};

use crate::ui::{percent, three_digits};

/// The numbers of colours and of dash patterns in the style sheet. They have no common divisor, so
/// that each colour comes with each pattern.
const N_COLOURS: usize = 7;
const N_DASHES: usize = 5;

/// The form of a chart's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Fractions, shown in percent.
    Percent,
    /// Numbers with three significant digits.
    Number,
}

impl Unit {
    /// The text of a value.
    pub(crate) fn text(self, value: f64) -> String {
        match self {
            Self::Percent => percent(value),
            Self::Number => three_digits(value),
        }
    }

    /// The number of a tick's label.
    pub(super) fn tick(self, value: f64) -> f64 {
        match self {
            Self::Percent => 100.0 * value,
            Self::Number => value,
        }
    }

    /// The unit as a suffix of titles.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Percent => ", %",
            Self::Number => "",
        }
    }
}

/// The key and name of a line or of bars: those of a stage of a run, or of a benchmark process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Series {
    /// The position in the report, which selects colour and dash pattern.
    pub(crate) index: usize,
    /// The short key in charts and tables.
    pub(crate) key: String,
    /// The name in the legend.
    pub(crate) name: String,
}

impl Series {
    /// The classes that have the colour and the dash pattern.
    pub(super) fn class(&self) -> String {
        format!("series-{} dash-{}", self.index % N_COLOURS + 1, self.index % N_DASHES + 1)
    }
}

/// The keys and names of series, with their colours and dash patterns.
pub(crate) fn legend(series: &[Series]) -> Markup {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

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
