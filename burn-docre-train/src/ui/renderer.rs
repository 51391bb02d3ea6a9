//! The progress of a stage: Burn's interface on a terminal, otherwise a line every few seconds.

use std::{
    collections::{BTreeMap, HashMap},
    io::IsTerminal,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use anyhow::anyhow;
use burn::{
    data::dataloader::Progress,
    train::{
        Interrupter, LearnerSummary,
        metric::{MetricDefinition, MetricEntry, MetricId},
        renderer::{
            EvaluationName, EvaluationProgress, MetricState, MetricsRenderer,
            MetricsRendererEvaluation, MetricsRendererTraining, ProgressType, TrainingProgress,
            tui::TuiMetricsRendererWrapper,
        },
    },
};
use serde_json::json;

use super::{
    output::{Ui, duration, metric_key},
    progress::REPORT_INTERVAL,
    terminal,
};
use crate::cli::LogFormat;

type BoxedRenderer = Box<dyn MetricsRenderer>;

/// A handle on the renderer of one stage; clones share the renderer.
///
/// Burn's event thread owns one handle. The training loop owns another one to report the progress
/// of dev evaluations, for which Burn has no event.
#[derive(Clone)]
pub struct StageRenderer(Arc<Mutex<BoxedRenderer>>);

/// The display of one stage; restores the terminal when it is dropped.
pub struct Screen {
    ui: Ui,
    renderer: Option<StageRenderer>,
    is_interface: bool,
}

/// The progress of a stage when its display starts.
pub struct Done {
    /// The number of finished epochs.
    pub epochs: usize,
    /// The losses of the epoch in progress.
    pub losses: Losses,
}

/// The losses of an epoch so far.
#[derive(Default)]
pub struct Losses {
    /// Their sum.
    pub sum: f64,
    /// Their number.
    pub count: usize,
}

impl Screen {
    /// Starts the display of `stage`, whose progress so far is `done`.
    pub fn start(ui: &Ui, stage: &str, interrupter: &Interrupter, done: Done) -> Self {
        let is_interface = ui.format() == LogFormat::Human
            && std::io::stdout().is_terminal()
            && !terminal::is_plain();
        let renderer: BoxedRenderer = if is_interface {
            ui.buffer_lines();
            terminal::before_interface();
            let killed = ui.clone();
            terminal::on_kill(move || {
                terminal::restore();
                killed.flush_lines();
                killed.error(&anyhow!("ended by the keys `q` and `k`; resume with `--resume`"));
                std::process::exit(1);
            });
            let resumed_at = (done.epochs > 0).then_some(done.epochs);
            let interface = TuiMetricsRendererWrapper::new(interrupter.clone(), resumed_at);
            terminal::after_interface_started();
            Box::new(interface)
        } else {
            Box::new(LineRenderer::new(ui, stage, done.losses))
        };
        let renderer = Some(StageRenderer(Arc::new(Mutex::new(renderer))));
        Self { ui: ui.clone(), renderer, is_interface }
    }

    /// A handle on the renderer; `None` only while the display is dropped.
    pub fn renderer(&self) -> Option<StageRenderer> {
        self.renderer.clone()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Dropping the last handle closes Burn's interface; the training has dropped the others.
        self.renderer = None;
        if self.is_interface {
            terminal::after_interface();
            self.ui.flush_lines();
        }
    }
}

impl StageRenderer {
    fn inner(&self) -> MutexGuard<'_, BoxedRenderer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows the progress of the dev evaluation at the end of an epoch.
    pub fn evaluating(&self, progress: Progress, epoch: &Progress) {
        let indicators = vec![
            ProgressType::Detailed { tag: "Epoch".into(), progress: epoch.clone() },
            ProgressType::Detailed { tag: "Dev documents".into(), progress: progress.clone() },
        ];
        let item = TrainingProgress {
            progress: Some(progress),
            global_progress: epoch.clone(),
            iteration: None,
        };
        self.inner().render_valid(item, indicators);
    }
}

/// Reports whether the item lacks the metric, as a step that lacks a part of the loss or a measure.
/// Its value is then NaN.
fn is_absent(state: &MetricState) -> bool {
    matches!(state, MetricState::Numeric(_, value) if value.current().is_nan())
}

impl MetricsRendererTraining for StageRenderer {
    fn update_train(&mut self, state: MetricState) {
        if !is_absent(&state) {
            self.inner().update_train(state);
        }
    }

    fn update_valid(&mut self, state: MetricState) {
        if !is_absent(&state) {
            self.inner().update_valid(state);
        }
    }

    fn render_train(&mut self, item: TrainingProgress, indicators: Vec<ProgressType>) {
        self.inner().render_train(item, indicators);
    }

    fn render_valid(&mut self, item: TrainingProgress, indicators: Vec<ProgressType>) {
        self.inner().render_valid(item, indicators);
    }

    fn on_train_end(
        &mut self,
        summary: Option<LearnerSummary>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        self.inner().on_train_end(summary)
    }
}

impl MetricsRendererEvaluation for StageRenderer {
    fn update_test(&mut self, name: EvaluationName, state: MetricState) {
        self.inner().update_test(name, state);
    }

    fn render_test(&mut self, item: EvaluationProgress, indicators: Vec<ProgressType>) {
        self.inner().render_test(item, indicators);
    }
}

impl MetricsRenderer for StageRenderer {
    fn manual_close(&mut self) {
        self.inner().manual_close();
    }

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.inner().register_metric(definition);
    }
}

/// The renderer without a terminal: one line every few seconds and one per epoch.
struct LineRenderer {
    ui: Ui,
    stage: String,
    names: HashMap<MetricId, String>,
    train: BTreeMap<String, f64>,
    /// The phase of the latest step, if the training has phases.
    phase: Option<String>,
    dev: BTreeMap<String, f64>,
    losses: Losses,
    /// The last progress line.
    reported: Option<Report>,
    /// The first progress line of this process.
    started: Option<Start>,
}

/// The time of a progress line, and the documents of the stage that were done.
struct Report {
    at: Instant,
    documents: usize,
}

/// The time of a progress line, and the fraction of the stage that was done.
#[derive(Clone, Copy)]
struct Start {
    at: Instant,
    fraction: f64,
}

impl LineRenderer {
    fn new(ui: &Ui, stage: &str, losses: Losses) -> Self {
        Self {
            ui: ui.clone(),
            stage: stage.to_string(),
            names: HashMap::new(),
            train: BTreeMap::new(),
            phase: None,
            dev: BTreeMap::new(),
            losses,
            reported: None,
            started: None,
        }
    }

    /// The key of a metric.
    fn key(&self, entry: &MetricEntry) -> Option<String> {
        self.names.get(&entry.metric_id).map(|name| metric_key(name))
    }

    /// The stage, epoch and phase at the beginning of a line.
    fn place(&self, epoch: &Progress) -> String {
        let phase = self.phase.as_ref().map(|phase| format!(" ({phase})")).unwrap_or_default();
        format!("{} epoch {}/{}{phase}", self.stage, epoch.items_processed, epoch.items_total)
    }

    fn is_due(&self) -> bool {
        self.reported.as_ref().is_none_or(|report| report.at.elapsed() >= REPORT_INTERVAL)
    }

    /// Writes a progress line; `within` is the progress in the epoch, in documents.
    fn report_step(&mut self, item: &TrainingProgress, within: &Progress) {
        let epoch = &item.global_progress;
        let documents = (epoch.items_processed - 1) * within.items_total + within.items_processed;
        let all = (epoch.items_total * within.items_total).max(1);
        let fraction = documents as f64 / all as f64;
        let now = Instant::now();
        let per_second = self.reported.as_ref().map(|report| {
            let seconds = (now - report.at).as_secs_f64().max(1e-9);
            documents.saturating_sub(report.documents) as f64 / seconds
        });
        let start = *self.started.get_or_insert(Start { at: now, fraction });
        let left = (fraction > start.fraction).then(|| {
            start.at.elapsed().as_secs_f64() * (1.0 - fraction) / (fraction - start.fraction)
        });
        self.reported = Some(Report { at: now, documents });
        let mut human = format!(
            "{} document {}/{}",
            self.place(epoch),
            within.items_processed,
            within.items_total
        );
        if let Some(step) = item.iteration {
            human += &format!(" step {step}");
        }
        if let (Some(per_second), Some(left)) = (per_second, left) {
            human += &format!(", {per_second:.1} documents/s, {} left", duration(left));
        }
        human += &metrics(&self.train);
        self.ui.line(&human, || {
            json!({ "event": "step", "stage": self.stage, "epoch": epoch.items_processed,
                    "epochs": epoch.items_total, "document": within.items_processed,
                    "documents": within.items_total, "step": item.iteration,
                    "documents_per_second": per_second, "seconds_left": left,
                    "phase": self.phase, "metrics": self.train })
        });
    }

    fn report_evaluation(&mut self, item: &TrainingProgress, within: &Progress) {
        let documents = self.reported.as_ref().map_or(0, |report| report.documents);
        self.reported = Some(Report { at: Instant::now(), documents });
        let epoch = &item.global_progress;
        let (done, total) = (within.items_processed, within.items_total);
        let human = format!("{} evaluating dev document {done}/{total}", self.place(epoch));
        self.ui.line(&human, || {
            json!({ "event": "evaluating", "stage": self.stage, "epoch": epoch.items_processed,
                    "epochs": epoch.items_total, "document": done, "documents": total })
        });
    }

    fn report_epoch(&mut self, item: &TrainingProgress) {
        let epoch = &item.global_progress;
        let Losses { sum, count } = std::mem::take(&mut self.losses);
        let loss = (count > 0).then(|| sum / count as f64);
        let dev = std::mem::take(&mut self.dev);
        let mean_loss = loss.map(|loss| format!(", mean loss {loss:.4}")).unwrap_or_default();
        let human = format!(
            "{} done{mean_loss}, dev{}",
            self.place(epoch),
            metrics(&dev).replacen(',', "", 1)
        );
        self.ui.line(&human, || {
            json!({ "event": "epoch", "stage": self.stage, "epoch": epoch.items_processed,
                    "epochs": epoch.items_total, "phase": self.phase, "mean_loss": loss,
                    "dev": dev })
        });
    }
}

/// Formats metrics for the end of a line, each after a comma.
fn metrics(values: &BTreeMap<String, f64>) -> String {
    let metric = |(name, value): (&String, &f64)| {
        let name = name.replace('_', " ");
        match name.as_str() {
            "learning rate" => format!(", {name} {value:.2e}"),
            _ if name.ends_with("loss") => format!(", {name} {value:.4}"),
            _ => format!(", {name} {value:.2}"),
        }
    };
    values.iter().map(metric).collect()
}

impl MetricsRendererTraining for LineRenderer {
    fn update_train(&mut self, state: MetricState) {
        match state {
            MetricState::Numeric(entry, value) => {
                let Some(key) = self.key(&entry) else { return };
                if key == "loss" {
                    self.losses.sum += value.current();
                    self.losses.count += 1;
                }
                self.train.insert(key, value.current());
            }
            // The phase is the only metric that is text.
            MetricState::Generic(entry) => {
                let phase = entry.serialized_entry.formatted;
                // The losses of another phase are out of date.
                if self.phase.as_ref() != Some(&phase) {
                    self.train.clear();
                    self.phase = Some(phase);
                }
            }
        }
    }

    fn update_valid(&mut self, state: MetricState) {
        if let MetricState::Numeric(entry, value) = state
            && let Some(key) = self.key(&entry)
        {
            self.dev.insert(key, value.current());
        }
    }

    fn render_train(&mut self, item: TrainingProgress, _: Vec<ProgressType>) {
        if let Some(within) = item.progress.as_ref().filter(|_| self.is_due()) {
            self.report_step(&item, within);
        }
    }

    fn render_valid(&mut self, item: TrainingProgress, _: Vec<ProgressType>) {
        if !self.dev.is_empty() {
            self.report_epoch(&item);
        } else if let Some(within) = item.progress.as_ref().filter(|_| self.is_due()) {
            self.report_evaluation(&item, within);
        }
    }

    fn on_train_end(
        &mut self,
        _: Option<LearnerSummary>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        Ok(())
    }
}

impl MetricsRendererEvaluation for LineRenderer {
    fn update_test(&mut self, _: EvaluationName, _: MetricState) {}

    fn render_test(&mut self, _: EvaluationProgress, _: Vec<ProgressType>) {}
}

impl MetricsRenderer for LineRenderer {
    fn manual_close(&mut self) {}

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.names.insert(definition.metric_id, definition.name);
    }
}
