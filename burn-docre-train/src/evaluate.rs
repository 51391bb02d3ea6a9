//! Placeholder until the branch `eval` is merged.

/// `docre evaluate`.
#[derive(Debug, clap::Args)]
pub struct EvaluateArgs {}

/// Nothing yet.
pub fn run(_: EvaluateArgs) -> anyhow::Result<()> {
    Ok(())
}
