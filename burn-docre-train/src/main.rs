//! The command `docre`: parses its arguments and calls [`burn_docre_train`].
#![recursion_limit = "256"]

use std::process::ExitCode;

use burn_docre_train::{cli::Cli, commands, memory, ui::terminal};
use clap::{ColorChoice, CommandFactory, FromArgMatches};

fn main() -> ExitCode {
    memory::keep_freed_memory();
    let color = if terminal::is_plain() { ColorChoice::Never } else { ColorChoice::Auto };
    let matches = Cli::command().color(color).get_matches();
    commands::run(Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()))
}
