//! The common part of `docre distill` and `docre train`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{
    cli::RunArgs,
    config::RunConfig,
    run::directory::Mode,
    session::Session,
    stages::{Run, RunOptions, Selection},
    ui::signals::Stopped,
};

/// Trains the selected stages and prints the dev scores so far; `command` is the command line before CONFIG.
pub(super) fn run(
    session: &Session,
    args: &RunArgs,
    config: RunConfig,
    selection: Selection,
    command: &str,
) -> Result<()> {
    let directory = run_directory(args)?;
    let resume = resume_command(command, args, &directory);
    let mode = if args.resume { Mode::Resume } else { Mode::New };
    let run = Run::open(session, RunOptions { config, directory, mode, selection })?;
    match run.train() {
        Err(error) if error.is::<Stopped>() => bail!("{error}; go on by `{resume}`"),
        result => result?,
    }
    session.ui.results(&run.results_table()?)
}

/// The directory of a run: `--out`, else `artifacts/NAME` for `configs/NAME.toml`.
fn run_directory(args: &RunArgs) -> Result<PathBuf> {
    if let Some(out) = &args.out {
        return Ok(out.clone());
    }
    let name = args.config.file_stem().with_context(|| {
        format!("{} has no name to call the run by; give `--out`", args.config.display())
    })?;
    Ok(Path::new("artifacts").join(name))
}

/// The command line that resumes a run. The run itself remembers its backend and devices.
fn resume_command(command: &str, args: &RunArgs, directory: &Path) -> String {
    let path = |path: &Path| shell_word(&path.display().to_string());
    let mut text = format!("docre {command} {} --out {}", path(&args.config), path(directory));
    for item in &args.overrides {
        text += &format!(" --set {}", shell_word(item));
    }
    text + " --resume"
}

/// Quotes `text` if a shell would split or expand it.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-=".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.into()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_take_them_apart() {
        assert_eq!(shell_word("stages.teacher.epochs=3"), "stages.teacher.epochs=3");
        assert_eq!(shell_word("two words"), "'two words'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
    }
}
