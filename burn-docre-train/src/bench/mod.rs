//! Benchmarks: the throughput of the backends of this build on equal work.
//!
//! Each backend and mode runs in a process of its own, with its own peak memory, compiled kernels and thread pools. This
//! process starts their samples in turn, collects their records and draws the comparison.

mod comparison;
mod measure;
mod plot;
mod process;
pub mod record;
pub mod table;
pub mod work;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use burn_docre::{backend::BackendKind, io::atomic_file::write_atomically};

use self::{measure::Measure, process::BenchmarkProcess, record::Record, work::Work};
use crate::{
    cli::{BenchArgs, BenchMode},
    session::Session,
};

/// Writes `bench.json`, `bench.svg` and `bench.png` into `directory`.
pub fn write(directory: &Path, records: &[Record]) -> Result<()> {
    std::fs::create_dir_all(directory)
        .with_context(|| format!("{}: the directory cannot be made", directory.display()))?;
    record::write(&directory.join("bench.json"), records)?;
    let picture = plot::svg(records);
    write_atomically(&directory.join("bench.svg"), |out| {
        std::io::Write::write_all(out, picture.as_bytes())
    })?;
    plot::write_png(&picture, &directory.join("bench.png"))
}

/// Measures the one mode of this process, sample by sample when it is asked to, and writes its record to `path`.
pub fn measure_here(session: &Session, args: &BenchArgs, path: &Path) -> Result<()> {
    // The process that started this one reports the progress.
    session.ui.take_screen();
    let measured = try_measure_here(session, args, path);
    session.ui.free_screen();
    record::write(path, &[measured?])
}

fn try_measure_here(session: &Session, args: &BenchArgs, path: &Path) -> Result<Record> {
    let kind = session.backend_kind()?;
    let device = kind.device(session.device_number())?;
    let mode = *args.modes.first().context("no mode is given")?;
    session.dispatch(Measure { session, args, mode, record: path, kind, device })
}

/// Measures every mode on every backend that can start here, or on the requested one, and by the peer.
pub fn measure_all(session: &Session, args: &BenchArgs) -> Result<Vec<Record>> {
    let directory = tempfile::tempdir().context("a folder for the records cannot be made")?;
    let inputs = directory.path().join("inputs.json");
    if !args.peer.is_empty() {
        Work::load(args)?.dump(&inputs)?;
    }
    let kinds = backends(session)?;
    let mut records = Vec::new();
    for &mode in &args.modes {
        let path = |who: &str| directory.path().join(format!("{who}-{}.json", mode.name()));
        let of_peer = path("peer");
        let peer = peer(args, mode, &inputs, &of_peer).map(|command| ("peer", command, of_peer));
        // The others are compared with the first one.
        let mut commands: Vec<_> = peer.into_iter().collect();
        for &kind in &kinds {
            let path = path(kind.name());
            commands.push((kind.name(), ours(session, args, kind, mode, &path)?, path));
        }
        records.extend(take_turns(session, args, mode, commands)?);
        // Keeps finished modes even if a later one fails.
        if let Some(output) = &args.output {
            write(output, &records)?;
        }
    }
    Ok(records)
}

/// Starts the processes one after the other, lets them take their samples in turn, and collects their records. A failed
/// process is skipped; an error if no process is left.
fn take_turns(
    session: &Session,
    args: &BenchArgs,
    mode: BenchMode,
    commands: Vec<(&str, Command, PathBuf)>,
) -> Result<Vec<Record>> {
    let mut running = Running { session, processes: Vec::new() };
    let mut n_documents = 0;
    for (who, command, path) in commands {
        let what = format!("{} on {who}", mode.name());
        let process = BenchmarkProcess::start(what, command, &path, session.stop);
        let warm = process.and_then(|mut process| {
            n_documents += process.warm_up(session.ui)?;
            Ok(process)
        });
        running.keep(warm)?;
    }
    let what = format!("{}, samples in turn: documents", mode.name());
    let mut task = session.ui.task(&what, Some(n_documents * args.samples));
    for round in 0..args.samples {
        let mut processes = std::mem::take(&mut running.processes);
        // The order alternates, so that no process always follows the same one.
        if round % 2 == 1 {
            processes.reverse();
        }
        for mut process in processes {
            running.keep(process.sample(&mut task).map(|()| process))?;
        }
        if round % 2 == 1 {
            running.processes.reverse();
        }
    }
    drop(task);
    let mut records = Vec::new();
    for process in std::mem::take(&mut running.processes) {
        match process.finish() {
            Ok(record) => records.extend(record),
            Err(error) => running.skip(error)?,
        }
    }
    ensure!(!records.is_empty(), "nothing could be measured of {}", mode.name());
    Ok(records)
}

/// The processes that have not failed.
struct Running<'a> {
    session: &'a Session<'a>,
    processes: Vec<BenchmarkProcess<'a>>,
}

impl<'a> Running<'a> {
    fn keep(&mut self, process: Result<BenchmarkProcess<'a>>) -> Result<()> {
        match process {
            Ok(process) => self.processes.push(process),
            Err(error) => self.skip(error)?,
        }
        Ok(())
    }

    /// Notes a failed process and continues without it, unless the stop flag is set.
    fn skip(&self, error: anyhow::Error) -> Result<()> {
        self.session.stop.check()?;
        self.session.ui.note(&format!("left out: {error:#}"));
        Ok(())
    }
}

/// The requested backend, else those that have the device.
fn backends(session: &Session) -> Result<Vec<BackendKind>> {
    if let Some(kind) = session.backend {
        kind.device(session.device_number())?;
        return Ok(vec![kind]);
    }
    let (mut able, mut reasons) = (Vec::new(), Vec::new());
    for kind in BackendKind::compiled() {
        match kind.device(session.device_number()) {
            Ok(_) => able.push(kind),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    ensure!(!able.is_empty(), "nothing can be measured: {}", reasons.join("; "));
    for reason in reasons {
        session.ui.note(&format!("left out: {reason}"));
    }
    Ok(able)
}

/// The number of processor threads of every process. Without `--threads`, backends use their own default, unless a peer is
/// measured, whose default differs.
fn n_threads(args: &BenchArgs) -> Option<usize> {
    let all = || std::thread::available_parallelism().map_or(1, usize::from);
    args.threads.or_else(|| (!args.peer.is_empty()).then(all))
}

/// The command that measures a mode on a backend by this program.
fn ours(
    session: &Session,
    args: &BenchArgs,
    kind: BackendKind,
    mode: BenchMode,
    record: &Path,
) -> Result<Command> {
    let program = std::env::current_exe().context("this program's own file is not found")?;
    let mut command = Command::new(program);
    command
        .args(["bench", "--backend", kind.name(), "--modes", mode.name()])
        .args(["--device", &session.device_number().to_string()])
        .args(["--documents", &args.documents.to_string()])
        .args(["--batch-size", &args.batch_size.to_string()])
        .args(["--samples", &args.samples.to_string()])
        .args(["--precision", args.precision.name()])
        .arg("--record")
        .arg(record);
    let files: [(&str, &Option<PathBuf>); 2] = [("--model", &args.model), ("--input", &args.input)];
    for (name, file) in files {
        if let Some(file) = file {
            command.arg(name).arg(file);
        }
    }
    if let Some(n) = n_threads(args) {
        let n = n.to_string();
        command.env("RAYON_NUM_THREADS", &n).env("OMP_NUM_THREADS", &n).env("MKL_NUM_THREADS", &n);
    }
    Ok(command)
}

/// The command that measures a mode by the peer on the same batches; `None` without a peer, or if it lacks the mode.
fn peer(args: &BenchArgs, mode: BenchMode, inputs: &Path, record: &Path) -> Option<Command> {
    let (program, arguments) = args.peer.split_first()?;
    let model = args.model.as_ref()?;
    if !matches!(mode, BenchMode::Inference | BenchMode::Training) {
        return None;
    }
    let mut command = Command::new(program);
    command
        .args(arguments)
        .args(["--mode", mode.name(), "--samples", &args.samples.to_string()])
        .arg("--model")
        .arg(model)
        .arg("--inputs")
        .arg(inputs)
        .arg("--output")
        .arg(record);
    if let Some(n) = n_threads(args) {
        command.args(["--threads", &n.to_string()]);
    }
    Some(command)
}
