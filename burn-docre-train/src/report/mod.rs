//! `docre report`: one self-contained page about runs, benchmarks and ablations.
//!
//! Templates are functions that return [`maud::Markup`], which escapes all text. `style.css` has
//! the colours as custom properties.

mod chart;
pub mod documents;
mod evaluation;
mod inputs;
mod page;
mod run;
mod sections;
mod system;
mod table;

use std::path::PathBuf;

use anyhow::Result;
use burn_docre::{BackendTask, DocReBackend};

pub use self::system::System;
use self::{
    documents::{Choice, DocumentViews},
    evaluation::Evaluation,
    inputs::Inputs,
    page::{Assets, page},
    run::ReportedRun,
    sections::{Section, after_documents, before_documents},
};
use crate::session::Session;

/// The content of a report.
pub struct ReportOptions<'a> {
    /// Directories of runs, of ablations and of benchmarks, or files of the latter two.
    pub arguments: &'a [PathBuf],
    /// True if the models predict the dev documents.
    pub predicts: bool,
    /// The dev documents to show.
    pub documents: Choice,
}

/// The report as an HTML page.
///
/// # Errors
/// If an argument cannot be read, the backend or its device is missing, a document to show does not
/// exist, or the stop flag is set.
pub fn html(session: &Session, options: &ReportOptions) -> Result<String> {
    let inputs = Inputs::read(options.arguments)?;
    let evaluation = if options.predicts && !inputs.runs.is_empty() {
        Evaluation::of(session, &inputs.runs)?
    } else {
        Evaluation::default()
    };
    let mut sections = before_documents(&inputs, &evaluation);
    let mut assets = Assets::default();
    if let Some(system) = best(&evaluation.systems) {
        let views = session.dispatch(Collect { session, system, choice: &options.documents })?;
        let body = documents::render(&views);
        sections.push(Section { id: "documents", title: "Documents", body });
        assets = Assets { style: documents::STYLE, script: documents::SCRIPT };
    }
    sections.extend(after_documents(&inputs, &evaluation));
    Ok(page(&title(&inputs.runs), &sections, &assets).into_string())
}

/// The system with the highest F1, the first of equal ones. Its documents are shown.
fn best(systems: &[System]) -> Option<&System> {
    let f1 = |system: &&System| system.report.official.f1;
    systems.iter().rev().max_by(|a, b| f1(a).total_cmp(&f1(b)))
}

/// Collects the documents of a system.
struct Collect<'a> {
    session: &'a Session<'a>,
    system: &'a System,
    choice: &'a Choice,
}

impl BackendTask for Collect<'_> {
    type Output = Result<DocumentViews>;

    fn run<B: DocReBackend>(self, device: B::Device) -> Self::Output {
        documents::collect::<B>(self.session, self.system, self.choice, &device)
    }
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
