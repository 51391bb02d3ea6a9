//! Reads a text file line by line, with one line in memory at a time.

use std::io::{BufRead, Read};

use super::json_array::{MAX_ELEMENT_BYTES, ScanError};
use crate::input::TextPosition;

/// Reads the lines of an input that are not blank.
pub(crate) struct LineScanner<R> {
    input: R,
    /// The number of lines read.
    n_lines: usize,
}

impl<R: BufRead> LineScanner<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, n_lines: 0 }
    }

    /// The position of the first byte of the current line.
    pub(crate) fn line_start(&self) -> TextPosition {
        TextPosition { line: self.n_lines.max(1), column: 1 }
    }

    /// Reads the next line that is not blank into `line`, without its end. Returns `false` at the
    /// end of the input.
    ///
    /// After an error the state of the scanner is undefined and it must not be used again.
    ///
    /// # Errors
    /// If the input cannot be read, or if a line is longer than [`MAX_ELEMENT_BYTES`].
    pub(crate) fn next_line(&mut self, line: &mut Vec<u8>) -> Result<bool, ScanError> {
        loop {
            line.clear();
            let max = MAX_ELEMENT_BYTES as u64 + 1;
            let n_bytes = self.input.by_ref().take(max).read_until(b'\n', line)?;
            if n_bytes > MAX_ELEMENT_BYTES {
                return Err(ScanError::Broken(format!(
                    "longer than {} MiB",
                    MAX_ELEMENT_BYTES >> 20
                )));
            }
            if n_bytes == 0 {
                return Ok(false);
            }
            self.n_lines += 1;
            while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
                line.pop();
            }
            if !line.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, repeat};

    use super::*;

    #[test]
    fn blank_lines_are_passed_over_and_counted() {
        let mut scanner = LineScanner::new(&b"\n a\tb \r\n\r\nc"[..]);
        let mut line = Vec::new();
        for (expected, number) in [(&b" a\tb "[..], 2), (b"c", 4)] {
            assert!(scanner.next_line(&mut line).unwrap());
            assert_eq!((&line[..], scanner.line_start().line), (expected, number));
        }
        assert!(!scanner.next_line(&mut line).unwrap());
    }

    #[test]
    fn an_endless_line_is_refused_before_it_fills_the_memory() {
        let mut line = Vec::new();
        let error = LineScanner::new(BufReader::new(repeat(b'x'))).next_line(&mut line);
        assert!(matches!(error, Err(ScanError::Broken(reason)) if reason.contains("longer than")));
        assert!(line.len() <= MAX_ELEMENT_BYTES + 1);
    }
}
