//! Tokens of a batch: the windows that the encoder reads.

use burn::tensor::{Int, Tensor, backend::Backend};

use super::{
    packing::{Packing, index_tensor, key_bias},
    windows::{EncoderInput, WindowPlan},
};
use crate::ops::{Segment, Segments};

/// The tokens of a batch of windows.
#[derive(Clone, Debug)]
pub struct TokenGrid<B: Backend> {
    /// The shape of the grid, `[windows, l]`; `l` is the length of the longest window.
    pub shape: [usize; 2],
    /// Token ids by row, `[rows]`.
    pub ids: Tensor<B, 1, Int>,
    /// Position ids by row, `[rows]`.
    pub positions: Tensor<B, 1, Int>,
    /// The mapping between rows and cells of the grid.
    pub packing: Packing<B>,
    /// The rows of each window.
    pub segments: Segments,
    /// The mask of keys in attention, `[windows, l]`: 0 at tokens, -1e30 at padding. `None` without
    /// padding.
    pub key_bias: Option<Tensor<B, 2>>,
}

impl<B: Backend> TokenGrid<B> {
    /// Cuts texts into windows for an encoder, without mentions or pairs.
    ///
    /// A text is a slice of token ids, with the special tokens at both ends.
    ///
    /// # Panics
    /// If a text has no token.
    pub fn new(texts: &[&[u32]], input: &EncoderInput, device: &B::Device) -> Self {
        let plan = WindowPlan::new(texts.iter().map(|ids| ids.len()), input.window_rule());
        Self::from_plan(texts, &plan, input, device)
    }

    pub(super) fn from_plan(
        texts: &[&[u32]],
        plan: &WindowPlan,
        input: &EncoderInput,
        device: &B::Device,
    ) -> Self {
        let shape = [plan.windows.len(), plan.longest_window];
        let mut ids = Vec::new();
        let mut positions = Vec::new();
        let mut is_real = vec![false; shape[0] * shape[1]];
        for (w, planned) in plan.windows.iter().enumerate() {
            let tokens = texts[planned.document];
            let opening = std::iter::repeat_n(tokens[0], planned.n_opening);
            let content = tokens[planned.window.content.clone()].iter().copied();
            let n_closing = planned.len - planned.content_positions().end;
            let closing = std::iter::repeat_n(tokens[tokens.len() - 1], n_closing);
            ids.extend(opening.chain(content).chain(closing).map(|id| id as i32));
            positions.extend((0..planned.len).map(|p| (p + input.position_offset) as i32));
            is_real[w * shape[1]..w * shape[1] + planned.len].fill(true);
        }
        let segment = |first, len| Segment { first, stride: 1, len };
        let segments = plan.windows.iter().map(|w| segment(w.first_row, w.len));
        Self {
            shape,
            ids: index_tensor(ids, device),
            positions: index_tensor(positions, device),
            packing: Packing::new(&is_real, device),
            segments: Segments::new(segments.collect()),
            key_bias: key_bias(&is_real, shape, device),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::TestBackend,
        batch::{
            packing::MASKED,
            testing::{INPUT, indices},
        },
    };

    fn grid(texts: &[&[u32]], input: EncoderInput) -> TokenGrid<TestBackend> {
        TokenGrid::new(texts, &input, &Default::default())
    }

    #[test]
    fn a_long_text_is_cut_into_windows_with_special_tokens() {
        let long: Vec<u32> = (10..21).collect();
        let grid = grid(&[&[1, 2, 3], &long], INPUT);
        assert_eq!(grid.shape, [3, 8]);
        let expected = [
            1, 2, 3, // the short text
            10, 11, 12, 13, 14, 15, 16, 20, // its first seven tokens and a closing token
            10, 14, 15, 16, 17, 18, 19, 20, // an opening token and its last seven tokens
        ];
        assert_eq!(indices(grid.ids), expected);
        let positions: Vec<i64> = (0..3).chain(0..8).chain(0..8).collect();
        assert_eq!(indices(grid.positions), positions);
        assert_eq!(grid.segments.n_rows(), 19);
        let bias: Vec<f32> = grid.key_bias.expect("padding").into_data().to_vec().unwrap();
        assert_eq!(bias[..8], [0.0, 0.0, 0.0, MASKED, MASKED, MASKED, MASKED, MASKED]);
        assert_eq!(bias[8..], [0.0; 16]);
    }

    #[test]
    fn position_ids_start_at_the_offset_and_a_cut_window_ends_with_every_closing_token() {
        let input = EncoderInput { position_offset: 2, n_window_end_tokens: 2, ..INPUT };
        let text: Vec<u32> = (10..20).collect();
        let grid = grid(&[&text], input);
        assert_eq!(grid.shape, [2, 8]);
        assert!(grid.key_bias.is_none());
        let ids = indices(grid.ids);
        assert_eq!(ids[..8], [10, 11, 12, 13, 14, 15, 19, 19]);
        assert_eq!(ids[8..], [10, 13, 14, 15, 16, 17, 18, 19]);
        assert_eq!(indices(grid.positions)[..3], [2, 3, 4]);
    }
}
