//! The progress of long tasks: a bar on a terminal, otherwise a line every few seconds.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::{
    output::{Ui, duration},
    terminal,
};
use crate::cli::LogFormat;

/// The interval between the progress lines of a task.
pub(super) const REPORT_INTERVAL: Duration = Duration::from_secs(5);

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

/// A long task; reports its progress until it is dropped.
pub struct Task {
    ui: Ui,
    what: String,
    total: Option<usize>,
    done: usize,
    started: Instant,
    reported: Instant,
    bar: Option<ProgressBar>,
}

impl Ui {
    /// Starts a task and reports its progress; `total` is its number of items, `None` if that is
    /// unknown.
    pub fn task(&self, what: &str, total: Option<usize>) -> Task {
        let is_drawable = self.format() == LogFormat::Human
            && std::io::stderr().is_terminal()
            && !terminal::is_plain()
            && !self.is_buffering();
        let bar = is_drawable.then(|| bar(what, total));
        self.state().n_bars += usize::from(bar.is_some());
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
}

impl Task {
    /// Counts `n` more items as done.
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
        if self.ui.is_buffering() {
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
            self.ui.state().n_bars -= 1;
        }
    }
}
