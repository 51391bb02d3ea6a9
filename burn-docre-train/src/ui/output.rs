//! Lines on standard error, results on standard output.
//!
//! No other module prints. Lines wait while Burn's terminal interface owns the screen.

use std::{
    io::Write,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::json;

use crate::cli::LogFormat;

/// The longest silence before the program writes a line that it still works.
const SILENCE: Duration = Duration::from_secs(9);

/// The output of the program; clones share it.
#[derive(Clone)]
pub struct Ui {
    format: LogFormat,
    screen: Arc<Mutex<Screen>>,
}

pub(super) struct Screen {
    /// Burn's terminal interface owns the terminal.
    taken: bool,
    /// Progress bars on the terminal; they move by themselves.
    pub(super) n_bars: usize,
    waiting: Vec<String>,
    last_line: Instant,
}

impl Ui {
    /// Output with lines of this form on standard error.
    pub fn new(format: LogFormat) -> Self {
        let screen =
            Screen { taken: false, n_bars: 0, waiting: Vec::new(), last_line: Instant::now() };
        Self { format, screen: Arc::new(Mutex::new(screen)) }
    }

    /// Starts a thread that breaks any silence of ten seconds on standard error.
    pub fn start_heartbeat(&self) {
        let ui = self.clone();
        let started = Instant::now();
        // Without the thread there are fewer lines; nothing else changes.
        let _ = std::thread::Builder::new().name("heartbeat".into()).spawn(move || {
            loop {
                std::thread::sleep(Duration::from_secs(1));
                if ui.is_silent() {
                    let seconds = started.elapsed().as_secs_f64();
                    ui.line(
                        &format!("still at work after {}", duration(seconds)),
                        || json!({ "event": "working", "seconds": seconds }),
                    );
                }
            }
        });
    }

    fn is_silent(&self) -> bool {
        let screen = self.screen();
        !screen.taken && screen.n_bars == 0 && screen.last_line.elapsed() >= SILENCE
    }

    /// The form of the lines.
    pub fn format(&self) -> LogFormat {
        self.format
    }

    /// Writes one sentence.
    pub fn note(&self, message: &str) {
        self.line(message, || json!({ "event": "note", "message": message }));
    }

    /// Writes one line: `human`, or the equivalent JSON object.
    pub fn line(&self, human: &str, object: impl FnOnce() -> serde_json::Value) {
        let line = match self.format {
            LogFormat::Human => human.to_string(),
            LogFormat::Json => object().to_string(),
        };
        let mut screen = self.screen();
        screen.last_line = Instant::now();
        if screen.taken {
            screen.waiting.push(line);
        } else {
            write_stderr(&line);
        }
    }

    /// Writes the error that ended the program, as one sentence with its causes.
    pub fn error(&self, error: &anyhow::Error) {
        let message = format!("{error:#}");
        self.line(&format!("error: {message}"), || json!({ "event": "error", "message": message }));
    }

    /// Writes results to standard output.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn results(&self, text: &str) -> Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .context("standard output cannot be written")
    }

    /// Gives the terminal to Burn's interface; lines wait from now on.
    pub fn take_screen(&self) {
        self.screen().taken = true;
    }

    /// Takes the terminal back and writes the lines that waited.
    pub fn free_screen(&self) {
        let mut screen = self.screen();
        screen.taken = false;
        screen.last_line = Instant::now();
        for line in std::mem::take(&mut screen.waiting) {
            write_stderr(&line);
        }
    }

    /// Whether Burn's interface owns the terminal.
    pub fn screen_is_taken(&self) -> bool {
        self.screen().taken
    }

    pub(super) fn screen(&self) -> MutexGuard<'_, Screen> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes a line; ignores a closed standard error.
fn write_stderr(line: &str) {
    let mut err = std::io::stderr().lock();
    let _ = writeln!(err, "{line}");
}

/// The key of a metric in files: `ign_f1` for `Ign F1`.
pub fn metric_key(name: &str) -> String {
    name.to_lowercase().replace(' ', "_")
}

/// A duration as in `1m13s`.
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.round().max(0.0) as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds:02}s"),
        _ => format!("{hours}h{minutes:02}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_naturally() {
        assert_eq!(duration(0.4), "0s");
        assert_eq!(duration(73.0), "1m13s");
        assert_eq!(duration(7260.0), "2h01m");
    }

    #[test]
    fn notes_wait_while_the_screen_is_taken() {
        let ui = Ui::new(LogFormat::Json);
        ui.take_screen();
        ui.note("later");
        assert_eq!(ui.screen().waiting, [r#"{"event":"note","message":"later"}"#]);
        ui.free_screen();
        assert!(ui.screen().waiting.is_empty());
    }
}
