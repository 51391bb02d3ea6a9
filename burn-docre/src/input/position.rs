//! Positions in a text.

/// The line and the column of a byte, both from 1. Columns count bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TextPosition {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl TextPosition {
    /// The position of the first byte.
    pub(crate) const START: Self = Self { line: 1, column: 1 };

    /// Moves behind `bytes`.
    pub(crate) fn advance(&mut self, bytes: &[u8]) {
        match bytes.iter().rposition(|&byte| byte == b'\n') {
            None => self.column += bytes.len(),
            Some(last) => {
                self.line += bytes.iter().filter(|&&byte| byte == b'\n').count();
                self.column = bytes.len() - last;
            }
        }
    }

    /// The position in a file of the position `self` in a part that begins at `start`.
    pub(crate) fn within(self, start: Self) -> Self {
        let column = if self.line == 1 { start.column + self.column - 1 } else { self.column };
        Self { line: start.line + self.line - 1, column }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str) -> TextPosition {
        let mut position = TextPosition::START;
        position.advance(text.as_bytes());
        position
    }

    #[test]
    fn a_position_counts_lines_and_the_bytes_of_the_last_line() {
        for (text, line, column) in [("", 1, 1), ("ab", 1, 3), ("ab\n", 2, 1), ("a\n\nbcd", 3, 4)] {
            assert_eq!(after(text), TextPosition { line, column }, "{text:?}");
        }
    }

    #[test]
    fn a_position_in_a_part_is_that_of_the_same_byte_in_the_whole() {
        let (before, part) = ("[1,\n  ", "{\"a\":\n  2}");
        for end in 0..=part.len() {
            let whole = after(&format!("{before}{}", &part[..end]));
            assert_eq!(after(&part[..end]).within(after(before)), whole, "{end}");
        }
    }
}
