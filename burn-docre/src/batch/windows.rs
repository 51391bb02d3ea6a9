//! Overlapping windows for documents that are longer than the encoder's input.
//!
//! The authors' code reads a long document in two windows. The first window is the beginning of the
//! document with closing tokens (`[SEP]`, `</s></s>`) behind it. The second is the end of the
//! document with an opening token (`[CLS]`, `<s>`) in front. Documents too long for two windows get
//! evenly spaced windows in between. No token lies in more than two windows.

use std::ops::Range;

/// A part of a document that the encoder reads at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The range of the document's tokens in this window.
    pub content: Range<usize>,
    /// True if opening tokens are put in front: in every window but the document's first.
    pub opened: bool,
    /// True if closing tokens are put behind: in every window but the document's last.
    pub closed: bool,
}

/// The length of windows and the number of their special tokens.
#[derive(Clone, Copy, Debug)]
pub struct WindowRule {
    /// The length of the longest window in tokens, special tokens included.
    pub max_tokens: usize,
    /// Tokens put in front of a window that does not begin the document.
    pub n_opening: usize,
    /// Tokens put behind a window that does not end the document.
    pub n_closing: usize,
}

/// The minimum overlap of neighbouring windows: a middle window's content divided by this number.
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

    /// The length of a window in tokens, special tokens included.
    pub fn length(&self, window: &Window) -> usize {
        let n_opening = if window.opened { self.n_opening } else { 0 };
        let n_closing = if window.closed { self.n_closing } else { 0 };
        window.content.len() + n_opening + n_closing
    }

    /// Evenly spaced windows between the first and the last, without these two.
    fn middle_windows(&self, n_tokens: usize) -> impl Iterator<Item = Window> {
        let n_content = self.max_tokens - self.n_opening - self.n_closing;
        let last_start = n_tokens - (self.max_tokens - self.n_opening);
        let max_stride = n_content - n_content / MIN_OVERLAP_DIVISOR;
        let n_strides = last_start.div_ceil(max_stride);
        (1..n_strides).map(move |i| {
            let start = i * last_start / n_strides;
            Window { content: start..start + n_content, opened: true, closed: true }
        })
    }
}

/// The properties of an encoder that determine the layout of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderInput {
    /// The length of the longest window in tokens, special tokens included.
    pub max_tokens: usize,
    /// The position id of a window's first token.
    pub position_offset: usize,
    /// The number of closing tokens that end a window inside a document.
    pub n_window_end_tokens: usize,
    /// The number of attention heads.
    pub n_heads: usize,
}

impl EncoderInput {
    /// The rule that cuts long documents into windows.
    pub fn window_rule(&self) -> WindowRule {
        WindowRule {
            max_tokens: self.max_tokens,
            // Reading a model directory fails unless its tokenizer puts exactly one token in front
            // of a document and at least one behind it.
            n_opening: 1,
            n_closing: self.n_window_end_tokens,
        }
    }
}

/// The windows of all documents of a batch.
pub(super) struct WindowPlan {
    /// The windows, document by document.
    pub(super) windows: Vec<PlannedWindow>,
    /// The length of the longest window.
    pub(super) longest_window: usize,
    /// The length of the longest document.
    pub(super) longest_document: usize,
    /// True if any document has several windows.
    pub(super) is_windowed: bool,
}

/// A window with its document and its rows in the batch.
pub(super) struct PlannedWindow {
    /// The index of the document.
    pub(super) document: usize,
    /// The window of that document.
    pub(super) window: Window,
    /// Number of tokens put in front of the content.
    pub(super) n_opening: usize,
    /// Number of tokens in all.
    pub(super) len: usize,
    /// The packed row of the first token.
    pub(super) first_row: usize,
}

impl PlannedWindow {
    /// The position in this window of the token with index `token` in the document.
    pub(super) fn position(&self, token: usize) -> usize {
        token - self.window.content.start + self.n_opening
    }

    /// The positions of the content in this window, without the special tokens put around it.
    pub(super) fn content_positions(&self) -> Range<usize> {
        self.n_opening..self.n_opening + self.window.content.len()
    }
}

impl WindowPlan {
    /// Plans the windows of documents; `lengths` are their lengths in tokens.
    ///
    /// # Panics
    /// If a document has no token.
    pub(super) fn new(lengths: impl IntoIterator<Item = usize>, rule: WindowRule) -> Self {
        let mut plan = Self {
            windows: Vec::new(),
            longest_window: 0,
            longest_document: 0,
            is_windowed: false,
        };
        let mut first_row = 0;
        for (document, n_tokens) in lengths.into_iter().enumerate() {
            assert!(
                n_tokens > 0,
                "document {document} has no token; it needs at least its special tokens"
            );
            let windows = rule.windows(n_tokens);
            plan.is_windowed |= windows.len() > 1;
            plan.longest_document = plan.longest_document.max(n_tokens);
            for window in windows {
                let n_opening = if window.opened { rule.n_opening } else { 0 };
                let n_closing = if window.closed { rule.n_closing } else { 0 };
                let len = n_opening + window.content.len() + n_closing;
                plan.windows.push(PlannedWindow { document, window, n_opening, len, first_row });
                plan.longest_window = plan.longest_window.max(len);
                first_row += len;
            }
        }
        plan
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
    fn planned_windows_are_packed_one_after_the_other() {
        let rule = WindowRule { max_tokens: 8, ..RULE };
        let plan = WindowPlan::new([5, 11], rule);
        let places: Vec<_> =
            plan.windows.iter().map(|w| (w.document, w.n_opening, w.len, w.first_row)).collect();
        assert_eq!(places, [(0, 0, 5, 0), (1, 0, 8, 5), (1, 1, 8, 13)]);
        assert_eq!((plan.longest_window, plan.longest_document, plan.is_windowed), (8, 11, true));
        // The last window holds tokens 4 to 10 behind its opening token.
        assert_eq!(plan.windows[2].position(4), 1);
        assert_eq!(plan.windows[2].content_positions(), 1..8);
        assert!(!WindowPlan::new([5, 8], rule).is_windowed);
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
