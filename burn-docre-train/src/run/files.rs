//! Operations on the files of a run: directories, JSON, hashes and partial files.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use anyhow::{Context, Result};
use burn_docre::{
    io::atomic_file::{PARTIAL, write_atomically},
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
    let bytes =
        std::fs::read(path).with_context(|| format!("{}: reading failed", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{}: invalid content", path.display()))
}

/// Reports whether `name` is that of a partial file, which an interrupted write leaves.
pub fn is_partial(name: &std::ffi::OsStr) -> bool {
    name.to_string_lossy().starts_with(PARTIAL)
}

/// Removes all partial files under `directory`. Failures are ignored, because partial files do no
/// harm.
pub fn remove_partial(directory: &Path) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => remove_partial(&entry.path()),
            Ok(_) if is_partial(&entry.file_name()) => drop(std::fs::remove_file(entry.path())),
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
