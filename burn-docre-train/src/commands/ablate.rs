//! `docre ablate`: trains the variants of the papers' ablations and prints their tables.

use anyhow::{Result, bail};

use super::training::directory_of;
use crate::{
    ablation::{Ablation, AblationOptions, table},
    cli::AblateArgs,
    config::RunConfig,
    session::Session,
    ui::signals::Stopped,
};

/// Trains and scores all runs that are not finished. With `--dry-run`, lists them instead.
pub(super) fn run(session: &Session, args: &AblateArgs) -> Result<()> {
    let ablation = Ablation::new(AblationOptions {
        config: RunConfig::load(&args.config, &args.overrides)?,
        directory: directory_of(args.out.as_deref(), &args.config, "-ablations")?,
        n_seeds: args.seeds,
        only: args.only.clone(),
    })?;
    if args.dry_run {
        return session.ui.results(&ablation.list()?);
    }
    match ablation.run(session) {
        Ok(results) => session.ui.results(&table::markdown(&results)),
        Err(error) if error.is::<Stopped>() => {
            bail!("{error:#}; the same command continues the ablation")
        }
        Err(error) => Err(error),
    }
}
