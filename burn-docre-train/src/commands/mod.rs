//! The commands of `docre`, one module each: arguments to a call.

mod backends;
mod bench;
mod distill;
mod evaluate;
mod label;
mod predict;
mod train;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};

use crate::{
    cli::{Cli, Command, GlobalArgs, RunArgs},
    run::directory::Mode,
    session::Session,
    stages::{Run, RunOptions},
    ui::{
        Ui,
        signals::{self, StopFlag, Stopped},
        terminal,
    },
};

/// Runs the command that `cli` names; prints an error as one sentence.
pub fn run(cli: Cli) -> ExitCode {
    let ui = Ui::new(cli.global.log_format);
    match dispatch(&cli, &ui) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui.error(&error);
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: &Cli, ui: &Ui) -> Result<()> {
    let stop: StopFlag = signals::listen(terminal::restore)?;
    ui.start_heartbeat();
    let GlobalArgs { backend, device, .. } = cli.global;
    let session = Session { ui, stop: &stop, backend, device };
    match &cli.command {
        Command::Distill(args) => distill::run(&session, args),
        Command::Train(args) => train::run(&session, args),
        Command::Label(args) => label::run(&session, args),
        Command::Predict(args) => predict::run(&session, args),
        Command::Evaluate(args) => evaluate::run(&session, args),
        Command::Bench(args) => bench::run(&session, args),
        Command::Backends => backends::run(&session),
    }
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

impl RunArgs {
    fn mode(&self) -> Mode {
        if self.resume { Mode::Resume } else { Mode::New }
    }
}

/// Trains the stages that `options` select and prints the scores so far; `command` is the command line before CONFIG.
fn train_and_report(
    session: &Session,
    options: RunOptions,
    command: &str,
    args: &RunArgs,
) -> Result<()> {
    let resume = resume_command(command, args, &options.directory);
    let run = Run::open(session, options)?;
    match run.train() {
        Err(error) if error.is::<Stopped>() => bail!("{error}; go on by `{resume}`"),
        result => result?,
    }
    session.ui.results(&run.results_table()?)
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
