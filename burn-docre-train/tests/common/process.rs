//! Running processes: their lines and signals.

use std::{
    io::{BufRead, BufReader},
    process::Child,
};

pub(crate) use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

/// Waits for a line of standard error that matches; returns a thread that collects the other lines.
pub(crate) fn wait_for_line(
    child: &mut Child,
    matches: impl Fn(&str) -> bool,
) -> std::thread::JoinHandle<String> {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let found = lines.by_ref().map_while(Result::ok).any(|line| matches(&line));
    assert!(found, "no line of standard error matches");
    std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>().join("\n"))
}

/// Sends `signal` to a process.
pub(crate) fn kill(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}
