//! Rules of this repository that the compiler does not check, tested on the sources of both crates.

mod modules;
mod tokens;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use modules::Crate;

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

fn trainer_source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../burn-docre-train/src")
}

/// Lines of code in `folder` that contain one of `words`, outside the files named in `except`.
///
/// Comments do not count, nor do the examples in doc comments.
fn lines_with(words: &[&str], folder: &Path, except: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for file in rust_files(folder) {
        if except.iter().any(|name| file.ends_with(name)) {
            continue;
        }
        let text = fs::read_to_string(&file).expect("a readable file");
        for (number, line) in text.lines().enumerate() {
            let is_code = !line.trim_start().starts_with("//");
            if is_code && words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{}: {}", file.display(), number + 1, line.trim()));
            }
        }
    }
    found
}

/// The library's modules.
fn library() -> Crate {
    Crate::read(&source())
}

/// The trainer's modules.
fn trainer() -> Crate {
    Crate::read(&trainer_source())
}

#[test]
fn only_backend_ops_and_hub_contain_feature_conditions() {
    for folder in [source(), trainer_source()] {
        // The search is for the condition: `cfg` can be on an earlier line.
        let words = [" feature =", "(feature =", " feature=", "(feature="];
        let allowed = ["src/backend/mod.rs", "src/ops/mod.rs", "src/run/hub/mod.rs"];
        let found = lines_with(&words, &folder, &allowed);
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
fn eval_and_data_use_no_tensors() {
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

/// Fails if `from` imports one of the modules `to`, whose paths start at the crate's root.
#[track_caller]
fn assert_imports_none(modules: &Crate, from: &str, to: &[&str]) {
    for module in to.iter().chain([&from]) {
        assert!(modules.has(module), "there is no module {module}");
    }
    let found: Vec<String> = to.iter().flat_map(|to| modules.between(from, to)).collect();
    assert!(found.is_empty(), "{from} may not import {to:?}:\n{}", found.join("\n"));
}

#[test]
fn the_library_has_no_import_cycle() {
    let cycles = library().cycles();
    assert!(cycles.is_empty(), "{} cycles\n{}", cycles.len(), cycles.join("\n"));
}

#[test]
fn the_trainer_has_no_import_cycle() {
    let cycles = trainer().cycles();
    assert!(cycles.is_empty(), "{} cycles\n{}", cycles.len(), cycles.join("\n"));
}

/// The modules that ARCHITECTURE.md lists under `heading`, from bottom to top, with their row
/// numbers.
fn listed_modules(heading: &str) -> Vec<(usize, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("ARCHITECTURE.md")).expect("the page");
    let section = page.split(&format!("## {heading}\n")).nth(1).expect("the heading");
    let section = section.split("\n## ").next().expect("a section");
    let cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('|').next());
    let names = cells.enumerate().flat_map(|(row, cell)| {
        let words = cell.split([' ', ',', '`', '/']).filter(|word| !word.is_empty());
        words.map(move |word| (row, word.to_owned()))
    });
    names.collect()
}

#[test]
fn the_architecture_page_lists_every_module_above_those_that_it_imports() {
    let mut wrong = Vec::new();
    for (heading, modules) in [("The library", library()), ("The trainer", trainer())] {
        let listed = listed_modules(heading);
        let row =
            |name: &str| listed.iter().find(|(_, listed)| listed == name).map(|(row, _)| *row);
        for module in modules.top() {
            let Some(own) = row(&module) else {
                wrong.push(format!("{module} is missing under {heading}"));
                continue;
            };
            for imported in modules.imported_by(&module) {
                if row(&imported).is_some_and(|row| row > own) {
                    wrong.extend(modules.between(&module, &imported));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "ARCHITECTURE.md has another order:\n{}", wrong.join("\n"));
}

#[test]
fn models_and_losses_import_no_documents() {
    for part in ["nn", "ops", "encoder", "entity", "pair", "mention_pair", "model", "loss"] {
        assert_imports_none(&library(), part, &["data::document", "data::docred"]);
    }
}

#[test]
fn backend_imports_no_operation_and_no_model() {
    let above = ["nn", "batch", "encoder", "entity", "pair", "mention_pair", "loss", "model"];
    assert_imports_none(&library(), "backend", &above);
    assert_imports_none(&library(), "backend", &["ops", "inference", "io", "eval", "data", "text"]);
}

#[test]
fn ops_imports_no_backend_and_no_model() {
    let above = ["backend", "nn", "batch", "encoder", "entity", "pair", "mention_pair", "loss"];
    assert_imports_none(&library(), "ops", &above);
    assert_imports_none(&library(), "ops", &["model", "inference", "io", "eval", "data", "text"]);
}

#[test]
fn eval_imports_only_data_and_error() {
    let imported = library().imported_by("eval");
    assert!(imported.contains("data"), "{imported:?}");
    assert!(imported.iter().all(|name| name == "data" || name == "error"), "{imported:?}");
}

#[test]
fn cli_imports_no_command() {
    let commands = ["commands", "stages", "bench", "train", "run", "session"];
    assert_imports_none(&trainer(), "cli", &commands);
}

/// The names in backticks within a cell of a Markdown table that have the form of a test name.
fn test_names(cell: &str) -> impl Iterator<Item = &str> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted.filter(|name| {
        name.matches('_').count() > 2
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    })
}

/// Reports whether `source` defines the test `name`: a function with the attribute `#[test]`, or an
/// entry of the macro `cases!` in `tests/parity`.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let (function, entry) = (format!("fn {name}()"), format!("{name}: \""));
    let is_macro = source.contains("macro_rules! cases ");
    lines.iter().enumerate().any(|(i, line)| {
        let mut attributes = lines[..i].iter().rev().take_while(|line| line.starts_with("#["));
        let is_function = line.starts_with(&function) && attributes.any(|a| *a == "#[test]");
        is_function || (is_macro && line.starts_with(&entry))
    })
}

#[test]
fn every_row_of_the_parity_page_names_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/parity.md")).expect("the page");
    let folders =
        ["burn-docre/src", "burn-docre/tests", "burn-docre-train/src", "burn-docre-train/tests"];
    let files = folders.iter().flat_map(|folder| rust_files(&root.join(folder)));
    let sources: Vec<String> =
        files.map(|file| fs::read_to_string(file).expect("readable")).collect();
    let is_test = |name: &str| sources.iter().any(|source| has_test(source, name));
    let is_row = |line: &&str| line.starts_with("| ") && !line.starts_with("| # |");
    let rows: Vec<&str> = page.lines().filter(is_row).collect();
    assert!(rows.len() > 20, "the page has its table");
    let mut wrong = Vec::new();
    for row in rows {
        let cell = row.trim_end_matches([' ', '|']).rsplit(" | ").next().expect("a cell");
        let names: Vec<&str> = test_names(cell).collect();
        if names.is_empty() || !names.iter().all(|name| is_test(name)) {
            wrong.push(format!("{:.4}: {names:?}", row));
        }
    }
    assert!(wrong.is_empty(), "rows without a test that exists:\n{}", wrong.join("\n"));
}

#[test]
fn each_crate_has_the_licence_of_the_repository() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let licence =
        |folder: &str| fs::read_to_string(root.join(folder).join("LICENSE-MIT")).expect(folder);
    for folder in ["burn-docre", "burn-docre-train"] {
        assert_eq!(licence(folder), licence("."), "{folder}");
    }
}

#[test]
fn the_architecture_page_explains_every_dependency_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |file: &str| fs::read_to_string(root.join(file)).expect(file);
    let (manifest, page) = (read("Cargo.toml"), read("ARCHITECTURE.md"));
    let table = manifest.split("[workspace.dependencies]").nth(1).expect("the dependencies");
    let lines = table.lines().skip(1).take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name);
    let used: BTreeSet<&str> = names.filter(|name| *name != "burn-docre").collect();

    let section = page.split("## Dependencies\n").nth(1).expect("the section");
    let cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let names = cells.flat_map(|cell| cell.split(['`', ',', ' ']));
    let given: BTreeSet<&str> =
        names.filter(|name| !name.is_empty() && !name.starts_with('=')).collect();
    assert_eq!(used, given);
}

/// The Markdown pages of the repository.
fn pages(root: &Path) -> Vec<PathBuf> {
    let folders = [
        ".",
        "docs",
        "artifacts",
        "burn-docre",
        "burn-docre-train",
        "tools/peer",
        "burn-docre/tests/parity",
    ];
    let files = folders.iter().flat_map(|folder| fs::read_dir(root.join(folder)).expect(folder));
    let paths = files.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

#[test]
fn every_relative_link_points_to_a_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut broken = Vec::new();
    for page in pages(&root) {
        let text = fs::read_to_string(&page).expect("a readable page");
        let folder = page.parent().expect("a folder");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().expect("a part");
            if !link.contains("://") && !file.is_empty() && !folder.join(file).exists() {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
