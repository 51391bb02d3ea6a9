//! The parts of sections: texts, legends, and groups of bars for all systems.

use std::sync::Arc;

use maud::{Markup, html};

use crate::report::{
    chart::{Bar, BarGroup, Series, legend},
    system::System,
    table::Row,
};

/// A section of the page.
pub(crate) struct Section {
    /// The identifier, which links lead to.
    pub(crate) id: &'static str,
    /// The heading.
    pub(crate) title: &'static str,
    /// The content.
    pub(crate) body: Markup,
}

/// A sentence in plain text, whose parts between backticks are code.
pub(super) fn prose(sentence: &str) -> Markup {
    html! {
        @for (index, part) in sentence.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// The legend of all systems.
pub(super) fn legend_of(systems: &[System]) -> Markup {
    legend(&systems.iter().map(System::series).collect::<Vec<Series>>())
}

/// The keys of all systems, as headings of a table after that of its first column.
pub(super) fn head_of(first: &str, systems: &[System]) -> Vec<String> {
    std::iter::once(first.to_owned())
        .chain(systems.iter().map(|system| system.key.clone()))
        .collect()
}

/// A row with a score of each system. The highest are marked if all have the same documents.
pub(super) fn score_row(
    label: impl Into<String>,
    scores: &[Option<f64>],
    systems: &[System],
) -> Row {
    let is_same = |system: &System| Arc::ptr_eq(&system.corpus, &systems[0].corpus);
    match systems.iter().all(is_same) {
        true => Row::compared_scores(label, scores),
        false => Row::scores(label, scores),
    }
}

/// A group with one bar for each system.
pub(super) fn bars_of(
    label: impl Into<String>,
    note: impl Into<String>,
    systems: &[System],
    value: impl Fn(&System) -> Option<f64>,
) -> BarGroup {
    let bar = |system: &System| Bar { series: system.series(), value: value(system) };
    BarGroup { label: label.into(), note: note.into(), bars: systems.iter().map(bar).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_between_backticks_are_code() {
        let text = prose("give `a <b>` & more").into_string();
        assert_eq!(text, "give <code>a &lt;b&gt;</code> &amp; more");
    }
}
