//! SIGINT and SIGTERM: the first asks the work to stop at its next safe point, the second ends the process.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, Result};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};

/// Whether somebody asked the program to stop.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Whether the work should stop at its next safe point.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The error [`Stopped`] if the work should stop now; for work that has no state to keep.
    pub fn check(&self) -> Result<()> {
        if self.is_set() { Err(Stopped.into()) } else { Ok(()) }
    }
}

/// The work ended because somebody asked it to.
#[derive(Debug)]
pub struct Stopped;

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stopped on request")
    }
}

impl std::error::Error for Stopped {}

/// Listens for SIGINT and SIGTERM from now on; `on_second` runs before a second signal ends the process.
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
