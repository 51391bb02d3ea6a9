//! Splits a JSON array into its elements, with one element in memory at a time.

use std::io::{self, BufRead};

/// The maximum nesting depth of an element. A DocRED document has six levels.
const MAX_DEPTH: usize = 64;
/// The maximum length of an element in bytes. A DocRED document has about six thousand.
const MAX_ELEMENT_BYTES: usize = 64 << 20;

const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// The reason why the next element cannot be read.
#[derive(Debug)]
pub(crate) enum ScanError {
    /// The input could not be read.
    Io(io::Error),
    /// The input does not start as an array.
    NotAnArray(String),
    /// The array is malformed at the current element. The buffer holds its bytes up to the fault.
    Broken(String),
}

impl From<io::Error> for ScanError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn broken<T>(reason: impl ToString) -> Result<T, ScanError> {
    Err(ScanError::Broken(reason.to_string()))
}

/// Reads the elements of one top-level array.
///
/// It examines brackets, commas and quotes only, and does not check that an element is valid JSON.
pub(crate) struct ArrayScanner<R> {
    input: R,
    position: Position,
}

#[derive(Clone, Copy, PartialEq)]
enum Position {
    BeforeArray,
    AfterOpening,
    AfterComma,
    AfterArray,
}

impl<R: BufRead> ArrayScanner<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, position: Position::BeforeArray }
    }

    /// Reads the bytes of the next element into `element`. Returns `false` after the last element.
    ///
    /// After an error the position of the scanner is undefined and it must not be used again.
    pub(crate) fn next_element(&mut self, element: &mut Vec<u8>) -> Result<bool, ScanError> {
        element.clear();
        match self.position {
            Position::AfterArray => return Ok(false),
            Position::BeforeArray => self.open_array()?,
            Position::AfterOpening | Position::AfterComma => {}
        }
        let terminator = self.take_element(element)?;
        let is_empty = element.iter().all(u8::is_ascii_whitespace);
        match (terminator, is_empty) {
            (b']', true) if self.position == Position::AfterOpening => {
                self.position = Position::AfterArray;
                return Ok(false);
            }
            (_, true) => return broken("an element is missing; remove the superfluous comma"),
            (b']', false) => self.position = Position::AfterArray,
            (_, false) => self.position = Position::AfterComma,
        }
        Ok(true)
    }

    fn open_array(&mut self) -> Result<(), ScanError> {
        let mut first = self.next_visible_byte()?;
        if first == Some(BYTE_ORDER_MARK[0]) {
            let mut rest = [0; 2];
            self.input.read_exact(&mut rest).or_else(end_of_file_is_no_error)?;
            if rest == BYTE_ORDER_MARK[1..] {
                first = self.next_visible_byte()?;
            }
        }
        let found = match first {
            Some(b'[') => {
                self.position = Position::AfterOpening;
                return Ok(());
            }
            None => "the file is empty".to_owned(),
            Some(byte) => format!("it starts with {:?}", byte.escape_ascii().to_string()),
        };
        Err(ScanError::NotAnArray(format!("not a JSON array: {found}")))
    }

    /// Checks that only white space follows the array.
    pub(crate) fn expect_end(&mut self) -> Result<(), ScanError> {
        match self.next_visible_byte()? {
            None => Ok(()),
            Some(byte) => {
                broken(format!("{:?} after the end of the array", byte.escape_ascii().to_string()))
            }
        }
    }

    fn next_visible_byte(&mut self) -> io::Result<Option<u8>> {
        loop {
            let available = self.input.fill_buf()?;
            if available.is_empty() {
                return Ok(None);
            }
            let skipped = available.iter().take_while(|&&byte| is_json_whitespace(byte)).count();
            let visible = available.get(skipped).copied();
            self.input.consume(skipped + usize::from(visible.is_some()));
            if visible.is_some() {
                return Ok(visible);
            }
        }
    }

    /// Copies bytes up to the `,` or `]` that ends the element, consumes that byte and returns it.
    fn take_element(&mut self, element: &mut Vec<u8>) -> Result<u8, ScanError> {
        let mut nesting = Nesting::default();
        loop {
            let available = self.input.fill_buf()?;
            if available.is_empty() {
                return broken(nesting.unexpected_end(element));
            }
            let mut end = None;
            for (offset, &byte) in available.iter().enumerate() {
                if nesting.step(byte)? {
                    end = Some((offset, byte));
                    break;
                }
            }
            let n_content = end.map_or(available.len(), |(offset, _)| offset);
            if element.len() + n_content > MAX_ELEMENT_BYTES {
                return broken(format!("longer than {} MiB", MAX_ELEMENT_BYTES >> 20));
            }
            element.extend_from_slice(&available[..n_content]);
            self.input.consume(n_content + usize::from(end.is_some()));
            if let Some((_, terminator)) = end {
                return Ok(terminator);
            }
        }
    }
}

/// The nesting and string state at a byte of an element.
#[derive(Default)]
struct Nesting {
    depth: usize,
    in_string: bool,
    after_backslash: bool,
}

impl Nesting {
    /// Advances by one byte. Returns `true` if the byte ends the element.
    fn step(&mut self, byte: u8) -> Result<bool, ScanError> {
        if self.in_string {
            if self.after_backslash {
                self.after_backslash = false;
            } else {
                self.after_backslash = byte == b'\\';
                self.in_string = byte != b'"';
            }
            return Ok(false);
        }
        match byte {
            b',' | b']' if self.depth == 0 => return Ok(true),
            b'}' if self.depth == 0 => return broken("a `}` without a matching `{`"),
            b'"' => self.in_string = true,
            b'{' | b'[' if self.depth == MAX_DEPTH => {
                return broken(format!("nested more than {MAX_DEPTH} levels deep"));
            }
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        Ok(false)
    }

    fn unexpected_end(&self, element: &[u8]) -> &'static str {
        if self.depth > 0 || self.in_string {
            "the file ends inside this element"
        } else if element.iter().all(u8::is_ascii_whitespace) {
            "the file ends where this element or the closing `]` should be"
        } else {
            "the file ends after this element, without the closing `]`"
        }
    }
}

fn is_json_whitespace(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn end_of_file_is_no_error(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::UnexpectedEof { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    /// The elements of `json`, read through a buffer of `capacity` bytes.
    fn elements(json: &[u8], capacity: usize) -> Result<Vec<String>, ScanError> {
        let mut scanner = ArrayScanner::new(BufReader::with_capacity(capacity, json));
        let (mut element, mut found) = (Vec::new(), Vec::new());
        while scanner.next_element(&mut element)? {
            found.push(String::from_utf8(element.clone()).unwrap().trim().to_owned());
        }
        scanner.expect_end()?;
        Ok(found)
    }

    #[test]
    fn brackets_commas_and_quotes_inside_strings_do_not_end_an_element() {
        let json = br#" [ {"a": "],[{\"\\"} , [1, [2]], "x,]", 7 ] "#;
        for capacity in 1..20 {
            assert_eq!(
                elements(json, capacity).unwrap(),
                [r#"{"a": "],[{\"\\"}"#, "[1, [2]]", r#""x,]""#, "7"]
            );
        }
    }

    #[test]
    fn an_empty_array_and_a_byte_order_mark_are_accepted() {
        assert!(elements(b"[ \n ]", 1).unwrap().is_empty());
        assert_eq!(elements(b"\xEF\xBB\xBF [1]", 2).unwrap(), ["1"]);
    }

    #[test]
    fn input_that_is_no_array_and_a_malformed_array_are_different_errors() {
        for json in [&b""[..], b"  ", b"{}", b"\xEF", b"\xEF\xBBx", b"\xFF\xFE[\0", b"]"] {
            assert!(matches!(elements(json, 8), Err(ScanError::NotAnArray(_))), "{json:?}");
        }
        for json in [&b"["[..], b"[1", b"[1,", b"[1,]", b"[,1]", b"[}", b"[1] 2", b"[]]", b"[\"]"] {
            assert!(matches!(elements(json, 8), Err(ScanError::Broken(_))), "{json:?}");
        }
    }

    #[test]
    fn elements_up_to_the_maximum_depth_are_accepted() {
        let nested = |levels: usize| format!("[{}{}]", "[".repeat(levels), "]".repeat(levels));
        assert!(elements(nested(MAX_DEPTH).as_bytes(), 4096).is_ok());
        assert!(elements(nested(MAX_DEPTH + 1).as_bytes(), 4096).is_err());
    }

    #[test]
    fn an_endless_element_is_refused_before_it_fills_the_memory() {
        let endless = io::BufReader::new(io::Read::chain(&b"[\""[..], io::repeat(b'x')));
        let mut element = Vec::new();
        let error = ArrayScanner::new(endless).next_element(&mut element);
        assert!(matches!(error, Err(ScanError::Broken(reason)) if reason.contains("longer than")));
        assert!(element.len() <= MAX_ELEMENT_BYTES);
    }
}
