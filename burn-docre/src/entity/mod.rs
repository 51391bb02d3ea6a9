//! From tokens to entities: windows merged, mentions pooled, localized context.

use burn::tensor::{Tensor, backend::Backend};

use crate::{
    batch::{AppearanceMerge, DocReBatch, DocumentIndex, MentionIndex},
    encoder::{EncoderOutput, TokenGrid},
};

/// Added to the sum of a merged mention's attention before dividing by it (authors' code).
const MERGE_EPSILON: f64 = 1e-10;

/// A batch of documents as the heads see it.
pub struct DocumentEncoding<B: Backend> {
    /// Hidden states by document, `[b, l, d]`; padding is arbitrary but finite.
    pub hidden: Tensor<B, 3>,
    /// Entity embeddings by row, `[entities, d]`.
    pub entities: Tensor<B, 2>,
    /// Attention of each entity over the document, the mean over its mentions, `[b, e, n_heads, l]`; 0 at padding.
    pub entity_attention: Tensor<B, 4>,
}

impl<B: Backend> DocumentEncoding<B> {
    /// Pools the encoder's output.
    pub fn new(output: EncoderOutput<B>, batch: &DocReBatch<B>) -> Self {
        let hidden = document_hidden(output.hidden, &batch.tokens, &batch.documents);
        let [b, l, d] = hidden.dims();
        let mentions = hidden.clone().reshape([b * l, d]).select(0, batch.mentions.cell.clone());
        let mention_attention = mention_attention(output.attention, l, &batch.mentions);
        let [m, n_heads, _] = mention_attention.dims();
        let [_, e] = batch.pairs.shape;
        let entity_attention = batch
            .mentions
            .average
            .clone()
            .matmul(mention_attention.reshape([m, n_heads * l]))
            .reshape([b, e, n_heads, l]);
        Self { entities: entity_embeddings(mentions, &batch.mentions), hidden, entity_attention }
    }
}

/// Hidden states by document: the mean where two windows cover a token.
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
        Some(merge) => {
            let first = rows.clone().select(0, merge.first.clone());
            let second = rows.select(0, merge.second.clone());
            first.clone() + (second - first) * merge.second_weight.clone()
        }
    };
    grid.reshape([b, l, d])
}

/// Log-sum-exp pooling over the mentions of each entity (eq. 2 of KD-DocRE).
///
/// # Shapes
/// - `mentions`: `[m, d]` → `[entities, d]`
pub fn entity_embeddings<B: Backend>(
    mentions: Tensor<B, 2>,
    index: &MentionIndex<B>,
) -> Tensor<B, 2> {
    let d = mentions.dims()[1];
    let [entities, longest] = index.of_entity_bias.dims();
    let padded = mentions.select(0, index.of_entity.clone()).reshape([entities, longest, d])
        + index.of_entity_bias.clone().reshape([entities, longest, 1]);
    // log sum exp(x) = max + log sum exp(x - max); the maximum is a constant, its gradient cancels.
    let max = padded.clone().detach().max_dim(1);
    let sum = (padded - max.clone()).exp().sum_dim(1);
    (sum.log() + max).reshape([entities, d])
}

/// The attention of each mention over its document.
///
/// Where a document was read in several windows, the rows of both windows are added and divided by their sum, as what
/// a window paid to its added special tokens is lost.
///
/// # Shapes
/// - `attention`: `[windows, n_heads, w, w]` → `[m, n_heads, l]`
pub fn mention_attention<B: Backend>(
    attention: Tensor<B, 4>,
    l: usize,
    index: &MentionIndex<B>,
) -> Tensor<B, 3> {
    let [windows, n_heads, width, _] = attention.dims();
    let rows = attention
        .reshape([windows * n_heads * width, width])
        .select(0, index.attention_rows.clone());
    let n_appearances = rows.dims()[0] / n_heads;
    match &index.merge {
        None => rows.reshape([n_appearances, n_heads, l]),
        Some(merge) => merge_appearances(rows, n_heads, l, merge),
    }
}

fn merge_appearances<B: Backend>(
    rows: Tensor<B, 2>,
    n_heads: usize,
    l: usize,
    merge: &AppearanceMerge<B>,
) -> Tensor<B, 3> {
    let device = rows.device();
    let placed = merge.windows.iter().map(|window| {
        let range = window.appearances.start * n_heads..window.appearances.end * n_heads;
        let n = range.len();
        let content = rows.clone().slice([range, window.content.clone()]);
        let after = l - window.document_start - window.content.len();
        let zeros = |width| Tensor::zeros([n, width], &device);
        let parts = [(window.document_start, false), (0, true), (after, false)].into_iter();
        let parts = parts.filter_map(|(width, is_content)| match (width, is_content) {
            (_, true) => Some(content.clone()),
            (0, false) => None,
            (width, false) => Some(zeros(width)),
        });
        Tensor::cat(parts.collect(), 1)
    });
    let placed = Tensor::cat(placed.collect(), 0);
    let n_appearances = placed.dims()[0] / n_heads;
    let placed = placed.reshape([n_appearances, n_heads * l]);
    let sum = placed.clone().select(0, merge.first.clone())
        + placed.select(0, merge.second.clone()) * merge.second_weight.clone();

    let m = sum.dims()[0];
    let sum = sum.reshape([m, n_heads, l]);
    let is_windowed = merge.is_windowed.clone().reshape([m, 1, 1]);
    let total = sum.clone().sum_dim(2) + MERGE_EPSILON;
    // The divisor is the total for windowed documents and 1 for the others.
    let divisor = (total - 1.0) * is_windowed + 1.0;
    sum / divisor
}

/// Localized context: for each pair, what both entities attend to, by
/// `q = sum_h a_head ∘ a_tail`, `c = H^T q / (sum q + epsilon)`.
///
/// The authors' KD-DocRE sums over attention heads with `epsilon` 1e-10; ATLOP averages over them with 1e-5, which is
/// the same formula with `epsilon = n_heads * 1e-5`.
///
/// # Shapes
/// - output: `[b * e * e, d]`, the cells of the pair grid
pub fn localized_context<B: Backend>(encoding: &DocumentEncoding<B>, epsilon: f64) -> Tensor<B, 2> {
    let [b, l, d] = encoding.hidden.dims();
    let [_, e, _, _] = encoding.entity_attention.dims();
    let weights = pair_attention_weights(encoding.entity_attention.clone());
    let total = weights.clone().sum_dim(1).swap_dims(1, 2).reshape([b * e * e, 1]);
    let context = weights.swap_dims(1, 2).matmul(encoding.hidden.clone());
    debug_assert_eq!(context.dims(), [b, e * e, d], "from {l} tokens");
    context.reshape([b * e * e, d]) / (total + epsilon)
}

/// `q` of [`localized_context`], one small Gram matrix a token: no `[pairs, n_heads, l]` product is ever held.
///
/// # Shapes
/// - `entity_attention`: `[b, e, n_heads, l]` → `[b, l, e * e]`
pub fn pair_attention_weights<B: Backend>(entity_attention: Tensor<B, 4>) -> Tensor<B, 3> {
    let [b, e, n_heads, l] = entity_attention.dims();
    let by_token = entity_attention.permute([0, 3, 1, 2]).reshape([b * l, e, n_heads]);
    let gram = by_token.clone().matmul(by_token.swap_dims(1, 2));
    gram.reshape([b, l, e * e])
}
