//! Overlapping windows merged into documents.

use burn::tensor::{Tensor, backend::Backend};

use crate::batch::{AppearanceMerge, DocumentIndex, MentionIndex, TokenGrid, WindowAppearances};

/// Added to the sum of a mention's merged attention before the division (authors' code).
const MERGE_EPSILON: f64 = 1e-10;

/// Arranges hidden states by document; a token of two windows takes the mean of both.
///
/// # Shapes
/// - `rows`: `[rows, d]` → `[b, l, d]`
pub fn document_hidden<B: Backend>(
    rows: Tensor<B, 2>,
    tokens: &TokenGrid<B>,
    documents: &DocumentIndex<B>,
) -> Tensor<B, 3> {
    let d = rows.dims()[1];
    let [b, l] = documents.shape;
    let grid = match &documents.merge {
        None => tokens.packing.to_grid(rows),
        Some(sources) => {
            let first = rows.clone().select(0, sources.first.clone());
            let second = rows.select(0, sources.second.clone());
            first.clone() + (second - first) * sources.second_weight.clone()
        }
    };
    grid.reshape([b, l, d])
}

/// Arranges the attention of each mention over its document.
///
/// In a document of several windows, the attention of a mention is summed over its one or two
/// windows, then divided by its sum over tokens. The division makes up for the dropped attention to
/// special tokens that the windows added.
///
/// # Shapes
/// - `attention`: `[windows, n_heads, l_window, l_window]`, with the longest window's length
/// - output: `[m, n_heads, l]`, with the longest document's length
pub fn mention_attention<B: Backend>(
    attention: Tensor<B, 4>,
    l: usize,
    index: &MentionIndex<B>,
) -> Tensor<B, 3> {
    let [windows, n_heads, l_window, _] = attention.dims();
    let rows = attention.reshape([windows * n_heads * l_window, l_window]);
    let rows = rows.select(0, index.attention_rows.clone());
    let n_appearances = rows.dims()[0] / n_heads;
    match &index.merge {
        None => rows.reshape([n_appearances, n_heads, l]),
        Some(merge) => merge_appearances(rows, n_heads, l, merge),
    }
}

/// Sums the attention of each mention's appearances and normalises it.
fn merge_appearances<B: Backend>(
    rows: Tensor<B, 2>,
    n_heads: usize,
    l: usize,
    merge: &AppearanceMerge<B>,
) -> Tensor<B, 3> {
    let placed = merge.windows.iter().map(|window| place(rows.clone(), n_heads, l, window));
    let placed = Tensor::cat(placed.collect(), 0);
    let n_appearances = placed.dims()[0] / n_heads;
    let placed = placed.reshape([n_appearances, n_heads * l]);
    let sources = &merge.sources;
    let sum = placed.clone().select(0, sources.first.clone())
        + placed.select(0, sources.second.clone()) * sources.second_weight.clone();

    let m = sum.dims()[0];
    let sum = sum.reshape([m, n_heads, l]);
    let is_windowed = merge.is_windowed.clone().reshape([m, 1, 1]);
    let total = sum.clone().sum_dim(2) + MERGE_EPSILON;
    // The divisor is the total for windowed documents and 1 for the others.
    let divisor = (total - 1.0) * is_windowed + 1.0;
    sum / divisor
}

/// Moves the attention of one window's appearances to the window's tokens in a document of `l`
/// tokens; it is 0 at all other tokens.
///
/// # Shapes
/// - `rows`: `[appearances * n_heads, l_window]`, of all windows
/// - output: `[appearances of the window * n_heads, l]`
fn place<B: Backend>(
    rows: Tensor<B, 2>,
    n_heads: usize,
    l: usize,
    window: &WindowAppearances,
) -> Tensor<B, 2> {
    let device = rows.device();
    let range = window.appearances.start * n_heads..window.appearances.end * n_heads;
    let n = range.len();
    let zeros = |n_tokens: usize| (n_tokens > 0).then(|| Tensor::zeros([n, n_tokens], &device));
    let before = zeros(window.document_start);
    let after = zeros(l - window.document_start - window.content.len());
    let content = rows.slice([range, window.content.clone()]);
    Tensor::cat([before, Some(content), after].into_iter().flatten().collect(), 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::TestBackend,
        batch::{DocReBatch, packing::float_tensor, testing},
    };

    /// A document of eleven tokens in two windows of eight: tokens 0 to 6 with a closing token, and
    /// 4 to 10 with an opening token.
    fn batch() -> DocReBatch<TestBackend> {
        let document = testing::document(11, &[&[1], &[5]]);
        DocReBatch::new(&[&document], testing::INPUT, &Default::default())
    }

    #[test]
    fn a_token_of_two_windows_has_the_mean_of_both() {
        let batch = batch();
        // Row i has the value i: window 0 has rows 0 to 7, window 1 rows 8 to 15.
        let rows = float_tensor((0..16).map(|i| i as f32).collect(), [16, 1], &Default::default());
        let hidden = document_hidden(rows, &batch.tokens, &batch.documents);
        // Token t is row t of window 0; token 4 + i is row 9 + i of window 1.
        let expected = [0.0, 1.0, 2.0, 3.0, 6.5, 7.5, 8.5, 12.0, 13.0, 14.0, 15.0];
        assert_eq!(hidden.into_data().to_vec::<f32>().unwrap(), expected);
    }

    #[test]
    fn the_attention_of_a_mention_in_two_windows_is_added_and_normalised() {
        let batch = batch();
        // One attention head. Rows of window 0 have 1/8 everywhere; rows of window 1 have 1/4 at
        // the first four positions.
        let mut attention = vec![0.125; 64];
        attention.extend((0..64).map(|i| if i % 8 < 4 { 0.25 } else { 0.0 }));
        let attention = float_tensor(attention, [2, 1, 8, 8], &Default::default());
        let merged = mention_attention(attention, 11, &batch.mentions);
        let values: Vec<f32> = merged.into_data().to_vec().unwrap();
        // Mention 0 appears in window 0 only: 1/8 at seven tokens, divided by 7/8.
        let alone = (0..11).map(|t| if t < 7 { 1.0 / 7.0 } else { 0.0 });
        // Mention 1 appears in both. Window 1 adds 1/4 at tokens 4, 5 and 6; the sum is 7/8 + 3/4.
        let both = (0..11).map(|t| match t {
            0..4 => 0.125 / 1.625,
            4..7 => 0.375 / 1.625,
            _ => 0.0,
        });
        for (t, (value, expected)) in values.iter().zip(alone.chain(both)).enumerate() {
            assert!((value - expected).abs() < 1e-6, "{t}: {value} and {expected}");
        }
    }
}
