//! Tables for the terminal: the first column is left-aligned, the others are right-aligned.

use std::fmt;

/// The space between two columns.
const GAP: usize = 2;

/// Rows of cells, aligned when the table is displayed.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
    min_widths: Vec<usize>,
}

impl Table {
    /// A table without rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the minimum width of each column in characters, including the gap before it.
    pub fn with_min_widths(mut self, widths: &[usize]) -> Self {
        self.min_widths = widths.to_vec();
        self
    }

    /// Appends a row. Rows may differ in length; an empty row is a blank line.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    fn widths(&self) -> Vec<usize> {
        let n_columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let longest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
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
                if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            writeln!(f, "{}", cells.collect::<String>().trim_end())?;
        }
        Ok(())
    }
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
    fn a_column_has_at_least_its_minimum_width() {
        let mut table = Table::new().with_min_widths(&[4, 6]);
        table.row(["a", "1"].map(String::from));
        assert_eq!(table.to_string(), "a        1\n");
    }
}
