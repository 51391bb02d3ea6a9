//! Documents longer than the encoder: overlapping windows.
//!
//! Two windows follow the authors' rule: the first holds the document's beginning, closed by the closing tokens, the
//! second the opening token and the document's end. Longer documents put evenly spaced windows in between. No token lies
//! in more than two windows.

use std::ops::Range;

/// One pass of the encoder over a part of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The document's tokens that this window holds.
    pub content: Range<usize>,
    /// Whether the opening token is put in front (windows that do not begin the document).
    pub opened: bool,
    /// Whether the closing tokens are put behind (windows that do not end the document).
    pub closed: bool,
}

/// How long windows are and what surrounds them.
#[derive(Clone, Copy, Debug)]
pub struct WindowRule {
    /// The longest window in tokens.
    pub max_tokens: usize,
    /// Tokens put in front of a window that does not begin the document.
    pub n_opening: usize,
    /// Tokens put behind a window that does not end the document.
    pub n_closing: usize,
}

/// The least share of a middle window that overlaps its neighbour, as a divisor.
const MIN_OVERLAP_DIVISOR: usize = 8;

impl WindowRule {
    /// The windows that cover a document of `n_tokens`, in order.
    pub fn windows(&self, n_tokens: usize) -> Vec<Window> {
        if n_tokens <= self.max_tokens {
            return vec![Window { content: 0..n_tokens, opened: false, closed: false }];
        }
        let first = self.max_tokens - self.n_closing;
        let last = self.max_tokens - self.n_opening;
        let mut windows = vec![Window { content: 0..first, opened: false, closed: true }];
        if first + last < n_tokens {
            windows.extend(self.middle_windows(n_tokens));
        }
        windows.push(Window { content: n_tokens - last..n_tokens, opened: true, closed: false });
        windows
    }

    /// Evenly spaced windows strictly between the first and the last.
    fn middle_windows(&self, n_tokens: usize) -> impl Iterator<Item = Window> {
        let width = self.max_tokens - self.n_opening - self.n_closing;
        let last_start = n_tokens - (self.max_tokens - self.n_opening);
        let max_stride = width - width / MIN_OVERLAP_DIVISOR;
        let n_strides = last_start.div_ceil(max_stride);
        (1..n_strides).map(move |i| {
            let start = i * last_start / n_strides;
            Window { content: start..start + width, opened: true, closed: true }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: WindowRule = WindowRule { max_tokens: 64, n_opening: 1, n_closing: 1 };

    #[test]
    fn a_document_that_fits_is_one_window() {
        assert_eq!(RULE.windows(64), [Window { content: 0..64, opened: false, closed: false }]);
    }

    #[test]
    fn two_windows_follow_the_authors_rule() {
        assert_eq!(
            RULE.windows(97),
            [
                Window { content: 0..63, opened: false, closed: true },
                Window { content: 34..97, opened: true, closed: false }
            ]
        );
    }

    #[test]
    fn every_token_lies_in_one_or_two_windows_and_no_window_is_too_long() {
        for rule in
            [RULE, WindowRule { n_closing: 2, ..RULE }, WindowRule { max_tokens: 9, ..RULE }]
        {
            for n_tokens in 1..700 {
                let windows = rule.windows(n_tokens);
                let mut covered = vec![0; n_tokens];
                for window in &windows {
                    let opening = if window.opened { rule.n_opening } else { 0 };
                    let closing = if window.closed { rule.n_closing } else { 0 };
                    assert!(window.content.len() + opening + closing <= rule.max_tokens);
                    window.content.clone().for_each(|token| covered[token] += 1);
                }
                assert!(
                    covered.iter().all(|n| (1..=2).contains(n)),
                    "{n_tokens} tokens, {windows:?}"
                );
            }
        }
    }
}
