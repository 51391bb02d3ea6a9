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
    let directory = directory_of(args.out.as_deref(), &args.config, "")?;
    let resume = resume_command(command, args, &directory);
    let mode = if args.resume { Mode::Resume } else { Mode::New };
    let options = RunOptions { config, directory, mode, selection, teacher_run: None };
    let run = Run::open(session, options)?;
    match run.train() {
        Err(error) if error.is::<Stopped>() => bail!("{error}; resume with `{resume}`"),
        result => result?,
    }
    session.ui.results(&run.results_table()?)
}

/// The directory of the results: `out`, else `artifacts/NAME` and `suffix` for `configs/NAME.toml`.
pub(super) fn directory_of(out: Option<&Path>, config: &Path, suffix: &str) -> Result<PathBuf> {
    if let Some(out) = out {
        return Ok(out.into());
    }
    let name = config.file_stem().filter(|_| !is_standard(config));
    let name = name.with_context(|| {
        format!(
            "{}: no name for the run can be taken from this path; give `--out`",
            config.display()
        )
    })?;
    let mut name = name.to_owned();
    name.push(suffix);
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
