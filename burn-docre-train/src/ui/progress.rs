//! The progress of long tasks: a bar on a terminal, otherwise a line every few seconds.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{BinaryBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::{
    output::{Ui, duration},
    terminal,
};
use crate::cli::LogFormat;

/// The interval between the progress lines of a task.
pub(super) const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// The unit of a task's progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Items,
    Bytes,
}

impl Unit {
    /// A number of items, or a size as in `1.50 MiB`.
    fn amount(self, amount: usize) -> String {
        match self {
            Self::Items => amount.to_string(),
            Self::Bytes => BinaryBytes(amount as u64).to_string(),
        }
    }

    /// An amount per second.
    fn rate(self, rate: f64) -> String {
        match self {
            Self::Items => format!("{rate:.1}/s"),
            Self::Bytes => format!("{}/s", BinaryBytes(rate as u64)),
        }
    }
}

fn bar(what: &str, total: Option<usize>, unit: Unit) -> ProgressBar {
    let length = total.map(|total| total as u64);
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template(match (total, unit) {
        (Some(_), Unit::Items) => "{prefix} {wide_bar} {pos}/{len}, {per_sec}, {eta} left",
        (None, Unit::Items) => "{prefix} {spinner} {pos}, {per_sec}",
        (_, Unit::Bytes) => {
            "{prefix} {wide_bar} {binary_bytes}/{binary_total_bytes}, {binary_bytes_per_sec}, {eta} left"
        }
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
    unit: Unit,
    done: usize,
    started: Instant,
    reported: Instant,
    bar: Option<ProgressBar>,
}

impl Ui {
    /// Starts a task and reports its progress; `total` is its number of items, `None` if that is
    /// unknown.
    pub fn task(&self, what: &str, total: Option<usize>) -> Task {
        self.start(what, total, Unit::Items)
    }

    /// Starts a download of `size` bytes and reports its progress.
    pub fn download(&self, what: &str, size: usize) -> Task {
        self.start(what, Some(size), Unit::Bytes)
    }

    fn start(&self, what: &str, total: Option<usize>, unit: Unit) -> Task {
        let is_drawable = self.format() == LogFormat::Human
            && std::io::stderr().is_terminal()
            && !terminal::is_plain()
            && !self.is_buffering();
        let bar = is_drawable.then(|| bar(what, total, unit));
        self.state().bars.extend(bar.as_ref().map(ProgressBar::downgrade));
        let now = Instant::now();
        Task {
            ui: self.clone(),
            what: what.into(),
            total,
            unit,
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
        let seconds = self.started.elapsed().as_secs_f64();
        self.ui.line(&self.line(seconds), || {
            let (rate, left) = self.speed(seconds);
            json!({ "event": "progress", "task": self.what, "done": self.done, "total": self.total,
                    "per_second": rate, "seconds_left": left })
        });
    }

    /// The rate per second and the seconds left after `seconds`.
    fn speed(&self, seconds: f64) -> (f64, Option<f64>) {
        let rate = self.done as f64 / seconds.max(1e-9);
        let left = |total: usize| total.saturating_sub(self.done) as f64 / rate.max(1e-9);
        (rate, self.total.map(left))
    }

    /// The progress after `seconds` as a line.
    fn line(&self, seconds: f64) -> String {
        let Self { what, unit, .. } = self;
        let (rate, left) = self.speed(seconds);
        let total = self.total.map(|total| format!("/{}", unit.amount(total))).unwrap_or_default();
        let left = left.map(|left| format!(", {} left", duration(left))).unwrap_or_default();
        format!("{what}: {}{total}, {}{left}", unit.amount(self.done), unit.rate(rate))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
            drop(bar);
            self.ui.state().bars.retain(|bar| bar.upgrade().is_some());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_progress_has_the_rate_and_the_time_left_in_the_unit_of_the_task() {
        let ui = Ui::new(LogFormat::Human);
        ui.buffer_lines();
        let mut documents = ui.task("reading", Some(300));
        documents.advance(100);
        assert_eq!(documents.line(10.0), "reading: 100/300, 10.0/s, 20s left");
        let mut unknown = ui.task("reading", None);
        unknown.advance(100);
        assert_eq!(unknown.line(10.0), "reading: 100, 10.0/s");
        let mut bytes = ui.download("weights", 3 << 20);
        bytes.advance(1 << 20);
        assert_eq!(bytes.line(2.0), "weights: 1.00 MiB/3.00 MiB, 512.00 KiB/s, 4s left");
    }
}
