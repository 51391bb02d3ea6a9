//! Attention along lines of packed rows, without a padded grid.

use std::sync::Arc;

use burn::tensor::Tensor;

use super::{DocReBackend, unwrap, wrap};
use crate::nn::dropout::DropoutMask;

/// Rows that attend to each other: `first`, `first + stride`, ..., `len` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The first row.
    pub first: usize,
    /// The distance of one row to the next.
    pub stride: usize,
    /// How many rows.
    pub len: usize,
}

/// Lines that together hold each row once.
#[derive(Clone, Debug)]
pub struct Lines {
    lines: Arc<[Line]>,
    n_rows: usize,
}

impl Lines {
    /// Checks and shares the lines.
    ///
    /// # Panics
    /// If they do not hold each of the rows from 0 on exactly once.
    pub fn new(lines: Vec<Line>) -> Self {
        let n_rows = lines.iter().map(|line| line.len).sum();
        let mut is_held = vec![false; n_rows];
        for row in lines.iter().flat_map(|line| line.rows()) {
            let is_new = is_held.get_mut(row).is_some_and(|held| !std::mem::replace(held, true));
            assert!(is_new, "row {row} of {n_rows} is held twice or does not exist");
        }
        Self { lines: lines.into(), n_rows }
    }

    /// The rows of all lines.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// The lines.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Line> {
        self.lines.iter()
    }
}

impl Line {
    /// The line's rows.
    fn rows(self) -> impl Iterator<Item = usize> {
        (0..self.len).map(move |i| self.first + i * self.stride)
    }
}

/// How rows attend along lines.
#[derive(Clone, Debug)]
pub struct LineAttention {
    /// Which rows attend to each other.
    pub lines: Lines,
    /// Heads; divides the width.
    pub n_heads: usize,
    /// Factor of the scores.
    pub scale: f64,
    /// Applied to the probabilities.
    pub dropout: Option<DropoutMask>,
}

/// `dropout(softmax(scale * q k^T)) v` within each line and head, on a backend [with loops of its
/// own](DocReBackend::has_host_loops).
///
/// On a processor this saves the padding and every copy into and out of the grid: heads and lines are read where they
/// lie. A GPU is better served by few large products.
///
/// # Shapes
/// - `query`: `[rows, d]`; `key_value`: `[rows, 2 d]`, keys, then values
/// - output: `[rows, d]`
///
/// # Panics
/// On any other backend.
pub fn line_attention<B: DocReBackend>(
    query: Tensor<B, 2>,
    key_value: Tensor<B, 2>,
    attention: &LineAttention,
) -> Tensor<B, 2> {
    wrap(B::line_attention(unwrap(query), unwrap(key_value), attention))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "row 1 of 4 is held twice")]
    fn lines_that_share_a_row_are_refused() {
        let line = |first, stride| Line { first, stride, len: 2 };
        Lines::new(vec![line(0, 1), line(1, 2)]);
    }
}
