//! `docre distill`: runs all stages of the configuration's plan.

use anyhow::Result;

use super::training;
use crate::{cli::DistillArgs, config::RunConfig, session::Session, stages::Selection};

/// Trains all stages of the plan.
pub(super) fn run(session: &Session, args: &DistillArgs) -> Result<()> {
    let config = RunConfig::load(&args.run.config, &args.run.overrides)?;
    training::run(session, &args.run, config, Selection::Plan, "distill")
}
