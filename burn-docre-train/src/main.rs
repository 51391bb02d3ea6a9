//! The command `docre`: parses its arguments and calls [`burn_docre_train`].
#![recursion_limit = "256"]

use std::process::ExitCode;

use burn_docre_train::{cli::Cli, commands, memory};
use clap::Parser;

fn main() -> ExitCode {
    memory::keep_freed_memory();
    commands::run(Cli::parse())
}
