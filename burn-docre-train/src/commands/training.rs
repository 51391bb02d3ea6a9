//! The code that `docre distill` and `docre train` share.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use burn_docre::input::is_standard;

use crate::{
    cli::RunArgs,
    config::RunConfig,
    run::directory::Mode,
    session::Session,
    stages::{Run, RunOptions, Selection},
    ui::signals::Stopped,
};

/// Trains the selected stages and prints the dev scores of all finished stages. `command` is the
/// part of the command line between `docre` and CONFIG.
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
        Err(error) if error.is::<Stopped>() => bail!("{error}; resume with `{resume}`"),
        result => result?,
    }
    session.ui.results(&run.results_table()?)
}

/// The directory of a run: `--out`, else `artifacts/NAME` for `configs/NAME.toml`.
fn run_directory(args: &RunArgs) -> Result<PathBuf> {
    if let Some(out) = &args.out {
        return Ok(out.clone());
    }
    let name = args.config.file_stem().filter(|_| !is_standard(&args.config));
    let name = name.with_context(|| {
        format!(
            "{}: no name for the run can be taken from this path; give `--out`",
            args.config.display()
        )
    })?;
    Ok(Path::new("artifacts").join(name))
}

/// The command line that resumes a run. The run's manifest holds its backend and devices.
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
    fn text_that_a_shell_would_split_or_expand_is_quoted() {
        assert_eq!(shell_word("stages.teacher.epochs=3"), "stages.teacher.epochs=3");
        assert_eq!(shell_word("two words"), "'two words'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
    }
}
