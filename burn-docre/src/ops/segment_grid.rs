//! The reference body of attention within segments: ordinary operations on a padded grid.

use burn::tensor::{Int, Tensor, TensorData, TensorMetadata, backend::Backend};

use super::{
    primitive::{FloatTensor, unwrap, wrap},
    reference::{dropout_factors, masked_softmax},
    segments::{SegmentAttention, Segments},
};

/// The penalty on the scores of padding, which makes their probabilities exactly 0.
const PADDING_PENALTY: f64 = 1e30;

/// The correspondence between packed rows and the cells `[segments, len]` of a padded grid.
struct SegmentGrid<B: Backend> {
    /// The row of each cell; 0 for padding.
    row_of_cell: Tensor<B, 1, Int>,
    /// The cell of each row.
    cell_of_row: Tensor<B, 1, Int>,
    /// 1 for rows and 0 for padding, `[segments, 1, len, 1]`.
    is_row: Tensor<B, 4>,
    n_segments: usize,
    /// The length of the longest segment.
    len: usize,
    n_heads: usize,
}

impl<B: Backend> SegmentGrid<B> {
    fn new(attention: &SegmentAttention, device: &B::Device) -> Self {
        let segments = &attention.segments;
        let n_segments = segments.iter().len();
        let len = segments.iter().map(|segment| segment.len).max().unwrap_or(0);
        let Cells { row_of_cell, cell_of_row, is_row } = Cells::new(segments, len);
        let index = |indices: Vec<i32>| {
            let n = indices.len();
            Tensor::from_data(TensorData::new(indices, [n]), device)
        };
        Self {
            row_of_cell: index(row_of_cell),
            cell_of_row: index(cell_of_row),
            is_row: Tensor::from_data(TensorData::new(is_row, [n_segments, 1, len, 1]), device),
            n_segments,
            len,
            n_heads: attention.n_heads,
        }
    }

    /// Copies rows to the grid: `[rows, d]` → `[segments, n_heads, len, d / n_heads]`.
    ///
    /// Padding cells contain row 0.
    fn split(&self, rows: Tensor<B, 2>) -> Tensor<B, 4> {
        let head_dim = rows.dims()[1] / self.n_heads;
        let cells = rows.select(0, self.row_of_cell.clone());
        cells.reshape([self.n_segments, self.len, self.n_heads, head_dim]).swap_dims(1, 2)
    }

    /// Copies the grid to rows: `[segments, n_heads, len, d / n_heads]` → `[rows, d]`.
    fn merge(&self, grid: Tensor<B, 4>) -> Tensor<B, 2> {
        let d = self.n_heads * grid.dims()[3];
        let cells = grid.swap_dims(1, 2).reshape([self.n_segments * self.len, d]);
        cells.select(0, self.cell_of_row.clone())
    }

    /// Splits `[rows, 2 d]` into keys and values on the grid.
    fn split_key_value(&self, key_value: Tensor<B, 2>) -> [Tensor<B, 4>; 2] {
        let [n, n_columns] = key_value.dims();
        let d = n_columns / 2;
        [0..d, d..n_columns].map(|columns| self.split(key_value.clone().slice([0..n, columns])))
    }

    /// Computes `softmax(scale * q k^T)`, `[segments, n_heads, len, len]`.
    fn probabilities(&self, query: Tensor<B, 4>, key: Tensor<B, 4>, scale: f64) -> Tensor<B, 4> {
        let scores = query.matmul(key.swap_dims(2, 3)) * scale;
        let bias = (self.is_row.clone() - 1.0) * PADDING_PENALTY;
        let bias = bias.reshape([self.n_segments, self.len]);
        wrap(masked_softmax::<B>(unwrap(scores), Some(unwrap(bias))))
    }

    /// Draws the factors of dropout for the probabilities. Returns `None` without dropout.
    fn factors(&self, attention: &SegmentAttention, device: &B::Device) -> Option<Tensor<B, 4>> {
        let shape = [self.n_segments, self.n_heads, self.len, self.len];
        let mask = attention.dropout?;
        Some(wrap(dropout_factors::<B>(shape.into(), &mask, device)))
    }
}

/// The indices of a [`SegmentGrid`], on the processor.
struct Cells {
    row_of_cell: Vec<i32>,
    cell_of_row: Vec<i32>,
    is_row: Vec<f32>,
}

impl Cells {
    fn new(segments: &Segments, len: usize) -> Self {
        let n_cells = segments.iter().len() * len;
        let mut cells = Self {
            row_of_cell: vec![0; n_cells],
            cell_of_row: vec![0; segments.n_rows()],
            is_row: vec![0.0; n_cells],
        };
        for (i, segment) in segments.iter().enumerate() {
            for (cell, row) in (i * len..).zip(segment.rows()) {
                cells.row_of_cell[cell] = row as i32;
                cells.cell_of_row[row] = cell as i32;
                cells.is_row[cell] = 1.0;
            }
        }
        cells
    }
}

/// Multiplies by the factors of dropout, if there are any.
fn apply_factors<B: Backend>(values: Tensor<B, 4>, factors: &Option<Tensor<B, 4>>) -> Tensor<B, 4> {
    match factors {
        Some(factors) => values * factors.clone(),
        None => values,
    }
}

/// Computes `dropout(softmax(scale * q k^T)) v` within each segment and head.
pub fn segment_attention<B: Backend>(
    query: FloatTensor<B>,
    key_value: FloatTensor<B>,
    attention: &SegmentAttention,
) -> FloatTensor<B> {
    if query.shape().num_elements() == 0 {
        return query;
    }
    let (query, key_value) = (wrap::<B, 2>(query), wrap::<B, 2>(key_value));
    let device = query.device();
    let grid = SegmentGrid::<B>::new(attention, &device);
    let [key, value] = grid.split_key_value(key_value);
    let probabilities = grid.probabilities(grid.split(query), key, attention.scale);
    let applied = apply_factors(probabilities, &grid.factors(attention, &device));
    unwrap(grid.merge(applied.matmul(value)))
}

/// Computes the gradients of `query` and `key_value`.
///
/// With the probabilities `P`, the factors of dropout `M` and the output's gradient `dO`:
/// `dV = (M ∘ P)^T dO`, `dP = M ∘ (dO V^T)`, `dS = P ∘ (dP − rowsum(P ∘ dP))`,
/// `dQ = scale dS K`, `dK = scale dS^T Q`.
///
/// The backend's generator draws `M` again from the seed. `autodiff` does not rely on that: with
/// dropout, it lets Burn differentiate the forward pass of this file.
pub fn segment_attention_backward<B: Backend>(
    query: FloatTensor<B>,
    key_value: FloatTensor<B>,
    grad: FloatTensor<B>,
    attention: &SegmentAttention,
) -> [FloatTensor<B>; 2] {
    if query.shape().num_elements() == 0 {
        return [query, key_value];
    }
    let (query, key_value) = (wrap::<B, 2>(query), wrap::<B, 2>(key_value));
    let device = query.device();
    let grid = SegmentGrid::<B>::new(attention, &device);
    let query = grid.split(query);
    let [key, value] = grid.split_key_value(key_value);
    let grad = grid.split(wrap::<B, 2>(grad)) * grid.is_row.clone();
    let probabilities = grid.probabilities(query.clone(), key.clone(), attention.scale);
    let factors = grid.factors(attention, &device);

    let d_value =
        apply_factors(probabilities.clone(), &factors).swap_dims(2, 3).matmul(grad.clone());
    let d_probabilities = apply_factors(grad.matmul(value.swap_dims(2, 3)), &factors);
    let sum = (probabilities.clone() * d_probabilities.clone()).sum_dim(3);
    let d_scores = probabilities * (d_probabilities - sum);
    let d_query = d_scores.clone().matmul(key) * attention.scale;
    let d_key = d_scores.swap_dims(2, 3).matmul(query) * attention.scale;
    let d_key_value = Tensor::cat(vec![grid.merge(d_key), grid.merge(d_value)], 1);
    [unwrap(grid.merge(d_query)), unwrap(d_key_value)]
}
