//! `docre bench`: compares the throughput of the backends of this build on equal work.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use burn_docre::{data::docred::OnInvalid, nn::precision::Precision};

use super::{inputs::fetch, output::write_text};
use crate::{
    bench::{self, record, table, work::Work},
    cli::{BenchArgs, BenchMode, ReadingArgs},
    run::files,
    session::Session,
};

/// Measures, merges records, or writes the inputs for a peer, depending on the arguments.
pub(super) fn run(session: &Session, args: &BenchArgs) -> Result<()> {
    check(args)?;
    let args = &fetch(session, args)?;
    if let Some(path) = &args.record {
        return bench::measure_here(session, args, path);
    }
    if let Some(path) = &args.dump_inputs {
        let inputs: Vec<&Path> = args.input.iter().map(PathBuf::as_path).collect();
        files::check_output(path, &inputs)?;
        files::check_directory_of(path)?;
        let text = Work::load(session.ui, args)?.to_json()?;
        return write_text(session.ui, path, |out| out.write_all(text.as_bytes()));
    }
    if let Some(directory) = &args.output {
        let merged: Vec<&Path> = args.merge.iter().map(PathBuf::as_path).collect();
        files::check_output(&directory.join(record::BENCH), &merged)?;
    }
    let records = if args.merge.is_empty() {
        bench::measure_all(session, args)?
    } else {
        let mut records = Vec::new();
        args.merge.iter().try_for_each(|path| record::append(&mut records, path))?;
        records
    };
    session.ui.results(&table::table(&records))?;
    if args.merge.is_empty() {
        session.ui.results(&table::turns(&records))?;
    }
    if let Some(directory) = &args.output {
        bench::write(directory, &records)?;
        session.ui.note(&format!("results written to {}", directory.display()));
    }
    Ok(())
}

/// Refuses peers and modes that cannot compute in the precision, and options of the reading where
/// nothing is read.
fn check(args: &BenchArgs) -> Result<()> {
    let ReadingArgs { on_invalid, hacred_view } = args.reading;
    ensure!(
        args.input.is_some() || (on_invalid == OnInvalid::default() && hacred_view.is_none()),
        "`--on-invalid` and `--hacred-view` are for the documents of `--input`; give it, too"
    );
    ensure!(
        args.precision == Precision::F32.into() || args.peer.is_empty(),
        "a peer computes in f32; remove `--precision`"
    );
    ensure!(
        args.precision != Precision::F16.into() || !args.modes.contains(&BenchMode::Training),
        "`--precision` f16 is for inference; gradients need the range of bf16 or f32; give `--modes` without training"
    );
    Ok(())
}
