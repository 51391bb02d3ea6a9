//! `docre train`: runs one stage, or estimates its cost.

use anyhow::Result;

use crate::{
    cli::TrainArgs,
    config::RunConfig,
    session::Session,
    stages::{RunOptions, Selection, dry_run},
};

/// Trains the stage; with `--dry-run`, prints its parameters, steps, memory and time instead.
pub(super) fn run(session: &Session, args: &TrainArgs) -> Result<()> {
    let config = RunConfig::load(&args.run.config, &args.run.overrides)?;
    if args.dry_run {
        return session.ui.results(&dry_run::report(session, &config, &args.stage)?);
    }
    let options = RunOptions {
        config,
        directory: super::run_directory(&args.run)?,
        mode: args.run.mode(),
        selection: Selection::Stage(args.stage.clone()),
    };
    super::train_and_report(session, options, &format!("train --stage {}", args.stage), &args.run)
}
