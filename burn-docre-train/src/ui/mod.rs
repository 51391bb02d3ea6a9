//! What people see: notes and progress on standard error, results on standard output.
//!
//! The only place of the program that prints. While Burn's terminal interface owns the screen, notes wait.

pub mod renderer;
pub mod signals;
pub mod table;
pub mod terminal;

use std::{
    io::{IsTerminal, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use crate::cli::LogFormat;

/// How often a long task says where it stands when there is no terminal.
pub const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// After so much silence the program says that it is still at work.
const SILENCE: Duration = Duration::from_secs(9);

/// The program's voice; clones speak for the same program.
#[derive(Clone)]
pub struct Ui {
    format: LogFormat,
    screen: Arc<Mutex<Screen>>,
}

struct Screen {
    /// Burn's terminal interface owns the terminal.
    taken: bool,
    /// Progress bars on the terminal; they move by themselves.
    n_bars: usize,
    waiting: Vec<String>,
    last_line: Instant,
}

impl Ui {
    /// A voice that writes lines of this form.
    pub fn new(format: LogFormat) -> Self {
        let screen =
            Screen { taken: false, n_bars: 0, waiting: Vec::new(), last_line: Instant::now() };
        Self { format, screen: Arc::new(Mutex::new(screen)) }
    }

    /// From now on breaks any silence of ten seconds, whatever the program is at.
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

    /// One sentence for the reader.
    pub fn note(&self, message: &str) {
        self.line(message, || json!({ "event": "note", "message": message }));
    }

    /// One line: `human`, or the object that says the same.
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

    /// The error that ended the program, as one sentence with its causes.
    pub fn error(&self, error: &anyhow::Error) {
        let message = format!("{error:#}");
        self.line(&format!("error: {message}"), || json!({ "event": "error", "message": message }));
    }

    /// Starts to report on a task of `total` items, where that is known.
    pub fn task(&self, what: &str, total: Option<usize>) -> Task {
        let drawable = self.format == LogFormat::Human
            && std::io::stderr().is_terminal()
            && !self.screen().taken;
        let bar = drawable.then(|| bar(what, total));
        self.screen().n_bars += usize::from(bar.is_some());
        let now = Instant::now();
        Task {
            ui: self.clone(),
            what: what.into(),
            total,
            done: 0,
            started: now,
            reported: now,
            bar,
        }
    }

    /// Writes results to standard output.
    pub fn results(&self, text: &str) -> Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .context("standard output cannot be written")
    }

    /// From now on the terminal belongs to Burn's interface.
    pub fn take_screen(&self) {
        self.screen().taken = true;
    }

    /// The terminal is free again: what waited is written.
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

    fn screen(&self) -> MutexGuard<'_, Screen> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Standard error may be closed; the work goes on without it.
fn write_stderr(line: &str) {
    let mut err = std::io::stderr().lock();
    let _ = writeln!(err, "{line}");
}

fn bar(what: &str, total: Option<usize>) -> ProgressBar {
    let length = total.map(|total| total as u64);
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template(match total {
        Some(_) => "{prefix} {wide_bar} {pos}/{len}, {per_sec}, {eta} left",
        None => "{prefix} {spinner} {pos}, {per_sec}",
    });
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix(what.to_string());
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

/// A long task that says where it stands: a bar on a terminal, otherwise a line every few seconds.
pub struct Task {
    ui: Ui,
    what: String,
    total: Option<usize>,
    done: usize,
    started: Instant,
    reported: Instant,
    bar: Option<ProgressBar>,
}

impl Task {
    /// `n` more items are done.
    pub fn advance(&mut self, n: usize) {
        self.done += n;
        if let Some(bar) = &self.bar {
            bar.set_position(self.done as u64);
        } else if self.reported.elapsed() >= REPORT_INTERVAL {
            self.reported = Instant::now();
            self.report();
        }
    }

    fn report(&self) {
        if self.ui.screen_is_taken() {
            return;
        }
        let (what, done, total) = (&self.what, self.done, self.total);
        let rate = done as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        let left = total.map(|total| total.saturating_sub(done) as f64 / rate.max(1e-9));
        let of_total = total.map(|total| format!("/{total}")).unwrap_or_default();
        let time_left = left.map(|left| format!(", {} left", duration(left))).unwrap_or_default();
        self.ui.line(&format!("{what}: {done}{of_total}, {rate:.1}/s{time_left}"), || {
            json!({ "event": "progress", "task": what, "done": done, "total": total,
                    "per_second": rate, "seconds_left": left })
        });
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            self.ui.screen().n_bars -= 1;
        }
    }
}

/// The key of a metric in files: `ign_f1` for `Ign F1`.
pub fn metric_key(name: &str) -> String {
    name.to_lowercase().replace(' ', "_")
}

/// `73` → `1m13s`.
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
