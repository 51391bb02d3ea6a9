//! The errors of JSON in plain words.

use std::fmt;

use super::position::TextPosition;
use crate::error::shorten;

/// The maximum length of a string that a message quotes from the file, in characters.
const MAX_QUOTE: usize = 40;
/// The maximum length of a message in characters.
const MAX_MESSAGE: usize = 300;

/// An error of JSON: what was expected and found, and where.
///
/// `serde_json` names Rust's types and repeats strings of any length. This error has JSON's terms,
/// and long strings are cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    message: String,
    /// `None` if the error has no place, as that of a value in memory.
    position: Option<TextPosition>,
}

impl JsonError {
    /// Moves the position from a part of a file, which begins at `start`, to the file.
    pub(crate) fn within(mut self, start: TextPosition) -> Self {
        self.position = self.position.map(|position| position.within(start));
        self
    }
}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let message = text.strip_suffix(&format!(" at line {line} column {column}"));
        let message = shorten(&plain_words(message.unwrap_or(&text)), MAX_MESSAGE);
        // `serde_json` reports the column 0 directly after a line break.
        let position = (line > 0).then_some(TextPosition { line, column: column.max(1) });
        Self { message, position }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.position {
            Some(TextPosition { line, column }) => write!(f, " (line {line}, column {column})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for JsonError {}

/// A message of `serde`, without its position, in the terms of JSON and TOML in place of Rust's.
///
/// Other messages are returned unchanged.
pub fn plain_words(message: &str) -> String {
    let mismatch = ["invalid type: ", "invalid value: "]
        .iter()
        .find_map(|start| message.strip_prefix(start)?.rsplit_once(", expected "));
    match mismatch {
        Some((found, expected)) => format!("expected {}, not {}", kind(expected), value(found)),
        None => match message.strip_prefix("EOF while parsing") {
            Some(rest) => format!("the text ends inside{rest}"),
            None => message.to_owned(),
        },
    }
}

/// The JSON type that a Rust type is read from.
fn kind(rust: &str) -> &str {
    match rust {
        "usize" | "u8" | "u16" | "u32" | "u64" => "a whole number of at least 0",
        "isize" | "i8" | "i16" | "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        "path string" => "a path",
        _ if rust.starts_with("struct ") => "an object",
        _ => rust,
    }
}

/// The value that was found, from its description by `serde`.
fn value(found: &str) -> String {
    let ticked = |start: &str| found.strip_prefix(start)?.strip_prefix('`')?.strip_suffix('`');
    if let Some(number) = ticked("integer ").or_else(|| ticked("floating point ")) {
        return format!("the number {number}");
    }
    if let Some(boolean) = ticked("boolean ") {
        return boolean.to_owned();
    }
    match (found, found.strip_prefix("string ")) {
        (_, Some(quoted)) => {
            format!("the text \"{}\"", shorten(quoted.trim_matches('"'), MAX_QUOTE))
        }
        ("map", _) => "an object".to_owned(),
        ("sequence", _) => "a list".to_owned(),
        ("unit value", _) => "null".to_owned(),
        _ => found.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, de::DeserializeOwned};

    use super::*;

    fn error<T: DeserializeOwned + fmt::Debug>(json: &str) -> String {
        JsonError::from(serde_json::from_str::<T>(json).unwrap_err()).to_string()
    }

    #[derive(Debug, Deserialize)]
    struct Record {
        #[serde(rename = "n")]
        _n: u8,
    }

    #[test]
    fn errors_name_the_types_of_json_and_not_those_of_rust() {
        assert!(error::<usize>("-1").starts_with("expected a whole number of at least 0, not the"));
        assert!(error::<i64>("4.5").starts_with("expected a whole number, not the number 4.5"));
        assert!(error::<f32>("null").starts_with("expected a number, not null"));
        assert!(error::<bool>("[]").starts_with("expected true or false, not a list"));
        assert!(error::<Vec<bool>>("{}").starts_with("expected a list, not an object"));
        assert!(error::<String>("true").starts_with("expected a string, not true"));
        assert!(error::<Record>("7").starts_with("expected an object, not the number 7"));
        assert!(error::<Record>(r#"{"n":"x, expected u8"}"#).contains(r#"not the text "x, exp"#));
        assert!(error::<Record>(r#"{"n":300}"#).contains("not the number 300"));
        assert_eq!(error::<Record>("{}"), "missing field `n` (line 1, column 2)");
        assert!(error::<Record>("{").starts_with("the text ends inside an object"));
    }

    #[test]
    fn a_long_text_is_cut() {
        let long = format!("\"{}\"", "é".repeat(100_000));
        let message = error::<usize>(&long);
        assert!(message.contains("not the text \"éé") && message.len() < 300, "{message}");
        // A message that repeats the text in another form is cut as a whole.
        let message = error::<Result<u8, u8>>(&format!("{{{long}: 1}}"));
        assert!(message.starts_with("unknown variant") && message.len() < 700, "{message}");
    }
}
