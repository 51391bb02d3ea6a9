//! Comparison with an independent PyTorch implementation of the papers.
//!
//! Each case is a test, which runs on the first backend compiled in:
//! `cargo test --release -p burn-docre --no-default-features --features tch --test parity`. Cases
//! are read from `$PARITY_DIR` (an absolute path) when set, else from `tests/parity/cases`;
//! `--nocapture` shows the largest differences.

#![recursion_limit = "256"]
#![expect(clippy::print_stdout, reason = "a case prints its largest differences")]

mod case;
mod checks;
mod encoders;
mod kmgre;
mod published;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use burn_docre::{BackendTask, DocReBackend, dispatch, model::SystemConfig};
use case::Case;

/// Defines a test for each case and the list of all cases.
macro_rules! cases {
    ($($test:ident: $name:literal,)+) => {
        /// The names of the cases that have a test.
        const CASES: &[&str] = &[$($name),+];

        $(
            #[test]
            fn $test() {
                check($name);
            }
        )+
    };
}

cases! {
    atlop_on_bert_agrees_with_the_reference: "atlop-bert",
    kd_docre_on_bert_agrees_with_the_reference: "kd-docre-bert",
    kd_docre_on_roberta_agrees_with_the_reference: "kd-docre-roberta",
    kd_docre_without_mixer_on_bert_agrees_with_the_reference: "kd-docre-no-axial-bert",
    kmgre_on_bert_agrees_with_the_reference: "kmgre",
    two_hop_attention_on_bert_agrees_with_the_reference: "two-hop-bert",
}

#[test]
fn every_case_of_the_repository_has_a_test() {
    let directory = committed_cases();
    let entries =
        std::fs::read_dir(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    let found: BTreeSet<String> = entries
        .map(|entry| entry.expect("a readable directory"))
        .filter(|entry| entry.path().join("case.json").is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let cases = CASES.iter().chain([&published::CASE]);
    let tested: BTreeSet<String> = cases.map(|name| name.to_string()).collect();
    assert_eq!(found, tested, "the cases in {}", directory.display());
}

fn directory() -> PathBuf {
    match std::env::var_os("PARITY_DIR") {
        Some(path) => PathBuf::from(path),
        None => committed_cases(),
    }
}

fn committed_cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/cases")
}

/// Checks one case on the first backend of the build.
fn check(name: &str) {
    let case = Case::load(&directory().join(name));
    dispatch(None, 0, Check(&case)).expect("a backend");
    println!("{name}: largest differences {:?}", case.worst.borrow());
}

struct Check<'a>(&'a Case);

impl BackendTask for Check<'_> {
    type Output = ();

    fn run<B: DocReBackend>(self, device: B::Device) {
        match self.0.config.system {
            SystemConfig::Kmgre(_) => kmgre::run::<B>(self.0, &device),
            SystemConfig::KdDocre(_) | SystemConfig::Atlop(_) => checks::run::<B>(self.0, &device),
        }
    }
}
