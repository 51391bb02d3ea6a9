//! The parts that the report lacks, and why.

use maud::html;

use super::parts::{Section, prose};
use crate::report::{evaluation::Evaluation, inputs::Inputs};

pub(super) fn section(inputs: &Inputs, evaluation: &Evaluation) -> Option<Section> {
    let has_log = inputs.runs.iter().flat_map(|run| &run.stages).any(|stage| !stage.log.is_empty());
    let absent = [
        (inputs.runs.is_empty(), "Runs: no directory of a run was given."),
        (
            !inputs.runs.is_empty() && !has_log,
            "Learning curves: no stage of the runs has logged a step.",
        ),
        (
            !inputs.runs.is_empty() && evaluation.models.is_empty(),
            "Scores, relations, errors and documents: they need the predictions of a model.",
        ),
        (
            inputs.ablations.is_empty(),
            "Ablations: give the directory or the `ablations.json` of `docre ablate`.",
        ),
        (
            inputs.records.is_empty(),
            "Throughput: give the directory or the `bench.json` of `docre bench --output`.",
        ),
    ];
    let absent = absent.into_iter().filter(|(is_absent, _)| *is_absent).map(|(_, text)| text);
    let sentences: Vec<&str> =
        absent.chain(evaluation.missing.iter().map(String::as_str)).collect();
    if sentences.is_empty() {
        return None;
    }
    let body = html! { ul { @for sentence in sentences { li { (prose(sentence)) } } } };
    Some(Section { id: "missing", title: "Not in this report", body })
}
