//! The localized context of mention pairs, computed in chunks of bounded size.

use std::{ops::Range, sync::Arc};

use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData, backend::Backend};

use super::primitive::{FloatTensor, add, concatenate, unwrap, wrap};

/// The most products of attention in a chunk. Each tensor of a chunk takes at most 16 MiB of f32,
/// or the size of one mention pair. Tests divide few mention pairs into several chunks.
const CHUNK_VALUES: usize = if cfg!(test) { 64 } else { 1 << 22 };

/// The number that is added to the sum over tokens against a division by 0.
const EPSILON: f64 = 1e-30;

/// The mention pairs of the documents of a batch. Clones share their memory.
#[derive(Clone, Debug)]
pub struct MentionPairRows(Arc<Rows>);

#[derive(Debug)]
struct Rows {
    /// The mention row of each mention pair's head, `[q]`.
    head: Vec<i32>,
    /// The mention row of each mention pair's tail, `[q]`.
    tail: Vec<i32>,
    /// The mention pairs of each document.
    of_document: Vec<Range<usize>>,
}

impl MentionPairRows {
    /// Creates the mention pairs of documents, given the mention rows of heads and tails.
    ///
    /// `of_document` has the range of each document's mention pairs, in order.
    ///
    /// # Panics
    /// If the lengths differ, or if the ranges do not follow each other from 0 to the length.
    pub fn new(head: Vec<i32>, tail: Vec<i32>, of_document: Vec<Range<usize>>) -> Self {
        assert_eq!(head.len(), tail.len(), "each mention pair has a head and a tail");
        let mut end = 0;
        for range in &of_document {
            assert!(range.start == end && range.end >= end, "{range:?} does not begin at {end}");
            end = range.end;
        }
        assert_eq!(end, head.len(), "each mention pair belongs to a document");
        Self(Arc::new(Rows { head, tail, of_document }))
    }

    /// The number of mention pairs.
    pub fn len(&self) -> usize {
        self.0.head.len()
    }

    /// The mention row of each mention pair's head, `[q]`.
    pub fn head(&self) -> &[i32] {
        &self.0.head
    }

    /// The mention row of each mention pair's tail, `[q]`.
    pub fn tail(&self) -> &[i32] {
        &self.0.tail
    }

    /// Reports whether there is no mention pair.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Divides the mention pairs of each document into chunks of at most `max_len`.
    fn chunks(&self, max_len: usize) -> impl Iterator<Item = Chunk> {
        self.0.of_document.iter().enumerate().flat_map(move |(document, range)| {
            range.clone().step_by(max_len).map(move |start| Chunk {
                document,
                range: start..(start + max_len).min(range.end),
            })
        })
    }
}

/// Consecutive mention pairs of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Chunk {
    document: usize,
    /// The range of mention pairs.
    range: Range<usize>,
}

/// The inputs of the context.
struct Inputs<B: Backend> {
    /// The attention of mentions, `[m, n_heads * l]`.
    attention: Tensor<B, 2>,
    n_heads: usize,
    l: usize,
    /// The values of tokens, `[b, l, r]`: hidden states, or their products with a weight.
    values: Tensor<B, 3>,
}

impl<B: Backend> Inputs<B> {
    fn new(attention: FloatTensor<B>, values: FloatTensor<B>) -> Self {
        let attention = wrap::<B, 3>(attention);
        let [m, n_heads, l] = attention.dims();
        Self {
            attention: attention.reshape([m, n_heads * l]),
            n_heads,
            l,
            values: wrap::<B, 3>(values),
        }
    }

    fn chunks(&self, pairs: &MentionPairRows) -> impl Iterator<Item = Chunk> {
        pairs.chunks((CHUNK_VALUES / (self.n_heads * self.l)).max(1))
    }

    /// The values of a document's tokens, `[l, r]`.
    fn values_of(&self, document: usize) -> Tensor<B, 2> {
        let [_, l, r] = self.values.dims();
        self.values.clone().slice([document..document + 1, 0..l, 0..r]).reshape([l, r])
    }

    /// The products of attention in a chunk.
    fn products(&self, pairs: &MentionPairRows, chunk: &Chunk) -> Products<B> {
        let device = self.attention.device();
        let rows = |rows: &[i32]| {
            let rows = rows[chunk.range.clone()].to_vec();
            Tensor::<B, 1, Int>::from_data(TensorData::new(rows, [chunk.range.len()]), &device)
        };
        let mentions = [rows(&pairs.0.head), rows(&pairs.0.tail)];
        let shape = [chunk.range.len(), self.n_heads, self.l];
        let attention =
            mentions.clone().map(|rows| self.attention.clone().select(0, rows).reshape(shape));
        let [head, tail] = attention.clone();
        let product = head * tail;
        let sum = product.clone().sum_dim(2);
        // Without shared attention all products are 0, and the factor 0 avoids infinite gradients.
        let is_shared = sum.clone().greater_elem(0.0).float();
        Products { mentions, attention, product, scale: is_shared / (sum + EPSILON) }
    }
}

/// The products `u = a_head ∘ a_tail` of both mentions' attention in a chunk of `n` mention pairs.
struct Products<B: Backend> {
    /// The mention rows of heads and of tails, `[n]`.
    mentions: [Tensor<B, 1, Int>; 2],
    /// The attention of heads and of tails, `[n, n_heads, l]`.
    attention: [Tensor<B, 3>; 2],
    /// `u`, `[n, n_heads, l]`.
    product: Tensor<B, 3>,
    /// `1 / (sum(u) + epsilon)`, or 0 without shared attention, `[n, n_heads, 1]`.
    scale: Tensor<B, 3>,
}

impl<B: Backend> Products<B> {
    /// The weights of tokens: normalised for each attention head, then summed, `[n, l]`.
    fn weights(&self) -> Tensor<B, 2> {
        let [n, _, l] = self.product.dims();
        (self.product.clone() * self.scale.clone()).sum_dim(1).reshape([n, l])
    }

    /// Adds the gradients of both mentions' attention to `sum [m, n_heads * l]`, given the
    /// gradient of the weights, `[n, l]`.
    fn add_gradients(self, d_weights: Tensor<B, 2>, mut sum: Tensor<B, 2>) -> Tensor<B, 2> {
        let Self { mentions, attention: [head, tail], product, scale } = self;
        let [n, n_heads, l] = product.dims();
        let d_weights = d_weights.reshape([n, 1, l]);
        let mean = (product * d_weights.clone()).sum_dim(2) * scale.clone();
        let d_product = (d_weights - mean) * scale;
        for (mention, other) in mentions.into_iter().zip([tail, head]) {
            let gradient = (d_product.clone() * other).reshape([n, n_heads * l]);
            sum = sum.select_assign(0, mention, gradient, IndexingUpdateOp::Add);
        }
        sum
    }
}

/// Computes [`DocReOps::mention_pair_context`](super::DocReOps::mention_pair_context).
pub(super) fn mention_pair_context<B: Backend>(
    attention: FloatTensor<B>,
    values: FloatTensor<B>,
    pairs: &MentionPairRows,
) -> FloatTensor<B> {
    let inputs = Inputs::<B>::new(attention, values);
    let contexts = inputs.chunks(pairs).map(|chunk| {
        let weights = inputs.products(pairs, &chunk).weights();
        weights.matmul(inputs.values_of(chunk.document))
    });
    unwrap(concatenate(contexts.collect()))
}

/// Computes the gradients of `attention` and `values`; see [`DocReOps`](super::DocReOps).
pub(super) fn mention_pair_context_backward<B: Backend>(
    attention: FloatTensor<B>,
    values: FloatTensor<B>,
    grad: FloatTensor<B>,
    pairs: &MentionPairRows,
) -> [FloatTensor<B>; 2] {
    let inputs = Inputs::<B>::new(attention, values);
    let grad = wrap::<B, 2>(grad);
    let [b, l, r] = inputs.values.dims();
    let [m, columns] = inputs.attention.dims();
    let mut d_attention = inputs.attention.zeros_like();
    let mut d_values = vec![None; b];
    for chunk in inputs.chunks(pairs) {
        let products = inputs.products(pairs, &chunk);
        let d_context = grad.clone().slice([chunk.range, 0..r]);
        let d_of_document = products.weights().transpose().matmul(d_context.clone());
        add(&mut d_values[chunk.document], d_of_document);
        let d_weights = d_context.matmul(inputs.values_of(chunk.document).transpose());
        d_attention = products.add_gradients(d_weights, d_attention);
    }
    let device = grad.device();
    let d_values = d_values.into_iter();
    let d_values = d_values.map(|sum| sum.unwrap_or_else(|| Tensor::zeros([l, r], &device)));
    let d_values = concatenate(d_values.collect());
    let n_heads = columns / l;
    [unwrap(d_attention.reshape([m, n_heads, l])), unwrap(d_values.reshape([b, l, r]))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_each_document_and_do_not_cross_documents() {
        let pairs = MentionPairRows::new(vec![0; 6], vec![1; 6], vec![0..5, 5..5, 5..6]);
        let chunks: Vec<_> = pairs.chunks(2).map(|chunk| (chunk.document, chunk.range)).collect();
        assert_eq!(chunks, [(0, 0..2), (0, 2..4), (0, 4..5), (2, 5..6)]);
    }

    #[test]
    #[should_panic(expected = "each mention pair belongs to a document")]
    fn a_mention_pair_without_a_document_is_refused() {
        MentionPairRows::new(vec![0; 2], vec![1; 2], vec![0..1, 1..1]);
    }
}
