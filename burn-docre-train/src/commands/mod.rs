//! The commands of `docre`. Each module turns the arguments of one command into a call.

mod ablate;
mod backends;
mod bench;
mod convert;
mod distill;
mod evaluate;
mod export;
mod import;
mod inputs;
mod label;
mod output;
mod predict;
mod report;
mod titles;
mod train;
mod training;

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    cli::{Cli, Command, GlobalArgs},
    session::Session,
    ui::{
        Ui,
        signals::{self, StopFlag},
        terminal,
    },
};

/// Runs the command of `cli`. An error is printed on one line, or with its place in a text below
/// it, and gives exit code 1.
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
    let stop: StopFlag = signals::listen(ui, terminal::restore)?;
    ui.start_heartbeat();
    let GlobalArgs { backend, device, .. } = cli.global;
    let session = Session { ui, stop: &stop, backend, device };
    match &cli.command {
        Command::Distill(args) => distill::run(&session, args),
        Command::Train(args) => train::run(&session, args),
        Command::Ablate(args) => ablate::run(&session, args),
        Command::Label(args) => label::run(&session, args),
        Command::Predict(args) => predict::run(&session, args),
        Command::Evaluate(args) => evaluate::run(&session, args),
        Command::Convert(args) => convert::run(&session, args),
        Command::Import(args) => import::run(&session, args),
        Command::Export(args) => export::run(&session, args),
        Command::Bench(args) => bench::run(&session, args),
        Command::Report(args) => report::run(&session, args),
        Command::Backends => backends::run(&session),
    }
}
