//! Rules of the house that a compiler does not keep.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Every Rust file below `directory`.
fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("a source directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Lines of the library that contain one of `words`, outside the files named in `but`.
fn lines_with(words: &[&str], below: &Path, but: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for file in rust_files(below) {
        if but.iter().any(|name| file.ends_with(name)) {
            continue;
        }
        let text = fs::read_to_string(&file).expect("a readable file");
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{}: {}", file.display(), number + 1, line.trim()));
            }
        }
    }
    found
}

/// Lines below a directory that name one of the library's `modules`, in a path or within the braces of `use crate::{`.
fn uses_of(modules: &[&str], below: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for file in rust_files(below) {
        let text = fs::read_to_string(&file).expect("a readable file");
        let mut is_import = false;
        for (number, line) in text.lines().enumerate() {
            is_import |= line.contains("use crate::{");
            let is_named = |module: &&str| {
                let path = format!("{module}::");
                let mut imported = line.split([' ', '{', '}', ',']);
                line.contains(&format!("crate::{module}"))
                    || is_import && imported.any(|name| name == *module || name.starts_with(&path))
            };
            if modules.iter().any(is_named) {
                found.push(format!("{}:{}: {}", file.display(), number + 1, line.trim()));
            }
            is_import &= !line.contains(';');
        }
    }
    found
}

#[test]
fn only_the_backend_file_asks_which_backend_is_compiled_in() {
    let trainer = source().join("../../burn-docre-train/src");
    for below in [source(), trainer] {
        // `cfg` itself may stand lines above, in front of `any(`.
        let words = [" feature =", "(feature =", " feature=", "(feature="];
        let found = lines_with(&words, &below, &["src/backend/mod.rs", "src/ops/mod.rs"]);
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
fn evaluation_and_documents_know_no_tensors() {
    for part in ["eval", "data"] {
        let found = lines_with(&["use burn", "burn::"], &source().join(part), &[]);
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
fn the_library_prints_nothing_and_reads_no_environment() {
    let words = ["println!", "eprintln!", "print!(", "std::env", "env::var"];
    let found = lines_with(&words, &source(), &[]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn models_and_losses_never_see_a_document() {
    for part in ["encoder", "loss", "model", "ops", "pair"] {
        let found = uses_of(&["data::document", "data::docred"], &source().join(part));
        assert!(found.is_empty(), "{found:#?}");
    }
}
