//! Trains, distils and benchmarks document-level relation extraction models.
//!
//! The command `docre` parses its arguments ([`cli`]) and calls one function for each command
//! ([`commands`]). A program in Rust starts the same runs with [`stages::Run`]:
//!
//! ```no_run
//! use burn_docre_train::{
//!     cli::LogFormat,
//!     config::RunConfig,
//!     run::directory::Mode,
//!     session::Session,
//!     stages::{Run, RunOptions, Selection},
//!     ui::{Ui, signals::StopFlag},
//! };
//!
//! fn main() -> anyhow::Result<()> {
//!     let (ui, stop) = (Ui::new(LogFormat::Human), StopFlag::default());
//!     let session = Session::new(&ui, &stop);
//!     let options = RunOptions {
//!         config: RunConfig::load("configs/demo.toml".as_ref(), &["seed=2".into()])?,
//!         directory: "artifacts/demo".into(),
//!         mode: Mode::Resume,
//!         selection: Selection::Plan,
//!         teacher_run: None,
//!     };
//!     let run = Run::open(&session, options)?;
//!     run.train()?;
//!     ui.results(&run.results_table()?)
//! }
//! ```
//!
//! [`StopFlag::set`](ui::signals::StopFlag::set) on another thread interrupts the run; the same
//! options resume it.
//!
//! # Layers
//!
//! Modules import downwards only: [`commands`] → [`report`] → [`ablation`], [`mod@bench`] →
//! [`stages`] → [`train`] → [`run`] → [`config`], [`session`] → [`ui`] → [`cli`] → [`memory`],
//! [`version`].
//!
//! # Extensions
//!
//! A new training method consists of an [`Objective`](train::objective::Objective) and a plan,
//! which is a list of [`Stage`](config::Stage) values. [`Training`](train::training_loop::Training)
//! trains any objective.
#![recursion_limit = "256"]

pub mod ablation;
pub mod bench;
pub mod cli;
pub mod commands;
pub mod config;
pub mod memory;
pub mod report;
pub mod run;
pub mod session;
pub mod stages;
pub mod train;
pub mod ui;
pub mod version;
