//! Numbers agree with an independent PyTorch implementation of the papers, case by case.
//!
//! Runs on the first backend compiled in: `cargo test --release -p burn-docre --no-default-features --features tch
//! --test parity`. Cases are read from `$PARITY_DIR` (an absolute path) when set, else from `tests/parity/cases`.

#![recursion_limit = "256"]
#![expect(clippy::print_stdout, reason = "a run says which cases it checked and which it skipped")]

mod case;
mod checks;

use std::path::{Path, PathBuf};

use burn_docre::backend::{BackendTask, dispatch};
use burn_docre::ops::DocReBackend;
use case::Case;

/// Cases whose model does not exist yet, by the beginning of their names.
const NOT_YET: [&str; 2] = ["kmgre", "authors-"];

struct Check<'a>(&'a Case);

impl BackendTask for Check<'_> {
    type Output = ();

    fn run<B: DocReBackend>(self, device: B::Device) {
        checks::run::<B>(self.0, &device);
    }
}

fn directory() -> PathBuf {
    match std::env::var_os("PARITY_DIR") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/cases"),
    }
}

fn cases() -> Vec<PathBuf> {
    let directory = directory();
    let entries =
        std::fs::read_dir(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    let mut cases: Vec<_> = entries
        .map(|entry| entry.expect("a readable directory").path())
        .filter(|path| path.join("case.json").is_file())
        .collect();
    cases.sort();
    cases
}

#[test]
fn every_case_agrees_with_the_reference() {
    let mut checked = 0;
    for path in cases() {
        let name = path.file_name().expect("a directory").to_string_lossy().into_owned();
        if NOT_YET.iter().any(|prefix| name.starts_with(prefix)) {
            println!("{name}: skipped, its model does not exist yet");
            continue;
        }
        dispatch(None, 0, Check(&Case::load(&path))).expect("a backend");
        println!("{name}: agrees");
        checked += 1;
    }
    assert!(checked > 0, "no case found in {}", directory().display());
    println!("largest differences: {:?}", checks::WORST.lock().unwrap());
}
