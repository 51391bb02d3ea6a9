//! The sections of the page. A section without content is left out and named in `missing`.

mod ablations;
mod configurations;
mod curves;
mod errors;
mod missing;
mod parts;
mod ranges;
mod relations;
mod runs;
mod scores;
mod throughput;

pub(super) use self::parts::Section;
use super::{evaluation::Evaluation, inputs::Inputs};

/// The sections before the view of the documents, in their order.
pub(super) fn before_documents(inputs: &Inputs, evaluation: &Evaluation) -> Vec<Section> {
    let models = &evaluation.models;
    let sections = [
        runs::section(&inputs.runs),
        scores::section(models),
        curves::section(&inputs.runs),
        ablations::section(&inputs.ablations),
        relations::section(models),
        errors::section(models),
        errors::binary(models),
        ranges::section(models),
        throughput::section(&inputs.records),
    ];
    sections.into_iter().flatten().collect()
}

/// The sections after the view of the documents.
pub(super) fn after_documents(inputs: &Inputs, evaluation: &Evaluation) -> Vec<Section> {
    let sections = [configurations::section(&inputs.runs), missing::section(inputs, evaluation)];
    sections.into_iter().flatten().collect()
}
