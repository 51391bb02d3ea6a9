//! `docre distill`: runs all stages of the configuration's plan.

use anyhow::Result;

use crate::{
    cli::DistillArgs,
    config::RunConfig,
    session::Session,
    stages::{RunOptions, Selection},
};

/// Runs the plan.
pub(super) fn run(session: &Session, args: &DistillArgs) -> Result<()> {
    let options = RunOptions {
        config: RunConfig::load(&args.run.config, &args.run.overrides)?,
        directory: super::run_directory(&args.run)?,
        mode: args.run.mode(),
        selection: Selection::Plan,
    };
    super::train_and_report(session, options, "distill", &args.run)
}
