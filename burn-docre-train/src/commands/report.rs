//! `docre report`: one page about runs, benchmarks and ablations.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::output::{has_extension, write_text};
use crate::{
    cli::ReportArgs,
    report::{self, ReportOptions, documents::Choice},
    run::files,
    session::Session,
};

/// Writes the page.
pub(super) fn run(session: &Session, args: &ReportArgs) -> Result<()> {
    let ReportArgs { runs, output, no_predictions, documents, documents_of } = args;
    check_output(output, runs)?;
    let documents =
        if documents.is_empty() { Choice::default() } else { Choice::Named(documents.clone()) };
    let options = ReportOptions {
        arguments: runs,
        predicts: !no_predictions,
        documents,
        shown: documents_of.as_deref(),
    };
    let page = report::html(session, &options)?;
    write_text(session.ui, output, |out| out.write_all(page.as_bytes()))?;
    session.ui.note(&format!("report written to {}", output.display()));
    Ok(())
}

/// Checks that the page replaces none of its inputs: no argument, and no file of a directory that is
/// an argument, unless it is an older page.
fn check_output(output: &Path, arguments: &[PathBuf]) -> Result<()> {
    let inputs: Vec<&Path> = arguments.iter().map(PathBuf::as_path).collect();
    files::check_output(output, &inputs)?;
    files::check_directory_of(output)?;
    // A new file replaces nothing.
    let Ok(existing) = std::fs::canonicalize(output) else { return Ok(()) };
    let is_in = |input: &&Path| input.canonicalize().is_ok_and(|root| existing.starts_with(root));
    let is_page = has_extension(output, "html") || has_extension(output, "gz");
    ensure!(
        is_page || !inputs.iter().any(is_in),
        "{} may be a file of a run; end the name of the page in `.html`",
        output.display()
    );
    Ok(())
}
