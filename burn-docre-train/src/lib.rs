//! Trains, distils and benchmarks document-level relation extraction models.
//!
//! The command `docre` parses its arguments ([`cli`]) and calls one function for each command ([`commands`]). A program
//! in Rust calls the same functions.
#![recursion_limit = "256"]

pub mod bench;
pub mod cli;
pub mod commands;
pub mod config;
pub mod memory;
pub mod run;
pub mod session;
pub mod stages;
pub mod train;
pub mod ui;
pub mod version;
