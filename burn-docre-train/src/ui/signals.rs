//! SIGINT, SIGTERM and SIGHUP: the first signal requests a stop at the next safe point, the second
//! one ends the process.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, Result};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use super::Ui;

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

/// Starts a thread that sets the returned flag at the first SIGINT, SIGTERM or SIGHUP, and says so on
/// `ui`. At the second one, the thread calls `on_second` and exits the process with code 1.
///
/// SIGHUP stays ignored under `nohup`.
///
/// # Errors
/// If the signal handler or its thread cannot be installed.
pub fn listen(ui: &Ui, on_second: fn()) -> Result<StopFlag> {
    let stop = StopFlag::default();
    let hangup = (!is_ignored(SIGHUP)).then_some(SIGHUP);
    let numbers = [SIGINT, SIGTERM].into_iter().chain(hangup);
    let mut signals = Signals::new(numbers).context("signals cannot be received")?;
    let (flag, ui) = (stop.clone(), ui.clone());
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for _ in signals.forever() {
                if flag.0.swap(true, Ordering::Relaxed) {
                    on_second();
                    std::process::exit(1);
                }
                // A write can block, for example into a full pipe. This thread has to hear the second
                // signal.
                let ui = ui.clone();
                let note = "stopping at the next safe point; a second signal ends at once";
                let _ = std::thread::Builder::new().spawn(move || ui.note(note));
            }
        })
        .context("the signal thread cannot start")?;
    Ok(stop)
}

/// Reports whether the process that started this one has set `signal` to be ignored.
fn is_ignored(signal: i32) -> bool {
    let mut current = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action, the call only writes the current one to `current`, for which
    // zeros are a valid value.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), current.as_mut_ptr()) == 0
            && current.assume_init().sa_sigaction == libc::SIG_IGN
    }
}
