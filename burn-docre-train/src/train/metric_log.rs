//! The log of all metrics in a stage's directory: `metrics.jsonl`.
//!
//! Burn's file logger panics on a full disk and restarts the numbering of epochs in a resumed run.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result};
use burn::train::{
    logger::MetricLogger,
    metric::{
        MetricDefinition, MetricId, NumericEntry,
        store::{EpochSummary, MetricsUpdate, Split},
    },
};
use serde_json::{Map, Value};

use crate::train::failure::Failure;

/// Appends the metrics to `metrics.jsonl`, one line per step or dev evaluation.
pub struct MetricLog {
    path: PathBuf,
    file: BufWriter<File>,
    length: Arc<AtomicU64>,
    failure: Failure,
    names: HashMap<MetricId, String>,
    /// The values of the latest epoch, by name and split.
    latest: HashMap<(String, String), (usize, Vec<NumericEntry>)>,
}

impl MetricLog {
    /// Opens the log in the directory `stage` and truncates it to `length` bytes.
    ///
    /// Every write adds its size to `length`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn open(stage: &Path, length: &Arc<AtomicU64>, failure: &Failure) -> Result<Self> {
        let path = stage.join("metrics.jsonl");
        let context = || format!("{}: writing failed", path.display());
        let file = File::options().create(true).append(true).open(&path).with_context(context)?;
        // After a power failure the file can be shorter than the state records. A larger length
        // would fill it with zeros.
        let on_disk = file.metadata().with_context(context)?.len();
        let kept = length.load(Ordering::Relaxed).min(on_disk);
        file.set_len(kept).with_context(context)?;
        length.store(kept, Ordering::Relaxed);
        Ok(Self {
            path: path.clone(),
            file: BufWriter::new(file),
            length: length.clone(),
            failure: failure.clone(),
            names: HashMap::new(),
            latest: HashMap::new(),
        })
    }

    fn write(&mut self, line: &str) {
        let result = writeln!(self.file, "{line}").and_then(|()| self.file.flush());
        match result {
            Ok(()) => {
                self.length.fetch_add(line.len() as u64 + 1, Ordering::Relaxed);
            }
            Err(error) => {
                let context = format!("{}: writing failed", self.path.display());
                self.failure.set(anyhow::Error::new(error).context(context));
            }
        }
    }
}

impl MetricLogger for MetricLog {
    fn log(&mut self, update: MetricsUpdate, epoch: usize, split: &Split) {
        let mut line = Map::new();
        line.insert("split".into(), split.to_string().into());
        line.insert("epoch".into(), epoch.into());
        for metric in update.entries {
            let Some(name) = self.names.get(&metric.metric_id) else { continue };
            line.insert(name.clone(), metric.serialized_entry.serialized.into());
        }
        for metric in update.entries_numeric {
            let Some(name) = self.names.get(&metric.entry.metric_id) else { continue };
            // NaN stands for a value that the step does not compute.
            if metric.numeric_entry.current().is_nan() {
                continue;
            }
            line.insert(name.clone(), Value::from(metric.numeric_entry.current()));
            let latest = self.latest.entry((name.clone(), split.to_string())).or_default();
            if latest.0 != epoch {
                *latest = (epoch, Vec::new());
            }
            latest.1.push(metric.numeric_entry);
        }
        self.write(&Value::Object(line).to_string());
    }

    fn read_numeric(
        &mut self,
        name: &str,
        epoch: usize,
        split: &Split,
    ) -> Result<Vec<NumericEntry>, String> {
        let latest = self.latest.get(&(name.to_string(), split.to_string()));
        Ok(latest
            .filter(|(logged, _)| *logged == epoch)
            .map(|(_, values)| values.clone())
            .unwrap_or_default())
    }

    fn log_metric_definition(&mut self, definition: MetricDefinition) {
        self.names.insert(definition.metric_id, definition.name);
    }

    fn log_epoch_summary(&mut self, _: EpochSummary) {}
}
