//! Atomic replacement of files, and locks on files between processes.

use std::fs::{File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The beginning of the names of unfinished files. Their writer holds a [lock] on them.
pub const PARTIAL: &str = ".partial-";

/// Writes to a temporary file beside `path` and renames it to `path` after everything is on disk.
///
/// An interrupted or failed write leaves `path` unchanged. If `path` is a symbolic link, its target
/// is replaced and the link stays. A device or a pipe is written to directly, since it cannot be
/// replaced.
///
/// # Errors
///
/// [`Error::Io`] with the error of the system or of `write` as its source.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> Result<()> {
    try_write(path, write).map_err(|source| Error::io(path, "writing", source))
}

fn try_write(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> io::Result<()> {
    if std::fs::metadata(path).is_ok_and(|data| !data.is_file() && !data.is_dir()) {
        let device = File::options().write(true).open(path)?;
        let mut writer = BufWriter::new(&device);
        write(&mut writer)?;
        return writer.flush();
    }
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let mut builder = tempfile::Builder::new();
    // A temporary file is private by default. The finished file has the permissions of the umask.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let temporary = builder.prefix(PARTIAL).tempfile_in(directory_of(path))?;
    // The lock tells other processes that the file is in use. Some file systems have no locks.
    let _ = temporary.as_file().try_lock();
    let mut writer = BufWriter::new(temporary.as_file());
    write(&mut writer)?;
    writer.flush()?;
    drop(writer);
    temporary.as_file().sync_all()?;
    temporary.persist(path)?;
    sync_directory_of(path);
    Ok(())
}

/// The path of an unfinished file: a sibling of `path` whose name begins with [`PARTIAL`].
pub(super) fn partial_path(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{PARTIAL}{name}"))
}

/// Opens the file `path` for writing and locks it. Creates the file if it is missing.
///
/// The lock lasts until the file is closed. Returns `None` if another process has the lock. On a
/// file system without locks, every process gets the file.
///
/// # Errors
///
/// [`Error::Io`] if the file cannot be created or opened.
pub fn lock(path: &Path) -> Result<Option<File>> {
    let file = File::options().write(true).create(true).truncate(false).open(path);
    let file = file.map_err(|source| Error::io(path, "creating", source))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Ok(None),
        _ => Ok(Some(file)),
    }
}

/// Writes the directory entry of a new, renamed or removed `file` to disk, if the system supports
/// it.
pub(crate) fn sync_directory_of(file: &Path) {
    // Errors are ignored: some file systems cannot do this, and the file itself is on disk.
    if let Ok(directory) = File::open(directory_of(file)) {
        let _ = directory.sync_all();
    }
}

fn directory_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_full_device_is_an_error_and_stays_a_device() {
        use std::os::unix::fs::FileTypeExt;
        let path = Path::new("/dev/full");
        if !path.exists() {
            return;
        }
        let error = write_atomically(path, |out| out.write_all(b"text")).unwrap_err();
        assert!(error.to_string().contains("writing failed"), "{error}");
        assert!(std::fs::metadata(path).unwrap().file_type().is_char_device());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let (target, link) = (directory.path().join("target"), directory.path().join("link"));
        std::fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        write_atomically(&link, |out| out.write_all(b"new")).unwrap();
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "new");
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn a_lock_is_held_until_its_file_is_closed() {
        let directory = tempfile::tempdir().unwrap();
        let path = partial_path(&directory.path().join("held"));
        assert_eq!(path, directory.path().join(".partial-held"));
        let first = lock(&path).unwrap();
        assert!(first.is_some());
        assert!(lock(&path).unwrap().is_none());
        drop(first);
        assert!(lock(&path).unwrap().is_some());
    }

    #[test]
    fn a_failed_write_keeps_the_old_file_and_leaves_no_other_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kept.txt");
        write_atomically(&path, |out| out.write_all(b"old")).unwrap();
        let error = write_atomically(&path, |out| {
            out.write_all(b"half")?;
            Err(io::Error::other("disk full"))
        });
        assert!(matches!(error, Err(Error::Io { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
