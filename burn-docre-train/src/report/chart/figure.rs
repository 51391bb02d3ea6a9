//! The figure around a drawing: title, label and values; texts and positions in the drawing.

use maud::{Markup, html};

use crate::report::table::Table;

/// The width of a chart in units of its drawing.
pub(super) const WIDTH: f64 = 340.0;

/// Puts a drawing of this height into a figure with a title, a summary for screen readers, and a
/// table of the values.
pub(super) fn figure(
    title: &str,
    height: f64,
    summary: &str,
    drawing: &Markup,
    values: &Table,
) -> Markup {
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
pub(super) fn text((x, y): (f64, f64), class: &str, text: &str) -> Markup {
    html! { text x=(round(x)) y=(round(y)) class=(class) { (text) } }
}

/// A coordinate with one decimal.
pub(super) fn round(coordinate: f64) -> f64 {
    (10.0 * coordinate).round() / 10.0
}

/// At most the first `n` characters of a text, the last of which is an ellipsis if it is cut.
pub(super) fn shortened(text: &str, n: usize) -> String {
    if text.chars().count() <= n {
        return text.to_owned();
    }
    let start: String = text.chars().take(n.saturating_sub(1)).collect();
    start.trim_end().to_owned() + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_end_in_an_ellipsis() {
        assert_eq!(shortened("located in", 10), "located in");
        assert_eq!(shortened("located in the", 9), "located…");
    }
}
