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

    /// An error if the work should stop now; for work that has no state to keep.
    pub fn check(&self) -> Result<()> {
        anyhow::ensure!(!self.is_set(), "stopped on request");
        Ok(())
    }
}

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
