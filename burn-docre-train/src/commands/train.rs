//! `docre train`: runs one stage, or estimates its cost.

use anyhow::Result;

use super::training;
use crate::{
    cli::TrainArgs,
    config::RunConfig,
    session::Session,
    stages::{Selection, dry_run},
};

/// Trains the stage. With `--dry-run`, prints its parameters, steps, memory and time instead.
pub(super) fn run(session: &Session, args: &TrainArgs) -> Result<()> {
    let config = RunConfig::load(&args.run.config, &args.run.overrides)?;
    if args.dry_run {
        return session.ui.results(&dry_run::report(session, &config, &args.stage)?);
    }
    let command = format!("train --stage {}", args.stage);
    training::run(session, &args.run, config, Selection::Stage(args.stage.clone()), &command)
}
