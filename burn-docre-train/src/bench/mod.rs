//! Benchmarks: the throughput of the backends of this build on equal work.
//!
//! Each backend and mode runs in a process of its own, with its own peak memory, compiled kernels
//! and thread pools. The parent process requests their samples in turn, collects their records and
//! draws the comparison.

pub(crate) mod comparison;
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
    cli::{BenchArgs, BenchMode, ReadingArgs},
    run::files,
    session::Session,
};

/// Writes `bench.json`, `bench.svg` and `bench.png` into `directory`.
///
/// # Errors
/// If a file cannot be written.
pub fn write(directory: &Path, records: &[Record]) -> Result<()> {
    files::create_directory(directory)?;
    record::write(&directory.join(record::BENCH), records)?;
    let picture = plot::svg(records);
    write_atomically(&directory.join("bench.svg"), |out| {
        std::io::Write::write_all(out, picture.as_bytes())
    })?;
    plot::write_png(&picture, &directory.join("bench.png"))
}

/// Measures one mode in this process and writes its record to `path`. The parent process requests
/// each sample.
///
/// # Errors
/// If the backend, the device or the mode is missing, the work fails, or the parent process has
/// ended.
pub fn measure_here(session: &Session, args: &BenchArgs, path: &Path) -> Result<()> {
    // The parent process reports the progress.
    session.ui.buffer_lines();
    let measured = try_measure_here(session, args, path);
    session.ui.flush_lines();
    record::write(path, &[measured?])
}

fn try_measure_here(session: &Session, args: &BenchArgs, path: &Path) -> Result<Record> {
    let kind = session.backend_kind()?;
    let device = kind.device(session.device_number())?;
    let mode = *args.modes.first().context("no mode is given; give `--modes`")?;
    let precision = args.precision.resolve(kind, &[session.device_number()])?;
    session.dispatch(Measure { session, args, mode, record: path, kind, device, precision })
}

/// Measures every mode with the peer and on every backend that can start here, or on the requested
/// one.
///
/// # Errors
/// If no backend can start, or every process of a mode fails.
pub fn measure_all(session: &Session, args: &BenchArgs) -> Result<Vec<Record>> {
    let directory =
        tempfile::tempdir().context("a temporary directory for the records cannot be created")?;
    let inputs = directory.path().join("inputs.json");
    if !args.peer.is_empty() {
        std::fs::write(&inputs, Work::load(session.ui, args)?.to_json()?)
            .with_context(|| format!("{}: writing failed", inputs.display()))?;
    }
    let kinds = backends(session)?;
    let mut records = Vec::new();
    for &mode in &args.modes {
        let path = |name: &str| directory.path().join(format!("{name}-{}.json", mode.name()));
        let record = path("peer");
        let peer = peer_command(args, mode, &inputs, &record);
        // The peer comes first, because the other records are compared with the first one.
        let mut launches: Vec<_> =
            peer.map(|command| Launch { name: "peer", command, record }).into_iter().collect();
        for &kind in &kinds {
            let (name, record) = (kind.name(), path(kind.name()));
            let command = own_command(session, args, kind, mode, &record)?;
            launches.push(Launch { name, command, record });
        }
        records.extend(take_turns(session, args, mode, launches)?);
        // Finished modes are kept even if a later one fails.
        if let Some(output) = &args.output {
            write(output, &records)?;
        }
    }
    Ok(records)
}

/// A benchmark process to start.
struct Launch<'a> {
    /// The name of the backend, or `peer`.
    name: &'a str,
    command: Command,
    /// The file to which the process writes its record.
    record: PathBuf,
}

/// Starts the processes one after the other, requests their samples in turn, and collects their
/// records. A failed process is skipped.
///
/// # Errors
/// If all processes fail, or the stop flag is set.
fn take_turns(
    session: &Session,
    args: &BenchArgs,
    mode: BenchMode,
    launches: Vec<Launch>,
) -> Result<Vec<Record>> {
    let mut running = Running { session, processes: Vec::new() };
    let mut n_documents = 0;
    for Launch { name, command, record } in launches {
        let label = format!("{} on {name}", mode.name());
        let process = BenchmarkProcess::start(label, command, &record, session.stop);
        let warm = process.and_then(|mut process| {
            n_documents += process.warm_up(session.ui)?;
            Ok(process)
        });
        running.keep(warm)?;
    }
    let label = format!("{}, samples in turn: documents", mode.name());
    let mut task = session.ui.task(&label, Some(n_documents * args.samples));
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
    ensure!(!records.is_empty(), "{}: every process failed; see the messages above", mode.name());
    Ok(records)
}

/// The processes that have not failed.
struct Running<'a> {
    session: &'a Session<'a>,
    processes: Vec<BenchmarkProcess<'a>>,
}

impl<'a> Running<'a> {
    /// Keeps a process, or skips it if it has failed.
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
        self.session.ui.note(&format!("skipped: {error:#}"));
        Ok(())
    }
}

/// The requested backend, else all backends that have the device.
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
    ensure!(!able.is_empty(), "no backend can start: {}", reasons.join("; "));
    for reason in reasons {
        session.ui.note(&format!("skipped: {reason}"));
    }
    Ok(able)
}

/// The number of CPU threads of every process. Without `--threads`, backends use their own default.
/// With a peer, whose default may differ, all processes use all threads.
fn n_threads(args: &BenchArgs) -> Option<usize> {
    let all = || std::thread::available_parallelism().map_or(1, usize::from);
    args.threads.or_else(|| (!args.peer.is_empty()).then(all))
}

/// The command that measures a mode on a backend by this program.
fn own_command(
    session: &Session,
    args: &BenchArgs,
    kind: BackendKind,
    mode: BenchMode,
    record: &Path,
) -> Result<Command> {
    let program = std::env::current_exe().context("the path of this program is unknown")?;
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
    match &args.model {
        Some(model) => command.arg("--model").arg(model),
        None => command.args(["--system", args.system.name()]),
    };
    if let Some(input) = &args.input {
        let ReadingArgs { on_invalid, hacred_view } = args.reading;
        command.arg("--input").arg(input).args(["--on-invalid", &on_invalid.to_string()]);
        if let Some(view) = hacred_view {
            command.args(["--hacred-view", &view.to_string()]);
        }
    }
    if let Some(n) = n_threads(args) {
        let n = n.to_string();
        command.env("RAYON_NUM_THREADS", &n).env("OMP_NUM_THREADS", &n).env("MKL_NUM_THREADS", &n);
    }
    Ok(command)
}

/// The command that measures a mode by the peer on the same batches; `None` without a peer, or if
/// it lacks the mode.
fn peer_command(
    args: &BenchArgs,
    mode: BenchMode,
    inputs: &Path,
    record: &Path,
) -> Option<Command> {
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
