//! The result of one measurement: the fields of a burn-bench record, and additional ones.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use burn_docre::backend;
use serde::{Deserialize, Serialize};

use crate::run::files;

/// The file of records in the output directory of a benchmark.
pub const BENCH: &str = "bench.json";

/// The measurement of one mode on one device. Durations are in microseconds per sample; a sample is
/// a pass over all documents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The number of the file that the record was read from, in the order of the files; 0 for a new
    /// record.
    #[serde(default)]
    pub file: usize,
    /// The backend's name.
    pub backend: String,
    /// The device's name.
    pub device: String,
    /// The libraries and drivers between the program and the device, with their versions.
    #[serde(default)]
    pub drivers: String,
    /// The name of the backend with the features of its build.
    pub feature: String,
    /// The git commit of the build; empty if it is unknown.
    pub git_hash: String,
    /// The version of Burn.
    pub burn_version: String,
    /// The system of the model, such as `kmgre`; `None` if it is unknown, as in older records.
    #[serde(default)]
    pub system: Option<String>,
    /// The mode's name.
    pub name: String,
    /// The mode's name; burn-bench groups by it.
    pub operation: String,
    /// Always `None`; a field of burn-bench.
    pub options: Option<String>,
    /// The batch size and the number of documents, as `[[batch_size, documents]]`.
    pub shapes: Vec<Vec<usize>>,
    /// Longest sample.
    pub max: u64,
    /// Mean of the samples.
    pub mean: u64,
    /// Median of the samples.
    pub median: u64,
    /// Shortest sample.
    pub min: u64,
    /// Variance of the samples in square milliseconds, the unit of burn-bench.
    pub variance: u64,
    /// Number of samples.
    pub num_samples: usize,
    /// The samples in the order in which they were taken.
    pub raw_durations: Vec<Duration>,
    /// The machine.
    pub system_info: SystemInfo,
    /// Milliseconds since 1970 at the first sample.
    pub timestamp: u64,
    /// Floating-point operations of the matrix products in a sample; `None` if the mode has none.
    pub flops: Option<u64>,
    /// Documents per sample.
    pub documents: usize,
    /// Tokens per sample.
    pub tokens: usize,
    /// Classified pairs per sample.
    pub pairs: usize,
    /// Seconds of the warm-up, which includes autotuning and compilation.
    pub warmup_seconds: f64,
    /// True if the passes took a steady time before the warm-up reached its maximum length.
    #[serde(default = "is_steady")]
    pub is_steady: bool,
    /// Peak memory in bytes: of the process on a CPU device, else of the device; `None` if the
    /// driver does not report it.
    pub peak_memory_bytes: Option<u64>,
    /// CPU threads.
    pub threads: usize,
    /// Precision of the large matrix products.
    pub precision: String,
    /// The program's version.
    pub version: String,
    /// Floating-point operations per second of a large matrix product on this device, measured in
    /// the same process.
    pub matmul_peak_flops: f64,
}

/// The default for records without this field.
fn is_steady() -> bool {
    true
}

/// The machine, in the form of burn-bench.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SystemInfo {
    /// The names of the CPUs.
    pub cpus: Vec<String>,
    /// The names of the GPUs in use.
    pub gpus: Vec<String>,
    /// The operating system.
    #[serde(default)]
    pub os: String,
}

impl SystemInfo {
    /// Describes this machine; `device` is the name of the device in use.
    pub fn of_this_machine(device: &str) -> Self {
        let processor = backend::processor().name;
        let gpus = (device != processor).then(|| device.to_string()).into_iter().collect();
        let kernel = |file| std::fs::read_to_string(format!("/proc/sys/kernel/{file}"));
        let os = match (kernel("ostype"), kernel("osrelease")) {
            (Ok(name), Ok(release)) => format!("{} {}", name.trim(), release.trim()),
            _ => std::env::consts::OS.to_string(),
        };
        Self { cpus: vec![processor], gpus, os }
    }
}

/// Statistics of samples, in microseconds unless stated otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// Longest sample.
    pub max: u64,
    /// Mean of the samples.
    pub mean: u64,
    /// Median; of an even number of samples, the longer one of the middle two.
    pub median: u64,
    /// Shortest sample.
    pub min: u64,
    /// Population variance in square milliseconds.
    pub variance: u64,
}

impl Statistics {
    /// The statistics of `samples`; all are 0 without samples.
    pub fn of(samples: &[Duration]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_unstable();
        let n = sorted.len().max(1) as f64;
        let mean = sorted.iter().map(Duration::as_secs_f64).sum::<f64>() / n;
        let variance =
            sorted.iter().map(|sample| (sample.as_secs_f64() - mean).powi(2)).sum::<f64>() / n;
        let micros = |sample: Option<&Duration>| sample.map_or(0, |s| s.as_micros() as u64);
        Self {
            max: micros(sorted.last()),
            mean: (mean * 1e6) as u64,
            median: micros(sorted.get(sorted.len() / 2)),
            min: micros(sorted.first()),
            variance: (variance * 1e6) as u64,
        }
    }
}

/// The speed of a measurement in floating-point operations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AchievedFlops {
    /// Floating-point operations per second.
    pub per_second: f64,
    /// Their fraction of the operations per second of a large matrix product.
    pub share_of_matmul: f64,
}

impl Record {
    /// The rate per second of `count` items per sample, in the median sample.
    pub fn per_second(&self, count: usize) -> f64 {
        count as f64 / (self.median.max(1) as f64 * 1e-6)
    }

    /// Documents per second in a sample of `micros` microseconds.
    pub fn rate_of(&self, micros: u64) -> f64 {
        self.documents as f64 / (micros.max(1) as f64 * 1e-6)
    }

    /// Half the difference between the longest and the shortest sample, as a fraction of the
    /// median.
    pub fn spread(&self) -> f64 {
        (self.max - self.min) as f64 / 2.0 / self.median.max(1) as f64
    }

    /// The speed of the median sample in floating-point operations; `None` if their number is
    /// unknown.
    pub fn achieved_flops(&self) -> Option<AchievedFlops> {
        let per_second = self.flops? as f64 / (self.median.max(1) as f64 * 1e-6);
        Some(AchievedFlops { per_second, share_of_matmul: per_second / self.matmul_peak_flops })
    }

    /// The name of the record in a comparison: the backend with its features, and the precision
    /// unless it is `f32`.
    pub fn label(&self) -> String {
        match self.precision.as_str() {
            "f32" => self.feature.clone(),
            precision => format!("{} {precision}", self.feature),
        }
    }

    /// The version of the program, with the first digits of its commit if that is known.
    pub fn build(&self) -> String {
        match self.git_hash.get(..9).unwrap_or(&self.git_hash) {
            "" => self.version.clone(),
            commit => format!("{} ({commit})", self.version),
        }
    }

    /// Documents per batch; 0 if `shapes` is empty.
    pub fn batch_size(&self) -> usize {
        self.shapes.first().and_then(|shape| shape.first()).copied().unwrap_or(0)
    }
}

/// Reads the records of a file.
///
/// # Errors
/// If the file cannot be read, has no records, or the statistics of a record are out of order.
pub fn read(path: &Path) -> Result<Vec<Record>> {
    let records: Vec<Record> = files::read_json(path).context("not a list of benchmark records")?;
    ensure!(!records.is_empty(), "{}: the file has no records", path.display());
    for (i, Record { name, feature, min, median, max, .. }) in records.iter().enumerate() {
        ensure!(
            min <= median && median <= max,
            "{}: record {i} ({name} on {feature}): min {min}, median {median} and max {max} are out of order",
            path.display()
        );
    }
    Ok(records)
}

/// Reads the records of a file as [`read`], and appends them with the number of the file.
///
/// # Errors
/// As [`read`].
pub fn append(records: &mut Vec<Record>, path: &Path) -> Result<()> {
    // The records of a merged file keep the order of its files.
    let base = records.iter().map(|record| record.file + 1).max().unwrap_or(0);
    let numbered = |record: Record| Record { file: base + record.file, ..record };
    records.extend(read(path)?.into_iter().map(numbered));
    Ok(())
}

/// Writes records to a file.
///
/// # Errors
/// If the file cannot be written.
pub fn write(path: &Path, records: &[Record]) -> Result<()> {
    files::write_json(path, records)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A record whose median sample takes `seconds`.
    pub(crate) fn record(backend: &str, mode: &str, seconds: f64) -> Record {
        let samples =
            [0.9, 1.0, 1.2].map(|factor| Duration::from_secs_f64(factor * seconds)).to_vec();
        let Statistics { max, mean, median, min, variance } = Statistics::of(&samples);
        Record {
            file: 0,
            backend: backend.into(),
            device: "a processor".into(),
            drivers: "library 1.2".into(),
            feature: backend.into(),
            git_hash: "0".into(),
            burn_version: "0.21.0".into(),
            system: Some("kd-docre".into()),
            name: mode.into(),
            operation: mode.into(),
            options: None,
            shapes: vec![vec![4, 16]],
            max,
            mean,
            median,
            min,
            variance,
            num_samples: samples.len(),
            raw_durations: samples,
            system_info: SystemInfo::default(),
            timestamp: 0,
            flops: Some(1_000_000_000),
            documents: 16,
            tokens: 4000,
            pairs: 6000,
            warmup_seconds: 1.0,
            is_steady: true,
            peak_memory_bytes: Some(3 << 30),
            threads: 2,
            precision: "f32".into(),
            version: "docre".into(),
            matmul_peak_flops: 2e9,
        }
    }

    #[test]
    fn rates_come_from_the_median() {
        let record = record("flex", "inference", 2.0);
        assert!((record.per_second(record.documents) - 8.0).abs() < 1e-9);
        assert!((record.spread() - 0.15).abs() < 1e-6);
        let AchievedFlops { per_second, share_of_matmul } = record.achieved_flops().unwrap();
        assert!((per_second - 5e8).abs() < 1.0 && (share_of_matmul - 0.25).abs() < 1e-9);
    }

    #[test]
    fn records_are_written_with_burn_benchs_names_and_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bench.json");
        let records = vec![record("tch", "training", 1.5)];
        write(&path, &records).unwrap();
        assert_eq!(read(&path).unwrap(), records);
        let text = std::fs::read_to_string(&path).unwrap();
        for name in ["gitHash", "burnVersion", "numSamples", "rawDurations", "systemInfo", "secs"] {
            assert!(text.contains(&format!("\"{name}\"")), "{name}");
        }
    }

    #[test]
    fn samples_out_of_order_are_an_error_that_names_file_and_record() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bench.json");
        let good = record("tch", "training", 1.5);
        write(&path, &[good.clone(), Record { max: good.min - 1, ..good }]).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("bench.json: record 1 (training on tch): min 1350000"), "{error}");
    }

    #[test]
    fn a_file_without_records_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("other.json");
        std::fs::write(&path, "{}").unwrap();
        assert!(format!("{:#}", read(&path).unwrap_err()).contains("other.json"));
    }
}
