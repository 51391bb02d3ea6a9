//! Marked-up text, divided into plain text and mentions.

use std::iter::Peekable;
use std::str::CharIndices;

use unicode_width::UnicodeWidthStr;

/// The most characters of a line that a message shows before and after the column of its error.
const CONTEXT: usize = 36;

/// The reason why a text is not marked-up text, and the place.
///
/// [`Display`](std::fmt::Display) shows the line with a caret under the column, in three lines.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} (line {line}, column {column})\n  {excerpt}\n  {}^", spaces(.caret))]
pub struct MarkupError {
    /// The fault and the remedy.
    pub reason: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The part of the line around the column.
    excerpt: String,
    /// The width of the excerpt before the column, in cells of a terminal.
    caret: usize,
}

impl MarkupError {
    /// An error at the byte `offset` of `text`, which is at most its length.
    pub(super) fn at(text: &str, offset: usize, reason: String) -> Self {
        let before = &text[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let before: Vec<char> = text[line_start..offset].chars().collect();
        let after: Vec<char> = text[offset..].lines().next().unwrap_or_default().chars().collect();
        let line = 1 + text[..line_start].matches('\n').count();
        let column = before.len() + 1;

        let (cut_before, cut_after) = (before.len() > CONTEXT, after.len() > CONTEXT);
        let start = before.len().saturating_sub(CONTEXT);
        let printable = |char: &char| if char.is_control() { ' ' } else { *char };
        let ellipsis = |is_cut: bool| is_cut.then_some('…').into_iter();
        let mut excerpt: String =
            ellipsis(cut_before).chain(before[start..].iter().map(printable)).collect();
        let caret = excerpt.width();
        excerpt.extend(after.iter().take(CONTEXT).map(printable).chain(ellipsis(cut_after)));
        Self { reason, line, column, excerpt, caret }
    }
}

fn spaces(n: &usize) -> String {
    " ".repeat(*n)
}

/// A part of a text, without escapes.
pub(super) enum Piece {
    /// Text outside of mentions.
    Plain(String),
    /// A mention.
    Mention(MarkedMention),
}

/// The three parts of a mention.
pub(super) struct MarkedMention {
    /// The name, not empty, with single spaces.
    pub(super) name: String,
    pub(super) kind: String,
    /// The byte offset of `kind` in the text.
    pub(super) kind_offset: usize,
    /// The number of the entity.
    pub(super) number: usize,
}

/// Divides a text into its pieces, in their order.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, MarkupError> {
    let mut scanner = Scanner { text, chars: text.char_indices().peekable() };
    let mut pieces = Vec::new();
    let mut plain = String::new();
    while let Some((offset, char)) = scanner.chars.next() {
        match char {
            '[' => {
                pieces.push(Piece::Plain(std::mem::take(&mut plain)));
                pieces.push(Piece::Mention(scanner.mention(offset)?));
            }
            ']' => {
                return scanner.refuse(offset, r"`]` without `[`; write `\]` for the character");
            }
            '\\' => plain.push(scanner.escaped()?),
            char => plain.push(char),
        }
    }
    pieces.push(Piece::Plain(plain));
    Ok(pieces)
}

/// Reads a text character by character.
struct Scanner<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
}

/// A part of a mention.
struct Part {
    /// The byte offset of its first character, which may be white space.
    offset: usize,
    text: String,
}

impl Part {
    fn at(offset: usize) -> Self {
        Self { offset, text: String::new() }
    }

    /// The byte offset of its first character other than white space, which needs no escape.
    fn content_offset(&self) -> usize {
        self.offset + self.text.len() - self.text.trim_start().len()
    }

    /// The text with single spaces, and none at its ends.
    fn normalized(&self) -> String {
        self.text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

impl Scanner<'_> {
    fn refuse<T>(&self, offset: usize, reason: impl Into<String>) -> Result<T, MarkupError> {
        Err(MarkupError::at(self.text, offset, reason.into()))
    }

    /// Reads the character after a backslash.
    fn escaped(&mut self) -> Result<char, MarkupError> {
        match self.chars.next() {
            Some((_, char @ ('[' | ']' | '|' | '\\'))) => Ok(char),
            next => {
                // A backslash is one byte long.
                let offset = next.map_or(self.text.len(), |(offset, _)| offset) - 1;
                self.refuse(
                    offset,
                    r"`\` is not followed by `[`, `]`, `|` or `\`; write `\\` for it",
                )
            }
        }
    }

    /// Reads a mention after its `[` at the byte offset `open`.
    fn mention(&mut self, open: usize) -> Result<MarkedMention, MarkupError> {
        let (parts, close) = self.parts(open)?;
        let [name, kind, number] = match <[Part; 3]>::try_from(parts) {
            Ok(parts) => parts,
            Err(parts) => {
                let at = parts.get(3).map_or(close, |fourth| fourth.offset - 1);
                let n = parts.len();
                return self.refuse(
                    at,
                    format!("a mention has three parts, as in [Warsaw|LOC|2]; this one has {n}"),
                );
            }
        };
        for (part, label) in [(&name, "name"), (&kind, "type"), (&number, "number")] {
            if part.text.trim().is_empty() {
                let reason = format!("the mention has no {label}; write [name|TYPE|number]");
                return self.refuse(part.offset, reason);
            }
        }
        let number = self.number(&number)?;
        let kind_offset = kind.content_offset();
        let (name, kind) = (name.normalized(), kind.normalized());
        Ok(MarkedMention { name, kind, kind_offset, number })
    }

    /// Reads the number of an entity.
    fn number(&self, part: &Part) -> Result<usize, MarkupError> {
        let digits = part.text.trim();
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        let reason = match digits.parse() {
            Ok(number) if is_number => return Ok(number),
            Err(_) if is_number => format!("the number {digits} is too large"),
            _ => format!("{digits:?} is not a number of an entity; write digits, as in 1"),
        };
        self.refuse(part.content_offset(), reason)
    }

    /// Reads the parts of a mention up to its `]`, whose offset is returned.
    fn parts(&mut self, open: usize) -> Result<(Vec<Part>, usize), MarkupError> {
        let mut parts = Vec::new();
        let mut part = Part::at(open + 1);
        while let Some((offset, char)) = self.chars.next() {
            match char {
                '[' => {
                    let reason =
                        r"`[` in a mention; mentions cannot be nested, and `\[` is the character";
                    return self.refuse(offset, reason);
                }
                '|' => parts.push(std::mem::replace(&mut part, Part::at(offset + 1))),
                ']' => {
                    parts.push(part);
                    return Ok((parts, offset));
                }
                '\\' => part.text.push(self.escaped()?),
                char => part.text.push(char),
            }
        }
        self.refuse(open, r"the mention has no closing `]`; write `\[` for the character")
    }
}
