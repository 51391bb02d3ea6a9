//! `docre report`: one page about runs, benchmarks and ablations.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::output::write_text;
use crate::{
    cli::ReportArgs,
    report::{self, ReportOptions, documents::Choice},
    run::files,
    session::Session,
};

/// Writes the page.
pub(super) fn run(session: &Session, args: &ReportArgs) -> Result<()> {
    let ReportArgs { runs, output, no_predictions, documents } = args;
    let inputs: Vec<&Path> = runs.iter().map(PathBuf::as_path).collect();
    files::check_output(output, &inputs)?;
    let documents =
        if documents.is_empty() { Choice::default() } else { Choice::Named(documents.clone()) };
    let options = ReportOptions { arguments: runs, predicts: !no_predictions, documents };
    let page = report::html(session, &options)?;
    write_text(session.ui, output, |out| out.write_all(page.as_bytes()))?;
    session.ui.note(&format!("report written to {}", output.display()));
    Ok(())
}
