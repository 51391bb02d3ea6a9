//! `docre`: trains, distils, evaluates and runs document-level relation extraction models.
#![recursion_limit = "256"]
#![expect(unreachable_pub, reason = "in a binary, `pub` says what a module offers the others")]

mod bench;
mod cli;
mod commands;
mod config;
mod memory;
mod run;
mod stages;
mod train;
mod ui;

use std::process::ExitCode;

use clap::Parser;

use crate::{cli::Command, stages::Session, ui::Ui};

fn main() -> ExitCode {
    memory::keep_freed_memory();
    let cli = cli::Cli::parse();
    let ui = Ui::new(cli.global.log_format);
    match run(cli, &ui) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui.error(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: cli::Cli, ui: &Ui) -> anyhow::Result<()> {
    let stop = ui::signals::listen(ui::terminal::restore)?;
    ui.never_be_silent();
    let session = Session::new(ui, &stop, &cli.global);
    match cli.command {
        Command::Distill(args) => stages::distill(&session, &args),
        Command::Train(args) => stages::train(&session, &args),
        Command::Label(args) => stages::label::run(&session, &args),
        Command::Predict(args) => commands::predict::run(&session, &args),
        Command::Evaluate(args) => commands::evaluate::run(&session, &args),
        Command::Bench(args) => bench::run(&session, &args),
        Command::Backends => commands::backends::list(&session),
    }
}
