//! Segments: packed rows that attend to each other.

use std::sync::Arc;

use super::dropout::DropoutMask;

/// The `len` rows `first`, `first + stride`, …, which attend to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The first row.
    pub first: usize,
    /// The distance between consecutive rows.
    pub stride: usize,
    /// The number of rows.
    pub len: usize,
}

impl Segment {
    /// Iterates over the rows of the segment.
    pub(super) fn rows(self) -> impl Iterator<Item = usize> {
        (0..self.len).map(move |i| self.first + i * self.stride)
    }
}

/// Segments that together contain each row exactly once. Clones share their memory.
#[derive(Clone, Debug)]
pub struct Segments {
    segments: Arc<[Segment]>,
    n_rows: usize,
}

impl Segments {
    /// Checks that the segments contain each row exactly once.
    ///
    /// The number of rows is the sum of the segments' lengths.
    ///
    /// # Panics
    /// If a row is in two segments, or is not below the number of rows.
    pub fn new(segments: Vec<Segment>) -> Self {
        let n_rows = segments.iter().map(|segment| segment.len).sum();
        let mut is_taken = vec![false; n_rows];
        for row in segments.iter().flat_map(|segment| segment.rows()) {
            let is_new = is_taken.get_mut(row).is_some_and(|taken| !std::mem::replace(taken, true));
            assert!(is_new, "row {row} of {n_rows} is in two segments or out of range");
        }
        Self { segments: segments.into(), n_rows }
    }

    /// The number of rows in all segments.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Iterates over the segments.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Segment> {
        self.segments.iter()
    }
}

/// The parameters of attention within segments.
#[derive(Clone, Debug)]
pub struct SegmentAttention {
    /// The segments of the rows.
    pub segments: Segments,
    /// The number of heads; divides the hidden size.
    pub n_heads: usize,
    /// The factor of the scores `q k^T`.
    pub scale: f64,
    /// The dropout mask of the attention probabilities.
    pub dropout: Option<DropoutMask>,
}

/// The layout in which a device computes attention fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionLayout {
    /// One small product for each segment and attention head, on the packed rows.
    Segments,
    /// Few large products on a grid of segments that are padded to the same length.
    PaddedGrid,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "row 1 of 4 is in two segments")]
    fn segments_that_share_a_row_are_refused() {
        let segment = |first, stride| Segment { first, stride, len: 2 };
        Segments::new(vec![segment(0, 1), segment(1, 2)]);
    }
}
