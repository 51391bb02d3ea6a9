//! Operations on the files of a run: directories, JSON, hashes and partial files.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};
use burn_docre::{
    input,
    io::atomic_file::{self, PARTIAL, write_atomically},
    text::hex::write_hex,
};
use sha2::{Digest, Sha256};

/// Creates a directory and its parents, unless they exist.
///
/// # Errors
/// If the directory cannot be created.
pub fn create_directory(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path)
        .with_context(|| format!("{}: the directory cannot be created", path.display()))
}

/// The name of the lock file in a directory that one process may use.
pub const LOCK: &str = ".lock";

/// Locks an existing directory until the returned file is closed.
///
/// # Errors
/// If another process holds the lock, or the lock file cannot be created.
pub fn lock_directory(root: &Path) -> Result<File> {
    match atomic_file::lock(&root.join(LOCK))? {
        Some(file) => Ok(file),
        None => bail!(
            "another `docre` process uses {}; wait for its end, or choose another `--out`",
            root.display()
        ),
    }
}

/// Reports whether a directory has files, also in directories in it, besides locks and partial
/// files.
///
/// # Errors
/// If a directory cannot be read.
pub fn has_files(root: &Path) -> Result<bool> {
    let context = || format!("{}: the directory cannot be read", root.display());
    for entry in std::fs::read_dir(root).with_context(context)? {
        let entry = entry.with_context(context)?;
        let name = entry.file_name();
        let is_file = match entry.file_type().with_context(context)?.is_dir() {
            true => has_files(&entry.path())?,
            false => name != LOCK && !is_partial(&name),
        };
        if is_file {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Writes `value` as indented JSON, atomically.
///
/// # Errors
/// If the file cannot be written.
pub fn write_json(path: &Path, value: &(impl serde::Serialize + ?Sized)) -> Result<()> {
    write_atomically(path, |out| {
        serde_json::to_writer_pretty(&mut *out, value)?;
        out.write_all(b"\n")
    })
    .map_err(Into::into)
}

/// Reads the JSON file `path`.
///
/// # Errors
/// If the file cannot be read, or does not contain a `T`.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    Ok(input::read_json(path, "invalid content")?)
}

/// Checks that the directory of `output` exists. A command calls this before its work, which would be
/// lost.
///
/// # Errors
/// If there is no such directory.
pub fn check_directory_of(output: &Path) -> Result<()> {
    let directory = output.parent().filter(|parent| !parent.as_os_str().is_empty());
    ensure!(
        directory.is_none_or(Path::is_dir),
        "{}: the directory of the output does not exist; create it",
        output.display()
    );
    Ok(())
}

/// Checks that writing `output` replaces none of the `inputs`, under whatever name.
///
/// # Errors
/// If `output` is the same file as an input.
pub fn check_output(output: &Path, inputs: &[&Path]) -> Result<()> {
    for input in inputs {
        ensure!(
            !is_same_file(output, input),
            "{} is an input of this command ({}); give another file for the output",
            output.display(),
            input.display()
        );
    }
    Ok(())
}

/// Reports whether two paths lead to one regular file, also through links.
#[cfg(unix)]
fn is_same_file(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    let (Ok(first), Ok(second)) = (std::fs::metadata(a), std::fs::metadata(b)) else {
        return false;
    };
    first.is_file() && (first.dev(), first.ino()) == (second.dev(), second.ino())
}

/// Reports whether two paths lead to one regular file, also through symbolic links. Hard links are
/// not recognised.
#[cfg(not(unix))]
fn is_same_file(a: &Path, b: &Path) -> bool {
    let (Ok(first), Ok(second)) = (std::fs::canonicalize(a), std::fs::canonicalize(b)) else {
        return false;
    };
    first.is_file() && first == second
}

/// Reports whether `name` is that of a partial file, which an interrupted write leaves.
pub fn is_partial(name: &std::ffi::OsStr) -> bool {
    name.to_string_lossy().starts_with(PARTIAL)
}

/// Removes the partial files under `directory`, except those that another process is writing.
/// Failures are ignored, because partial files do no harm.
pub fn remove_partial(directory: &Path) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => remove_partial(&path),
            Ok(_) if is_partial(&entry.file_name()) => {
                if let Ok(Some(_lock)) = atomic_file::lock(&path) {
                    let _ = std::fs::remove_file(&path);
                }
            }
            _ => {}
        }
    }
}

/// The SHA-256 of a file, in hexadecimal.
///
/// # Errors
/// If the file cannot be read.
pub fn sha256(path: &Path) -> Result<String> {
    let context = || format!("{}: reading failed", path.display());
    let mut hasher = Sha256::new();
    let mut file = File::open(path).with_context(context)?;
    io::copy(&mut file, &mut hasher).with_context(context)?;
    let mut hex = String::new();
    write_hex(&mut hex, &hasher.finalize())?;
    Ok(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_partial_files_and_empty_directories_are_no_files() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("7/base");
        create_directory(&inner).unwrap();
        let _lock = lock_directory(&inner).unwrap();
        std::fs::write(root.path().join(".partial-x"), "").unwrap();
        assert!(!has_files(root.path()).unwrap());
        std::fs::write(inner.join("config.toml"), "").unwrap();
        assert!(has_files(root.path()).unwrap());
    }

    #[test]
    fn a_partial_file_that_is_being_written_is_not_removed() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("scores.json");
        write_atomically(&path, |out| {
            std::fs::write(root.path().join(".partial-left"), "").unwrap();
            remove_partial(root.path());
            out.write_all(b"{}")
        })
        .unwrap();
        let left: Vec<_> =
            std::fs::read_dir(root.path()).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(left, [path]);
    }
}
