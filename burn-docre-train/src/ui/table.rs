//! Tables for the terminal: columns of text are left-aligned, columns of numbers right-aligned.

use std::fmt;

use unicode_width::UnicodeWidthStr;

/// The space between two columns.
const GAP: usize = 2;

/// Rows of cells, aligned when the table is displayed.
#[derive(Clone, Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
    min_widths: Vec<usize>,
    n_text_columns: usize,
}

impl Default for Table {
    fn default() -> Self {
        Self { rows: Vec::new(), min_widths: Vec::new(), n_text_columns: 1 }
    }
}

impl Table {
    /// A table without rows, whose first column is text.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the minimum width of each column in cells of a terminal, including the gap before it.
    pub fn with_min_widths(mut self, widths: &[usize]) -> Self {
        self.min_widths = widths.to_vec();
        self
    }

    /// Sets the number of columns of text, before those of numbers.
    pub fn with_text_columns(mut self, n: usize) -> Self {
        self.n_text_columns = n;
        self
    }

    /// Appends a row. Rows may differ in length; an empty row is a blank line. Cells are shown as
    /// [`printable`] text.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| printable(&cell)).collect());
    }

    fn widths(&self) -> Vec<usize> {
        let n_columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let longest = cells.map(|cell| cell.width()).max().unwrap_or(0);
            let gap = if column == 0 { 0 } else { GAP };
            (longest + gap).max(self.min_widths.get(column).copied().unwrap_or(0))
        };
        (0..n_columns).map(width).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
                let gap = if column == 0 { 0 } else { GAP };
                let padding = width - gap - cell.width();
                if column < self.n_text_columns {
                    format!("{:gap$}{cell}{:padding$}", "", "")
                } else {
                    format!("{:gap$}{:padding$}{cell}", "", "")
                }
            });
            writeln!(f, "{}", cells.collect::<String>().trim_end())?;
        }
        Ok(())
    }
}

/// The text with a space for each control character. A name in a document can have line breaks,
/// and sequences that a terminal would execute.
pub fn printable(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let mut table = Table::new();
        table.row(["", "F1"].map(String::from));
        table.row(["teacher", "77.01"].map(String::from));
        table.row([]);
        assert_eq!(table.to_string(), "            F1\nteacher  77.01\n\n");
    }

    #[test]
    fn columns_of_text_are_left_aligned() {
        let mut table = Table::new().with_text_columns(2);
        table.row(["head", "tail", "score"].map(String::from));
        table.row(["a", "b", "1"].map(String::from));
        assert_eq!(table.to_string(), "head  tail  score\na     b         1\n");
    }

    #[test]
    fn columns_are_aligned_by_the_width_of_their_characters() {
        let mut table = Table::new().with_text_columns(2);
        table.row(["東京都", "country", "1"].map(String::from));
        table.row(["Kyoto", "日本", "0.25"].map(String::from));
        assert_eq!(table.to_string(), "東京都  country     1\nKyoto   日本     0.25\n");
    }

    #[test]
    fn a_cell_shows_no_control_characters() {
        let mut table = Table::new();
        table.row(["Marie\nCurie\u{1b}[2J", "1"].map(String::from));
        assert_eq!(table.to_string(), "Marie Curie [2J  1\n");
    }

    #[test]
    fn a_column_has_at_least_its_minimum_width() {
        let mut table = Table::new().with_min_widths(&[4, 6]);
        table.row(["a", "1"].map(String::from));
        assert_eq!(table.to_string(), "a        1\n");
    }
}
