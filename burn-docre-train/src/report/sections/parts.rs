//! The parts of sections: texts, legends, and groups of bars for all models.

use std::sync::Arc;

use maud::{Markup, html};

use crate::report::{
    chart::{Bar, BarGroup, Series, legend},
    scored_model::ScoredModel,
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

/// The legend of all models.
pub(super) fn legend_of(models: &[ScoredModel]) -> Markup {
    legend(&models.iter().map(ScoredModel::series).collect::<Vec<Series>>())
}

/// The keys of all models, as headings of a table after that of its first column.
pub(super) fn head_of(first: &str, models: &[ScoredModel]) -> Vec<String> {
    std::iter::once(first.to_owned()).chain(models.iter().map(|model| model.key.clone())).collect()
}

/// A row with a score of each model. The highest are marked if all have the same documents.
pub(super) fn score_row(
    label: impl Into<String>,
    scores: &[Option<f64>],
    models: &[ScoredModel],
) -> Row {
    let is_same = |model: &ScoredModel| Arc::ptr_eq(&model.corpus, &models[0].corpus);
    match models.iter().all(is_same) {
        true => Row::compared_scores(label, scores),
        false => Row::scores(label, scores),
    }
}

/// A group with one bar for each model.
pub(super) fn bars_of(
    label: impl Into<String>,
    note: impl Into<String>,
    models: &[ScoredModel],
    value: impl Fn(&ScoredModel) -> Option<f64>,
) -> BarGroup {
    let bar = |model: &ScoredModel| Bar { series: model.series(), value: value(model) };
    BarGroup { label: label.into(), note: note.into(), bars: models.iter().map(bar).collect() }
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
