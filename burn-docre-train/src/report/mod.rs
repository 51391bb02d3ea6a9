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
mod scored_model;
mod sections;
mod table;

use std::path::PathBuf;

use anyhow::{Context, Result};
use burn_docre::{BackendTask, DocReBackend};

pub use self::scored_model::ScoredModel;
use self::{
    chart::Series,
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
    /// The key or name of the model whose documents are shown; `None` for that of the highest F1.
    pub shown: Option<&'a str>,
}

/// The report as an HTML page.
///
/// # Errors
/// If an argument cannot be read, the backend or its device is missing, a document to show or the
/// model to show does not exist, or the stop flag is set.
pub fn html(session: &Session, options: &ReportOptions) -> Result<String> {
    let inputs = Inputs::read(options.arguments)?;
    let shown = options.shown.map(|name| shown_stage(&inputs.runs, name)).transpose()?;
    let mut evaluation = if options.predicts && !inputs.runs.is_empty() {
        Evaluation::of(session, &inputs.runs, &options.documents, shown)?
    } else {
        Evaluation::default()
    };
    let mut sections = before_documents(&inputs, &evaluation);
    let mut assets = Assets::default();
    let model = match shown {
        None => best(&evaluation.models),
        Some(stage) => Some(of_stage(&evaluation.models, stage)?),
    };
    if let Some(model) = model {
        let views = session.dispatch(Collect { session, model, choice: &options.documents })?;
        evaluation.missing.extend(views.missing.clone());
        let body = documents::render(&views);
        sections.push(Section { id: "documents", title: "Documents", body });
        assets = Assets { style: documents::STYLE, script: documents::SCRIPT };
    }
    sections.extend(after_documents(&inputs, &evaluation));
    Ok(page(&title(&inputs.runs), &sections, &assets).into_string())
}

/// The stage with a model whose key or name is `name`.
fn shown_stage<'a>(runs: &'a [ReportedRun], name: &str) -> Result<&'a Series> {
    let stages = || runs.iter().flat_map(|run| &run.stages);
    let stages = || stages().filter(|stage| stage.model.is_some()).map(|stage| &stage.series);
    stages().find(|stage| stage.key == name || stage.name == name).with_context(|| {
        let known: Vec<_> =
            stages().map(|stage| format!("{} ({})", stage.key, stage.name)).collect();
        format!("no model is called {name:?}; the models are {}", known.join(", "))
    })
}

/// The model of `stage`.
fn of_stage<'a>(models: &'a [ScoredModel], stage: &Series) -> Result<&'a ScoredModel> {
    let found = models.iter().find(|model| model.index == stage.index);
    found
        .with_context(|| format!("{}, {}: there are no predictions to show", stage.key, stage.name))
}

/// The model with the highest F1, the first of equal ones.
fn best(models: &[ScoredModel]) -> Option<&ScoredModel> {
    let f1 = |model: &&ScoredModel| model.report.official.f1;
    models.iter().rev().max_by(|a, b| f1(a).total_cmp(&f1(b)))
}

/// Collects the documents of a model.
struct Collect<'a> {
    session: &'a Session<'a>,
    model: &'a ScoredModel,
    choice: &'a Choice,
}

impl BackendTask for Collect<'_> {
    type Output = Result<DocumentViews>;

    fn run<B: DocReBackend>(self, device: B::Device) -> Self::Output {
        documents::collect::<B>(self.session, self.model, self.choice, &device)
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
