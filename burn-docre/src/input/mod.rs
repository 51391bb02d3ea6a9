//! Inputs: files, pipes and standard input, plain or compressed, and JSON with errors in plain
//! words.
//!
//! The content of an input determines whether it is compressed with gzip; its name does not matter.
//! A UTF-8 byte order mark at the beginning is skipped.

mod json;
mod position;

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Cursor, Read},
    path::Path,
};

use flate2::bufread::MultiGzDecoder;
use serde::de::DeserializeOwned;

pub use self::json::{JsonError, plain_words};
pub(crate) use self::position::TextPosition;
use crate::{Error, Result};

/// The path that stands for standard input, or for standard output where a file is written.
pub const STANDARD: &str = "-";

/// Returns true if `path` is [`STANDARD`].
pub fn is_standard(path: &Path) -> bool {
    path.as_os_str() == STANDARD
}

/// The size of the buffers in bytes.
const BUFFER: usize = 1 << 16;
/// The maximum length of an input that is read as a whole, in bytes after decompression.
const MAX_WHOLE: u64 = 256 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
const GZIP_MAGIC: &[u8] = b"\x1F\x8B";

/// A reader of the decompressed bytes of an input.
pub type Reader = Box<dyn BufRead + Send>;

/// Opens an input. The path [`STANDARD`] is standard input.
///
/// # Errors
/// [`Error::Io`] if the file cannot be opened or read.
pub fn open(path: &Path) -> Result<Reader> {
    let bytes: Box<dyn Read + Send> = if is_standard(path) {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).map_err(|source| Error::io(path, "opening", source))?)
    };
    decoded(bytes).map_err(|source| Error::io(path, "reading", source))
}

/// Reads a whole input of at most 256 MiB after decompression, such as a configuration or a
/// tokenizer.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read, [`Error::Format`] if its content is longer.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    read_at_most(MAX_WHOLE, path)
}

fn read_at_most(max: u64, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let io = |source| Error::io(path, "reading", source);
    open(path)?.take(max + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > max {
        return Err(Error::format(path, format!("longer than {} MiB", max >> 20)));
    }
    Ok(bytes)
}

/// Reads a JSON file. `mismatch` is the message of the error if its content is not a `T`.
///
/// # Errors
/// As [`read`], and [`Error::Format`] if the content is not a `T`.
pub fn read_json<T: DeserializeOwned>(path: &Path, mismatch: &str) -> Result<T> {
    parse_json(&read(path)?, path, mismatch)
}

/// Parses the content of the JSON file `path`. `mismatch` is as for [`read_json`].
///
/// # Errors
/// [`Error::Format`] if the content is not a `T`.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8], path: &Path, mismatch: &str) -> Result<T> {
    let text = without_byte_order_mark(bytes);
    serde_json::from_slice(text)
        .map_err(|error| Error::format(path, mismatch).with_source(JsonError::from(error)))
}

/// Returns `bytes` without a UTF-8 byte order mark at their beginning.
pub fn without_byte_order_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes)
}

/// Decompresses gzip and skips a byte order mark.
fn decoded(bytes: impl Read + Send + 'static) -> io::Result<Reader> {
    let (start, rest) = split(bytes, GZIP_MAGIC.len())?;
    let is_compressed = start == GZIP_MAGIC;
    let whole = BufReader::with_capacity(BUFFER, Cursor::new(start).chain(rest));
    if is_compressed { without_mark(MultiGzDecoder::new(whole)) } else { without_mark(whole) }
}

fn without_mark(bytes: impl Read + Send + 'static) -> io::Result<Reader> {
    let (start, rest) = split(bytes, BYTE_ORDER_MARK.len())?;
    let start = Cursor::new(without_byte_order_mark(&start).to_vec());
    Ok(Box::new(start.chain(BufReader::with_capacity(BUFFER, rest))))
}

/// Reads the first `n` bytes, or all if there are fewer.
fn split<R: Read>(mut bytes: R, n: usize) -> io::Result<(Vec<u8>, R)> {
    let mut start = Vec::new();
    bytes.by_ref().take(n as u64).read_to_end(&mut start)?;
    Ok((start, bytes))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;
    use crate::error::chain_of;

    fn compressed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// The bytes that [`read`] returns for a file of this content.
    fn read_back(content: &[u8]) -> Result<Vec<u8>> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("input.json");
        std::fs::write(&path, content).unwrap();
        read(&path)
    }

    /// Returns one byte for each call, as a slow pipe may do.
    struct ByteByByte(Cursor<Vec<u8>>);

    impl Read for ByteByByte {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = buffer.len().min(1);
            self.0.read(&mut buffer[..n])
        }
    }

    #[test]
    fn compression_and_a_byte_order_mark_do_not_change_what_is_read() {
        let marked = |text: &[u8]| [BYTE_ORDER_MARK, text].concat();
        for text in [&b"{\"a\": 1}"[..], b"", b"x", b"\x1F", b"\xEF\xBB"] {
            let parts = [compressed(&text[..text.len() / 2]), compressed(&text[text.len() / 2..])];
            for content in [
                text.to_vec(),
                marked(text),
                compressed(text),
                compressed(&marked(text)),
                parts.concat(),
            ] {
                assert_eq!(read_back(&content).unwrap(), text, "{content:?}");
                let mut slow = decoded(ByteByByte(Cursor::new(content))).unwrap();
                let mut bytes = Vec::new();
                slow.read_to_end(&mut bytes).unwrap();
                assert_eq!(bytes, text);
            }
        }
    }

    #[test]
    fn a_truncated_compressed_file_is_an_error() {
        let whole = compressed(b"{\"a\": 1}");
        let error = read_back(&whole[..whole.len() - 1]).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error:?}");
    }

    #[test]
    fn a_small_file_with_more_content_than_allowed_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("input.json.gz");
        let content = compressed(&vec![b' '; (1 << 20) + 1]);
        assert!(content.len() < 10_000);
        std::fs::write(&path, content).unwrap();
        let error = read_at_most(1 << 20, &path).unwrap_err().to_string();
        assert!(error.ends_with("longer than 1 MiB"), "{error}");
        assert!(read_at_most((1 << 20) + 1, &path).is_ok());
    }

    #[test]
    fn json_of_another_type_is_an_error_that_names_the_file_and_the_place() {
        let path = Path::new("table.json");
        let error = parse_json::<Vec<usize>>(b"[1,\n true]", path, "not a table").unwrap_err();
        let chain = chain_of(&error);
        let expected = "table.json: not a table: expected a whole number of at least 0, not true \
                        (line 2, column 5)";
        assert_eq!(chain, expected);
        let marked = [BYTE_ORDER_MARK, b"[1]"].concat();
        assert_eq!(parse_json::<Vec<usize>>(&marked, path, "not a table").unwrap(), [1]);
    }
}
