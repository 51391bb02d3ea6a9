//! The sections of the page. A section without content is left out and named in [`missing`].

mod ablations;
mod configurations;
mod curves;
mod errors;
mod missing;
mod ranges;
mod relations;
mod runs;
mod scores;
mod throughput;

use maud::{Markup, html};

use super::{
    chart::{Bar, BarGroup, Series, legend},
    evaluation::Evaluation,
    inputs::Inputs,
    system::System,
};

/// A section of the page.
pub(super) struct Section {
    /// The identifier, which links lead to.
    pub(super) id: &'static str,
    /// The heading.
    pub(super) title: &'static str,
    /// The content.
    pub(super) body: Markup,
}

/// The sections before the view of the documents, in their order.
pub(super) fn before_documents(inputs: &Inputs, evaluation: &Evaluation) -> Vec<Section> {
    let systems = &evaluation.systems;
    let sections = [
        runs::section(&inputs.runs),
        scores::section(systems),
        curves::section(&inputs.runs),
        ablations::section(&inputs.ablations),
        relations::section(systems),
        errors::section(systems),
        errors::binary(systems),
        ranges::section(systems),
        throughput::section(&inputs.records),
    ];
    sections.into_iter().flatten().collect()
}

/// The sections after the view of the documents.
pub(super) fn after_documents(inputs: &Inputs, evaluation: &Evaluation) -> Vec<Section> {
    let sections = [configurations::section(&inputs.runs), missing::section(inputs, evaluation)];
    sections.into_iter().flatten().collect()
}

/// A sentence in plain text, whose parts between backticks are code.
fn prose(sentence: &str) -> Markup {
    html! {
        @for (index, part) in sentence.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// The legend of all systems.
fn legend_of(systems: &[System]) -> Markup {
    legend(&systems.iter().map(System::series).collect::<Vec<Series>>())
}

/// The keys of all systems, as headings of a table after that of its first column.
fn head_of(first: &str, systems: &[System]) -> Vec<String> {
    std::iter::once(first.to_owned())
        .chain(systems.iter().map(|system| system.key.clone()))
        .collect()
}

/// A group with one bar for each system.
fn bars_of(
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
