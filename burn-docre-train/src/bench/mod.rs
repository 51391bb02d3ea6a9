//! `docre bench`: the throughput of the backends of this build on equal work.
//!
//! Each backend and mode runs in a process of its own, so that peak memory, compiled kernels and thread pools are its own
//! too; this process collects their records and draws the comparison.

mod measure;
mod plot;
pub mod record;
mod table;
mod work;

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use burn_docre::{atomic_file::write_atomically, backend::BackendKind};

use self::{measure::Measure, record::Record, work::Work};
use crate::{cli::BenchArgs, signals::StopFlag, stages::Session};

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Words to index tensors on the device.
    Preprocess,
    /// Token ids to predictions.
    Inference,
    /// Forward and backward pass and optimizer step, dropout included.
    Training,
    /// Token ids to a teacher's logits on disk.
    Label,
}

impl Mode {
    /// The name on the command line and in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Preprocess => "preprocess",
            Self::Inference => "inference",
            Self::Training => "training",
            Self::Label => "label",
        }
    }
}

/// `docre bench`.
pub fn run(session: &Session, args: &BenchArgs) -> Result<()> {
    if let Some(path) = &args.record {
        return measure_here(session, args, path);
    }
    if let Some(path) = &args.dump_inputs {
        return Work::load(args)?.dump(path);
    }
    let records = if args.merge.is_empty() {
        measure_all(session, args)?
    } else {
        let files = args.merge.iter().map(|path| record::read(path));
        files.collect::<Result<Vec<_>>>()?.concat()
    };
    session.ui.results(&table::table(&records))?;
    if let Some(directory) = &args.output {
        write(directory, &records)?;
        session.ui.note(&format!("written to {}", directory.display()));
    }
    Ok(())
}

/// JSON, SVG and PNG.
fn write(directory: &Path, records: &[Record]) -> Result<()> {
    std::fs::create_dir_all(directory)
        .with_context(|| format!("{}: the directory cannot be made", directory.display()))?;
    record::write(&directory.join("bench.json"), records)?;
    let picture = plot::svg(records);
    write_atomically(&directory.join("bench.svg"), |out| {
        std::io::Write::write_all(out, picture.as_bytes())
    })?;
    plot::write_png(&picture, &directory.join("bench.png"))
}

/// Measures the one mode of this process and writes its record.
fn measure_here(session: &Session, args: &BenchArgs, path: &Path) -> Result<()> {
    let kind = session.backend()?;
    let devices = kind.devices()?;
    let device_name =
        devices.into_iter().nth(session.device()).map(|device| device.name).unwrap_or_default();
    let mode = *args.modes.first().context("no mode is given")?;
    let measured =
        session.dispatch(Measure { session, args, mode, record: path, kind, device_name })?;
    record::write(path, &[measured])
}

/// Every mode on every backend that can start here, or on the one that was asked for.
fn measure_all(session: &Session, args: &BenchArgs) -> Result<Vec<Record>> {
    let directory = tempfile::tempdir().context("a folder for the records cannot be made")?;
    let mut records = Vec::new();
    for kind in backends(session)? {
        for &mode in &args.modes {
            session.stop.check()?;
            let path = directory.path().join(format!("{kind}-{}.json", mode.name()));
            measure_in_a_process(session, args, kind, mode, &path)?;
            records.extend(record::read(&path)?);
            // What is finished is kept, whatever comes.
            if let Some(output) = &args.output {
                write(output, &records)?;
            }
        }
    }
    Ok(records)
}

fn backends(session: &Session) -> Result<Vec<BackendKind>> {
    if let Some(kind) = session.chosen_backend() {
        kind.devices()?;
        return Ok(vec![kind]);
    }
    let mut able = Vec::new();
    for kind in BackendKind::compiled() {
        match kind.devices() {
            Ok(_) => able.push(kind),
            Err(error) => session.ui.note(&format!("left out: {error}")),
        }
    }
    ensure!(!able.is_empty(), "no backend of this build can start here");
    Ok(able)
}

fn measure_in_a_process(
    session: &Session,
    args: &BenchArgs,
    kind: BackendKind,
    mode: Mode,
    path: &Path,
) -> Result<()> {
    let program = std::env::current_exe().context("this program's own file is not found")?;
    let mut command = Command::new(program);
    command
        .args(["bench", "--backend", kind.name(), "--modes", mode.name()])
        .args(["--device", &session.device().to_string()])
        .args(["--documents", &args.documents.to_string()])
        .args(["--batch-size", &args.batch_size.to_string()])
        .args(["--samples", &args.samples.to_string()])
        .args(["--precision", args.precision.name()])
        .arg("--record")
        .arg(path);
    let files: [(&str, &Option<PathBuf>); 2] = [("--model", &args.model), ("--input", &args.input)];
    for (name, file) in files {
        if let Some(file) = file {
            command.arg(name).arg(file);
        }
    }
    if let Some(n) = args.threads {
        let n = n.to_string();
        command.args(["--threads", &n]);
        command.env("RAYON_NUM_THREADS", &n).env("OMP_NUM_THREADS", &n).env("MKL_NUM_THREADS", &n);
    }
    // The other process speaks; this one keeps silent as long.
    session.ui.take_screen();
    let status = run_to_its_end(&mut command, session.stop);
    session.ui.free_screen();
    let status = status?;
    if !status.success() {
        bail!("{} on {kind} failed ({status}); its message stands above", mode.name());
    }
    Ok(())
}

/// Runs a program; kills it when somebody asks this one to stop, since a pass of its own may take minutes.
fn run_to_its_end(command: &mut Command, stop: &StopFlag) -> Result<ExitStatus> {
    let mut child = command.spawn().context("the measuring process cannot be started")?;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait().context("the measuring process is lost")? {
            // A signal from the terminal reaches both.
            stop.check()?;
            return Ok(status);
        }
        if stop.is_set() {
            // An error would say that it has ended meanwhile.
            let _ = child.kill();
            child.wait().context("the measuring process is lost")?;
        }
        std::thread::sleep(pause);
        pause = (2 * pause).min(Duration::from_millis(100));
    }
}

/// The records of each mode, in the order of the modes' first appearance, the fastest first.
fn modes_in_order(records: &[Record]) -> Vec<(String, Vec<&Record>)> {
    let mut modes: Vec<(String, Vec<&Record>)> = Vec::new();
    for record in records {
        match modes.iter_mut().find(|(name, _)| *name == record.name) {
            Some((_, of_mode)) => of_mode.push(record),
            None => modes.push((record.name.clone(), vec![record])),
        }
    }
    for (_, of_mode) in &mut modes {
        of_mode.sort_by(|a, b| b.per_second(b.documents).total_cmp(&a.per_second(a.documents)));
    }
    modes
}
