//! The output files of commands: standard output, or a file that is replaced as a whole.

use std::{
    io::{self, Write},
    path::Path,
};

use anyhow::Result;
use burn_docre::{input::is_standard, io::atomic_file::write_atomically};
use flate2::{Compression, write::GzEncoder};

use crate::ui::Ui;

/// The extension of a compressed file.
const GZIP: &str = "gz";

/// Returns true if the extension of `path`, in any case, is `name`.
pub(super) fn has_extension(path: &Path, name: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(name))
}

/// The file name of `path` without the extension `gz`; `path` itself if it has another extension.
pub(super) fn without_compression(path: &Path) -> &Path {
    match path.file_stem() {
        Some(stem) if has_extension(path, GZIP) => Path::new(stem),
        _ => path,
    }
}

/// Writes the text of an output: to standard output if `path` is `-`, compressed with gzip if its
/// extension is `gz`.
///
/// # Errors
/// If the file cannot be written, and the errors of `write`.
pub(super) fn write_text(
    ui: &Ui,
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    if is_standard(path) {
        return ui.results_with(write);
    }
    Ok(write_atomically(path, |out| {
        if !has_extension(path, GZIP) {
            return write(out);
        }
        let mut encoder = GzEncoder::new(out, Compression::default());
        write(&mut encoder)?;
        encoder.finish().map(drop)
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::LogFormat;

    #[test]
    fn a_file_is_compressed_if_its_extension_says_so() {
        let directory = tempfile::tempdir().unwrap();
        for (name, is_compressed) in [("a.json", false), ("a.json.gz", true), ("a.json.GZ", true)] {
            let path = directory.path().join(name);
            write_text(&Ui::new(LogFormat::Human), &path, |out| out.write_all(b"[1]")).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            assert_eq!(bytes.starts_with(b"\x1F\x8B"), is_compressed, "{name}");
            assert_eq!(burn_docre::input::read(&path).unwrap(), b"[1]", "{name}");
        }
    }

    #[test]
    fn the_extension_under_a_compressed_one_remains() {
        for (path, rest) in [("d/a.jsonl.gz", "a.jsonl"), ("d/a.json", "d/a.json"), ("gz", "gz")] {
            assert_eq!(without_compression(Path::new(path)), Path::new(rest));
        }
    }
}
