//! Splits a JSON array, or JSON lines, into elements, with one element in memory at a time.

use std::io::{self, BufRead};

use crate::input::TextPosition;

/// The maximum nesting depth of an element. A DocRED document has six levels.
const MAX_DEPTH: usize = 64;
/// The maximum length of an element in bytes. A DocRED document has about six thousand.
pub(crate) const MAX_ELEMENT_BYTES: usize = 64 << 20;

/// The reason why the next element cannot be read.
#[derive(Debug)]
pub(crate) enum ScanError {
    /// The input could not be read.
    Io(io::Error),
    /// The input starts neither as an array nor as an object.
    NotAnArray(String),
    /// The input is malformed at the current element. The buffer holds its bytes up to the fault.
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

/// Reads the elements of one top-level array, or the objects of a file of JSON lines.
///
/// The first byte selects the form: `[` or `{`. A single object is a file of one line.
///
/// It examines brackets, commas and quotes only, and does not check that an element is valid JSON.
pub(crate) struct ArrayScanner<R> {
    input: R,
    state: State,
    /// The position of the next byte of the input.
    position: TextPosition,
    /// The position of the first byte of the current element.
    start: TextPosition,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    BeforeFirst,
    AfterOpening,
    AfterComma,
    AfterArray,
    /// Between the objects of JSON lines.
    AfterLine,
}

impl<R: BufRead> ArrayScanner<R> {
    pub(crate) fn new(input: R) -> Self {
        let start = TextPosition::START;
        Self { input, state: State::BeforeFirst, position: start, start }
    }

    /// The input, of which nothing has been read.
    pub(crate) fn into_input(self) -> R {
        self.input
    }

    /// The position of the first byte of the current element in the input.
    pub(crate) fn element_start(&self) -> TextPosition {
        self.start
    }

    /// Reads the bytes of the next element into `element`. Returns `false` after the last element.
    ///
    /// After an error the state of the scanner is undefined and it must not be used again.
    pub(crate) fn next_element(&mut self, element: &mut Vec<u8>) -> Result<bool, ScanError> {
        element.clear();
        match self.state {
            State::AfterArray => return Ok(false),
            State::BeforeFirst => match self.next_visible_byte()? {
                Some(b'[') => self.state = State::AfterOpening,
                Some(b'{') => return self.take_line(element),
                first => return Err(ScanError::NotAnArray(not_an_array(first))),
            },
            State::AfterLine => match self.next_visible_byte()? {
                None => return Ok(false),
                Some(b'{') => return self.take_line(element),
                Some(byte) => {
                    let byte = byte.escape_ascii().to_string();
                    return broken(format!("{byte:?} between the objects of JSON lines"));
                }
            },
            State::AfterOpening | State::AfterComma => {}
        }
        self.start = self.position;
        let terminator = self.take_element(element)?;
        let is_empty = element.iter().all(u8::is_ascii_whitespace);
        match (terminator, is_empty) {
            (b']', true) if self.state == State::AfterOpening => {
                self.state = State::AfterArray;
                return Ok(false);
            }
            (_, true) => return broken("an element is missing; remove the superfluous comma"),
            (b']', false) => self.state = State::AfterArray,
            (_, false) => self.state = State::AfterComma,
        }
        Ok(true)
    }

    /// Checks that only white space follows the last element.
    pub(crate) fn expect_end(&mut self) -> Result<(), ScanError> {
        match self.next_visible_byte()? {
            None => Ok(()),
            Some(byte) => {
                broken(format!("{:?} after the end of the array", byte.escape_ascii().to_string()))
            }
        }
    }

    /// Consumes the next `n` bytes, which are in the buffer.
    fn consume(&mut self, n: usize) -> io::Result<()> {
        let bytes = &self.input.fill_buf()?[..n];
        self.position.advance(bytes);
        self.input.consume(n);
        Ok(())
    }

    fn next_visible_byte(&mut self) -> io::Result<Option<u8>> {
        loop {
            let available = self.input.fill_buf()?;
            if available.is_empty() {
                return Ok(None);
            }
            let skipped = available.iter().take_while(|&&byte| is_json_whitespace(byte)).count();
            let visible = available.get(skipped).copied();
            self.consume(skipped + usize::from(visible.is_some()))?;
            if visible.is_some() {
                return Ok(visible);
            }
        }
    }

    /// Copies bytes up to the `,` or `]` that ends the element, consumes that byte and returns it.
    fn take_element(&mut self, element: &mut Vec<u8>) -> Result<u8, ScanError> {
        let mut nesting = Nesting::default();
        self.take_until(element, &mut nesting, |nesting, byte| {
            nesting.step(byte).map(|ends| ends.then_some(Ending::Terminator))
        })
    }

    /// Copies the object whose opening brace has been consumed.
    fn take_line(&mut self, element: &mut Vec<u8>) -> Result<bool, ScanError> {
        self.state = State::AfterLine;
        self.start = TextPosition { column: self.position.column - 1, ..self.position };
        element.push(b'{');
        let mut nesting = Nesting { depth: 1, ..Nesting::default() };
        self.take_until(element, &mut nesting, |nesting, byte| {
            nesting.step(byte)?;
            Ok((nesting.depth == 0).then_some(Ending::LastByte))
        })?;
        Ok(true)
    }

    /// Copies and consumes bytes up to the one that `step` names as the last. Returns that byte.
    fn take_until(
        &mut self,
        element: &mut Vec<u8>,
        nesting: &mut Nesting,
        step: fn(&mut Nesting, u8) -> Result<Option<Ending>, ScanError>,
    ) -> Result<u8, ScanError> {
        loop {
            let available = self.input.fill_buf()?;
            if available.is_empty() {
                return broken(nesting.unexpected_end(element));
            }
            let mut end = None;
            for (offset, &byte) in available.iter().enumerate() {
                if let Some(ending) = step(nesting, byte)? {
                    end = Some((offset, byte, ending));
                    break;
                }
            }
            let n_content = match end {
                None => available.len(),
                Some((offset, _, Ending::Terminator)) => offset,
                Some((offset, _, Ending::LastByte)) => offset + 1,
            };
            if element.len() + n_content > MAX_ELEMENT_BYTES {
                return broken(format!("longer than {} MiB", MAX_ELEMENT_BYTES >> 20));
            }
            element.extend_from_slice(&available[..n_content]);
            let n_consumed = end.map_or(n_content, |(offset, ..)| offset + 1);
            self.consume(n_consumed)?;
            if let Some((_, byte, _)) = end {
                return Ok(byte);
            }
        }
    }
}

/// The role of the byte that ends an element.
#[derive(Clone, Copy)]
enum Ending {
    /// The byte follows the element.
    Terminator,
    /// The byte is the element's last one.
    LastByte,
}

/// The reason why an input with this first byte has no elements.
fn not_an_array(first: Option<u8>) -> String {
    match first {
        None => "the file is empty".to_owned(),
        Some(byte) => {
            let byte = byte.escape_ascii().to_string();
            format!("neither a JSON array nor JSON lines: it starts with {byte:?}")
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
    fn an_empty_array_has_no_elements() {
        assert!(elements(b"[ \n ]", 1).unwrap().is_empty());
    }

    #[test]
    fn the_objects_of_json_lines_are_elements_with_or_without_line_breaks() {
        let json = br#" {"a": "}{"} {"b": [{}]}
            {"c": 1}{}
        "#;
        for capacity in 1..20 {
            let found = elements(json, capacity).unwrap();
            assert_eq!(found, [r#"{"a": "}{"}"#, r#"{"b": [{}]}"#, r#"{"c": 1}"#, "{}"]);
        }
    }

    #[test]
    fn the_start_of_an_element_is_its_position_in_the_input() {
        for (json, expected) in [
            ("[\n 1,2,\n\n[3,\n4]]", [(1, 2), (2, 4), (2, 6)]),
            ("{}\n {} {}", [(1, 1), (2, 2), (2, 5)]),
        ] {
            for capacity in 1..20 {
                let reader = BufReader::with_capacity(capacity, json.as_bytes());
                let (mut scanner, mut element) = (ArrayScanner::new(reader), Vec::new());
                for (line, column) in expected {
                    assert!(scanner.next_element(&mut element).unwrap());
                    assert_eq!(scanner.element_start(), TextPosition { line, column }, "{json}");
                }
            }
        }
    }

    #[test]
    fn input_that_is_no_array_and_a_malformed_array_are_different_errors() {
        for json in [&b""[..], b"  ", b"7", b"\xEF", b"\xEF\xBBx", b"\xFF\xFE[\0", b"]"] {
            assert!(matches!(elements(json, 8), Err(ScanError::NotAnArray(_))), "{json:?}");
        }
        for json in [
            &b"["[..],
            b"[1",
            b"[1,",
            b"[1,]",
            b"[,1]",
            b"[}",
            b"[1] 2",
            b"[]]",
            b"[\"]",
            b"{",
            b"{} 1",
            b"{}]",
        ] {
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
