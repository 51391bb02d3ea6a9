//! The result of one measurement: the fields of burn-bench's records, and further ones.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use burn_docre::backend;
use serde::{Deserialize, Serialize};

use crate::run::files;

/// One mode on one device. Durations are microseconds of one sample: a pass over all documents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The backend's name.
    pub backend: String,
    /// The device's name.
    pub device: String,
    /// The libraries and drivers between the program and the device, with their versions.
    #[serde(default)]
    pub drivers: String,
    /// The features that the backend was built with.
    pub feature: String,
    /// The commit of the build.
    pub git_hash: String,
    /// The version of Burn.
    pub burn_version: String,
    /// The mode's name.
    pub name: String,
    /// The mode's name; burn-bench groups by it.
    pub operation: String,
    /// Nothing; burn-bench's records have it.
    pub options: Option<String>,
    /// Batch size and documents.
    pub shapes: Vec<Vec<usize>>,
    /// Longest sample.
    pub max: u64,
    /// Mean of the samples.
    pub mean: u64,
    /// Median of the samples.
    pub median: u64,
    /// Shortest sample.
    pub min: u64,
    /// Variance of the samples, in the unit of burn-bench: the mean square as a duration.
    pub variance: u64,
    /// Number of samples.
    pub num_samples: usize,
    /// The samples in the order in which they were taken.
    pub raw_durations: Vec<Duration>,
    /// The machine.
    pub system_info: SystemInfo,
    /// Milliseconds since 1970 at the first sample.
    pub timestamp: u64,
    /// Floating-point operations of the matrix products in a sample, where the mode has any.
    pub flops: Option<u64>,
    /// Documents of a sample.
    pub documents: usize,
    /// Tokens of a sample.
    pub tokens: usize,
    /// Classified pairs of a sample.
    pub pairs: usize,
    /// Seconds until the passes took a steady time, autotuning and compilation included.
    pub warmup_seconds: f64,
    /// Whether they did so before the warm-up was cut off.
    #[serde(default = "is_steady")]
    pub is_steady: bool,
    /// Peak memory: of the process if it computes on the processor, else of the device, if the driver reports it.
    pub peak_memory_bytes: Option<u64>,
    /// Threads of the processor.
    pub threads: usize,
    /// Precision of the arithmetic.
    pub precision: String,
    /// The program's version.
    pub version: String,
    /// Operations a second in a large matrix product on this device, measured in the same process.
    pub matmul_peak_flops: f64,
}

/// The default for programs that do not report their warm-up.
fn is_steady() -> bool {
    true
}

/// The machine, as burn-bench describes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SystemInfo {
    /// Processors.
    pub cpus: Vec<String>,
    /// Graphics devices that took part.
    pub gpus: Vec<String>,
    /// The operating system.
    #[serde(default)]
    pub os: String,
}

impl SystemInfo {
    /// This machine, of whose devices the one of this name took part.
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

/// Statistics of samples, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// Longest.
    pub max: u64,
    /// Mean.
    pub mean: u64,
    /// Middle one; the upper of two.
    pub median: u64,
    /// Shortest.
    pub min: u64,
    /// Mean square deviation, as burn-bench computes it: of seconds, written as a duration.
    pub variance: u64,
}

impl Statistics {
    /// Of at least one sample.
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

impl Record {
    /// `count` in a sample, as a rate by the median sample.
    pub fn per_second(&self, count: usize) -> f64 {
        count as f64 / (self.median.max(1) as f64 * 1e-6)
    }

    /// Documents a second in a sample of so many microseconds.
    pub fn rate_of(&self, micros: u64) -> f64 {
        self.documents as f64 / (micros.max(1) as f64 * 1e-6)
    }

    /// Half the distance between the slowest and the fastest sample, as a share of the median.
    pub fn spread(&self) -> f64 {
        (self.max - self.min) as f64 / 2.0 / self.median.max(1) as f64
    }

    /// Operations a second, and their share of what a matrix product reaches.
    pub fn achieved_flops(&self) -> Option<(f64, f64)> {
        let rate = self.flops? as f64 / (self.median.max(1) as f64 * 1e-6);
        Some((rate, rate / self.matmul_peak_flops))
    }

    /// The name of the record, if no other one has it.
    pub fn label(&self) -> String {
        match self.precision.as_str() {
            "f32" => self.feature.clone(),
            precision => format!("{} {precision}", self.feature),
        }
    }

    /// The program's version, with its commit where that is known.
    pub fn build(&self) -> String {
        match self.git_hash.get(..9).unwrap_or(&self.git_hash) {
            "" => self.version.clone(),
            commit => format!("{} ({commit})", self.version),
        }
    }

    /// Documents of a batch.
    pub fn batch_size(&self) -> usize {
        self.shapes.first().and_then(|shape| shape.first()).copied().unwrap_or(0)
    }
}

/// Reads the records of a file.
pub fn read(path: &Path) -> Result<Vec<Record>> {
    let records: Vec<Record> = files::read_json(path).context("no list of benchmark records")?;
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

/// Writes records.
pub fn write(path: &Path, records: &[Record]) -> Result<()> {
    files::write_json(path, records)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A record whose median sample takes `seconds`.
    pub(crate) fn record(backend: &str, mode: &str, seconds: f64) -> Record {
        let samples =
            [0.9, 1.0, 1.2].map(|factor| Duration::from_secs_f64(factor * seconds)).to_vec();
        let Statistics { max, mean, median, min, variance } = Statistics::of(&samples);
        Record {
            backend: backend.into(),
            device: "a processor".into(),
            drivers: "library 1.2".into(),
            feature: backend.into(),
            git_hash: "0".into(),
            burn_version: "0.21.0".into(),
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
        let (rate, share) = record.achieved_flops().unwrap();
        assert!((rate - 5e8).abs() < 1.0 && (share - 0.25).abs() < 1e-9);
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
