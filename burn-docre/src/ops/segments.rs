//! Segments of packed rows, whose rows attend to each other.

use std::sync::Arc;

use super::dropout::DropoutMask;

/// Rows that attend to each other: `first`, `first + stride`, …, `len` of them.
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

/// Segments that together hold each row once. Clones share them.
#[derive(Clone, Debug)]
pub struct Segments {
    segments: Arc<[Segment]>,
    n_rows: usize,
}

impl Segments {
    /// Checks segments.
    ///
    /// # Panics
    /// If they do not hold each of the rows from 0 on exactly once.
    pub fn new(segments: Vec<Segment>) -> Self {
        let n_rows = segments.iter().map(|segment| segment.len).sum();
        let mut is_held = vec![false; n_rows];
        for row in segments.iter().flat_map(|segment| segment.rows()) {
            let is_new = is_held.get_mut(row).is_some_and(|held| !std::mem::replace(held, true));
            assert!(is_new, "row {row} of {n_rows} is held twice or does not exist");
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
    /// The rows that attend to each other.
    pub segments: Segments,
    /// The number of heads; divides the hidden size.
    pub n_heads: usize,
    /// The factor of the scores.
    pub scale: f64,
    /// Dropout of the probabilities.
    pub dropout: Option<DropoutMask>,
}

/// The layout in which a device computes attention fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionLayout {
    /// One small product per segment and head, on the packed rows as they are.
    Segments,
    /// Few large products on a grid of segments, all padded to the same length.
    PaddedGrid,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "row 1 of 4 is held twice")]
    fn segments_that_share_a_row_are_refused() {
        let segment = |first, stride| Segment { first, stride, len: 2 };
        Segments::new(vec![segment(0, 1), segment(1, 2)]);
    }
}
