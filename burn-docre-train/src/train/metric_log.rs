//! The log of all metrics in a stage's directory: `metrics.jsonl`.
//!
//! Burn's file logger panics on a full disk and restarts the numbering of epochs in a resumed run.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result, ensure};
use burn::train::{
    logger::MetricLogger,
    metric::{
        MetricDefinition, MetricId, NumericEntry,
        store::{EpochSummary, MetricsUpdate, Split},
    },
};
use burn_docre::input;
use serde_json::{Map, Value};

use crate::train::failure::Failure;

const FILE: &str = "metrics.jsonl";
/// The split of optimizer steps.
const TRAIN: &str = "train";

/// A line of the log: the metrics of an optimizer step or of a dev evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedMetrics {
    /// True for an optimizer step, false for a dev evaluation.
    pub is_step: bool,
    /// The number of the epoch, from 1.
    pub epoch: usize,
    /// The numbers by name. Scores are in percent.
    pub values: BTreeMap<String, f64>,
}

impl LoggedMetrics {
    /// The metrics of a line; `None` if it is no line of a log.
    fn parse(line: &str) -> Option<Self> {
        let line: Map<String, Value> = serde_json::from_str(line).ok()?;
        let is_step = line.get("split")?.as_str()? == TRAIN;
        let epoch = usize::try_from(line.get("epoch")?.as_u64()?).ok()?;
        let is_metric = |name: &str| name != "split" && name != "epoch";
        let values = line.iter().filter(|(name, _)| is_metric(name));
        let values = values.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?)));
        Some(Self { is_step, epoch, values: values.collect() })
    }
}

/// Reads the log in the directory `stage`; it is empty if there is no file. A last line that is not
/// complete, as while the stage is trained, is skipped.
///
/// # Errors
/// If the file cannot be read, or another line is no line of a log.
pub fn read(stage: &Path) -> Result<Vec<LoggedMetrics>> {
    let path = stage.join(FILE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = String::from_utf8_lossy(&input::read(&path)?).into_owned();
    let end = text.rfind('\n').map_or(0, |end| end + 1);
    let mut log = Vec::new();
    for (index, line) in text[..end].lines().enumerate() {
        let metrics = LoggedMetrics::parse(line);
        ensure!(
            metrics.is_some(),
            "{}:{}: no line of a log of metrics; the file is damaged",
            path.display(),
            index + 1
        );
        log.extend(metrics);
    }
    Ok(log)
}

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
    /// Opens the log in the directory `stage` and truncates it to `length` bytes, or to its last
    /// complete line if it is shorter.
    ///
    /// Every write adds its size to `length`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn open(stage: &Path, length: &Arc<AtomicU64>, failure: &Failure) -> Result<Self> {
        let path = stage.join(FILE);
        let context = || format!("{}: writing failed", path.display());
        let file = File::options().create(true).append(true).open(&path).with_context(context)?;
        let mut kept = length.load(Ordering::Relaxed);
        // After a power failure the file can be shorter than the state records, and end within a
        // line.
        if file.metadata().with_context(context)?.len() < kept {
            let bytes = std::fs::read(&path).with_context(context)?;
            let end = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
            kept = end as u64;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<LoggedMetrics>> {
        let stage = tempfile::tempdir().unwrap();
        std::fs::write(stage.path().join(FILE), text).unwrap();
        read(stage.path())
    }

    #[test]
    fn a_log_is_read_without_texts_and_without_an_incomplete_last_line() {
        let text = "{\"Loss\":0.5,\"Phase\":\"M step\",\"epoch\":1,\"split\":\"train\"}\n\
                    {\"F1\":37.5,\"epoch\":1,\"split\":\"valid\"}\n{\"Loss\":0.";
        let line = |is_step, name: &str, value| LoggedMetrics {
            is_step,
            epoch: 1,
            values: BTreeMap::from([(name.into(), value)]),
        };
        assert_eq!(read_text(text).unwrap(), [line(true, "Loss", 0.5), line(false, "F1", 37.5)]);
    }

    #[test]
    fn a_damaged_line_is_an_error_that_names_its_place() {
        let error = read_text("{\"epoch\":1,\"split\":\"train\"}\n{\"Loss\n").unwrap_err();
        assert!(error.to_string().contains("metrics.jsonl:2: "), "{error}");
    }

    #[test]
    fn a_log_that_is_shorter_than_the_state_records_ends_with_its_last_complete_line() {
        let stage = tempfile::tempdir().unwrap();
        let line = "{\"F1\":37.5,\"epoch\":1,\"split\":\"valid\"}\n";
        for (text, recorded, kept) in [
            (format!("{line}{{\"Loss\":0."), 1_000, line.len()),
            (format!("{line}{line}"), line.len(), line.len()),
            ("{\"Loss".to_string(), 1_000, 0),
        ] {
            std::fs::write(stage.path().join(FILE), text).unwrap();
            let length = Arc::new(AtomicU64::new(recorded as u64));
            drop(MetricLog::open(stage.path(), &length, &Failure::default()).unwrap());
            assert_eq!(length.load(Ordering::Relaxed), kept as u64);
            assert_eq!(std::fs::metadata(stage.path().join(FILE)).unwrap().len(), kept as u64);
        }
    }

    #[test]
    fn a_stage_without_a_log_has_no_metrics() {
        let stage = tempfile::tempdir().unwrap();
        assert_eq!(read(stage.path()).unwrap(), []);
    }
}
