//! SIGINT and SIGTERM: the first signal requests a stop at the next safe point, the second one ends
//! the process.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, Result};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};

/// A request to stop; clones share it.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Requests that the work stops at its next safe point.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Reports whether a stop has been requested.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Returns an error if a stop has been requested; for work that has no state to save.
    ///
    /// # Errors
    /// [`Stopped`] if the flag is set.
    pub fn check(&self) -> Result<()> {
        if self.is_set() { Err(Stopped.into()) } else { Ok(()) }
    }
}

/// The error of work that ended because its [`StopFlag`] was set.
#[derive(Debug)]
pub struct Stopped;

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stopped on request")
    }
}

impl std::error::Error for Stopped {}

/// Starts a thread that sets the returned flag at the first SIGINT or SIGTERM. At the second one,
/// the thread calls `on_second` and exits the process with code 1.
///
/// # Errors
/// If the signal handler or its thread cannot be installed.
pub fn listen(on_second: fn()) -> Result<StopFlag> {
    let stop = StopFlag::default();
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("signals cannot be received")?;
    let flag = stop.clone();
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for _ in signals.forever() {
                if flag.0.swap(true, Ordering::Relaxed) {
                    on_second();
                    std::process::exit(1);
                }
            }
        })
        .context("the signal thread cannot start")?;
    Ok(stop)
}
