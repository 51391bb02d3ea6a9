//! `docre report`: one self-contained page about runs, benchmarks and ablations.
//!
//! Templates are functions that return [`maud::Markup`], which escapes all text. `style.css` has
//! the colours as custom properties.

mod chart;
mod evaluation;
mod inputs;
mod page;
mod run;
mod sections;
mod system;
mod table;

use std::path::PathBuf;

use anyhow::Result;

pub use self::system::System;
use self::{
    evaluation::Evaluation,
    inputs::Inputs,
    page::{Assets, page},
    run::ReportedRun,
    sections::before_documents,
};
use crate::session::Session;

/// What a report is about.
pub struct ReportOptions<'a> {
    /// Directories of runs, of ablations and of benchmarks, or files of the latter two.
    pub arguments: &'a [PathBuf],
    /// True if the models predict the dev documents.
    pub predicts: bool,
}

/// The report as an HTML page.
///
/// # Errors
/// If an argument cannot be read, the backend or its device is missing, or the stop flag is set.
pub fn html(session: &Session, options: &ReportOptions) -> Result<String> {
    let inputs = Inputs::read(options.arguments)?;
    let evaluation = if options.predicts && !inputs.runs.is_empty() {
        Evaluation::of(session, &inputs.runs)?
    } else {
        Evaluation::default()
    };
    let sections = before_documents(&inputs, &evaluation);
    let title = title(&inputs.runs);
    Ok(page(&title, &sections, &Assets::default()).into_string())
}

/// The most runs that the title names.
const N_IN_TITLE: usize = 3;

/// The title of the page: the names of the runs, or their number.
fn title(runs: &[ReportedRun]) -> String {
    let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    match names.len() {
        0 => "Report".into(),
        n if n <= N_IN_TITLE => format!("Report: {}", names.join(", ")),
        n => format!("Report: {n} runs"),
    }
}
