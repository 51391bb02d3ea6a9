//! Lines on standard error, results on standard output.
//!
//! All output goes through this module. Lines are buffered while Burn's terminal interface is
//! shown.

use std::{
    io::{self, BufWriter, Write},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use burn_docre::data::docred::Skipped;
use indicatif::WeakProgressBar;
use serde_json::json;

use crate::cli::LogFormat;

/// The time without output after which the heartbeat writes a line.
const SILENCE: Duration = Duration::from_secs(9);

/// The output of the program; clones share it.
#[derive(Clone)]
pub struct Ui {
    format: LogFormat,
    state: Arc<Mutex<State>>,
}

/// The state of the output, shared by the clones of a [`Ui`].
pub(super) struct State {
    /// True if lines go to `buffer` instead of standard error.
    is_buffering: bool,
    buffer: Vec<String>,
    /// The progress bars on the terminal.
    pub(super) bars: Vec<WeakProgressBar>,
    last_line: Instant,
}

impl Ui {
    /// Output with lines of this format on standard error.
    pub fn new(format: LogFormat) -> Self {
        let state = State {
            is_buffering: false,
            buffer: Vec::new(),
            bars: Vec::new(),
            last_line: Instant::now(),
        };
        Self { format, state: Arc::new(Mutex::new(state)) }
    }

    /// Starts a thread that writes a line to standard error whenever there was no output for ten
    /// seconds.
    pub fn start_heartbeat(&self) {
        let ui = self.clone();
        let started = Instant::now();
        // A failure is ignored, because the program works without these lines.
        let _ = std::thread::Builder::new().name("heartbeat".into()).spawn(move || {
            loop {
                std::thread::sleep(Duration::from_secs(1));
                if ui.is_silent() {
                    let seconds = started.elapsed().as_secs_f64();
                    ui.line(
                        &format!("still working after {}", duration(seconds)),
                        || json!({ "event": "working", "seconds": seconds }),
                    );
                }
            }
        });
    }

    fn is_silent(&self) -> bool {
        let state = self.state();
        // Progress bars redraw themselves.
        !state.is_buffering && state.bars.is_empty() && state.last_line.elapsed() >= SILENCE
    }

    /// The format of the lines.
    pub fn format(&self) -> LogFormat {
        self.format
    }

    /// Writes a message to standard error.
    pub fn note(&self, message: &str) {
        self.line(message, || json!({ "event": "note", "message": message }));
    }

    /// Writes a message about the mentions and documents of the file at `path` that were skipped, if
    /// there are any.
    pub fn note_skipped(&self, path: &Path, skipped: &Skipped) {
        if !skipped.is_empty() {
            self.note(&format!("{}: {skipped}", path.display()));
        }
    }

    /// Writes one line to standard error: `human` or the equivalent JSON `object`, as the format
    /// requires.
    pub fn line(&self, human: &str, object: impl FnOnce() -> serde_json::Value) {
        let line = match self.format {
            LogFormat::Human => human.to_string(),
            LogFormat::Json => object().to_string(),
        };
        let mut state = self.state();
        state.last_line = Instant::now();
        if state.is_buffering {
            state.buffer.push(line);
        } else {
            write_stderr(&line);
        }
    }

    /// Writes the error that ended the program and its causes on one line.
    pub fn error(&self, error: &anyhow::Error) {
        let message = format!("{error:#}");
        self.line(&format!("error: {message}"), || json!({ "event": "error", "message": message }));
    }

    /// Writes results to standard output.
    ///
    /// # Errors
    /// As [`results_with`](Self::results_with).
    pub fn results(&self, text: &str) -> Result<()> {
        self.results_with(|out| out.write_all(text.as_bytes()))
    }

    /// Calls `write` with standard output. It is no error if the program that reads standard output
    /// has ended, as `head` does.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn results_with(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
        let out = Results { out: io::stdout().lock(), bars: self.state().bars.clone() };
        let mut out = BufWriter::new(out);
        match write(&mut out).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                // A buffer that is dropped writes its rest.
                let _ = out.into_parts();
                Ok(())
            }
            result => result.context("standard output cannot be written"),
        }
    }

    /// Buffers all lines until [`flush_lines`](Self::flush_lines) is called.
    pub fn buffer_lines(&self) {
        self.state().is_buffering = true;
    }

    /// Writes the buffered lines and stops buffering.
    pub fn flush_lines(&self) {
        let mut state = self.state();
        state.is_buffering = false;
        state.last_line = Instant::now();
        for line in std::mem::take(&mut state.buffer) {
            write_stderr(&line);
        }
    }

    /// Reports whether lines are buffered.
    pub fn is_buffering(&self) -> bool {
        self.state().is_buffering
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Standard output. Progress bars on the same terminal are hidden while it is written.
struct Results {
    out: io::StdoutLock<'static>,
    bars: Vec<WeakProgressBar>,
}

impl Results {
    fn without_bars<T>(&mut self, write: impl FnOnce(&mut io::StdoutLock) -> T) -> T {
        // At most one task has a bar while results are written.
        match self.bars.iter().find_map(WeakProgressBar::upgrade) {
            Some(bar) => bar.suspend(|| write(&mut self.out)),
            None => write(&mut self.out),
        }
    }
}

impl Write for Results {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.without_bars(|out| out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.without_bars(|out| out.flush())
    }
}

/// Writes a line to standard error; ignores a failure, because there is no place to report it.
fn write_stderr(line: &str) {
    let mut err = std::io::stderr().lock();
    let _ = writeln!(err, "{line}");
}

/// Converts the name of a metric to its key in files: `Ign F1` to `ign_f1`.
pub fn metric_key(name: &str) -> String {
    name.to_lowercase().replace(' ', "_")
}

/// A fraction in percent with two decimals.
pub fn percent(fraction: f64) -> String {
    format!("{:.2}", 100.0 * fraction)
}

/// Formats a number with three significant digits, or more if its integer part has more.
pub fn three_digits(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return number.to_string();
    }
    let digits_before_point = number.abs().log10().floor() as i32 + 1;
    format!("{number:.*}", usize::try_from(3 - digits_before_point).unwrap_or(0))
}

/// Formats a duration, as in `1m13s`.
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
    fn numbers_have_three_significant_digits() {
        for (number, expected) in [
            (1234.5, "1234"),
            (99.94, "99.9"),
            (3.8261, "3.83"),
            (0.07861, "0.0786"),
            (-12.34, "-12.3"),
            (0.0, "0"),
        ] {
            assert_eq!(three_digits(number), expected);
        }
    }

    #[test]
    fn a_duration_is_shown_in_its_two_largest_units() {
        assert_eq!(duration(0.4), "0s");
        assert_eq!(duration(73.0), "1m13s");
        assert_eq!(duration(7260.0), "2h01m");
    }

    #[test]
    fn lines_are_buffered_until_they_are_flushed() {
        let ui = Ui::new(LogFormat::Json);
        ui.buffer_lines();
        ui.note("later");
        assert_eq!(ui.state().buffer, [r#"{"event":"note","message":"later"}"#]);
        ui.flush_lines();
        assert!(ui.state().buffer.is_empty());
    }
}
