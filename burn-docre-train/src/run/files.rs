//! Files of a run: JSON, hashes, leftovers.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use anyhow::{Context, Result};
use burn_docre::io::atomic_file::{PARTIAL, write_atomically};
use sha2::{Digest, Sha256};

/// Writes `value` as indented JSON, whole or not at all.
pub fn write_json(path: &Path, value: &(impl serde::Serialize + ?Sized)) -> Result<()> {
    write_atomically(path, |out| {
        serde_json::to_writer_pretty(&mut *out, value)?;
        out.write_all(b"\n")
    })
    .map_err(Into::into)
}

/// Reads the JSON file `path`.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes =
        std::fs::read(path).with_context(|| format!("{}: reading failed", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{}: not as expected", path.display()))
}

/// Whether a killed write has left the file of this name.
pub fn is_partial(name: &std::ffi::OsStr) -> bool {
    name.to_string_lossy().starts_with(PARTIAL)
}

/// Removes what killed writes have left anywhere under `directory`; what cannot be removed does no harm.
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
pub fn sha256(path: &Path) -> Result<String> {
    let context = || format!("{}: reading failed", path.display());
    let mut hasher = Sha256::new();
    let mut file = File::open(path).with_context(context)?;
    io::copy(&mut file, &mut hasher).with_context(context)?;
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
