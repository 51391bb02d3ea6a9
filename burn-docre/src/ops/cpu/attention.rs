//! Attention within segments of rows.

use std::marker::PhantomData;

use gemm::Parallelism;
use rayon::prelude::*;

use super::{
    dropout::dropout_part,
    parts::{NullaryFnOnce, vectorized},
    softmax::{dot, softmax},
};
use crate::ops::segments::{Segment, SegmentAttention};

/// Query rows `[rows, d]` and key-value rows `[rows, 2 d]`.
pub(crate) struct AttentionRows<'a> {
    /// The queries.
    pub(crate) query: &'a [f32],
    /// The keys, then the values.
    pub(crate) key_value: &'a [f32],
}

/// Computes `dropout(softmax(scale * q k^T)) v` into `context [rows, d]`.
pub(crate) fn segment_attention(
    rows: &AttentionRows<'_>,
    attention: &SegmentAttention,
    context: &mut [f32],
) {
    let heads = Heads::new(rows, attention);
    let context = HeadRows::new(context, heads.query());
    heads.tasks().into_par_iter().for_each_init(Vec::new, |scores, mut task| {
        let [query, key, value] = heads.operands(rows, &task);
        let n = task.segment.len;
        attention_scores(scores, query, key, attention.scale);
        heads.drop(scores, &task);
        context.write(&mut task, 0, Matrix::dense(scores, [n, n]), value, 1.0);
    });
}

/// Computes the gradients of [`segment_attention`] with respect to the query and key-value rows.
///
/// `P` are the probabilities and `M` the factors of dropout; both are computed again. `dO` is the
/// gradient of the output. Then `dV = (M ∘ P)^T dO`, `dP = M ∘ (dO V^T)`,
/// `dS = P ∘ (dP − rowsum(P ∘ dP))`, `dQ = scale dS K` and `dK = scale dS^T Q`.
pub(crate) fn segment_attention_backward(
    rows: &AttentionRows<'_>,
    grad: &[f32],
    attention: &SegmentAttention,
    d_query: &mut [f32],
    d_key_value: &mut [f32],
) {
    let heads = Heads::new(rows, attention);
    let d_query = HeadRows::new(d_query, heads.query());
    let d_key_value = HeadRows::new(d_key_value, heads.key_value());
    let scale = attention.scale as f32;
    let scratch = || (Vec::new(), Vec::new());
    heads.tasks().into_par_iter().for_each_init(scratch, |(scores, d_scores), mut task| {
        let [query, key, value] = heads.operands(rows, &task);
        let n = task.segment.len;
        let grad = heads.query().matrix(grad, &task, 0);
        attention_scores(scores, query, key, attention.scale);
        product_into(d_scores, grad, value.transposed(), 1.0);
        heads.drop(d_scores, &task);
        vectorized(ScoresBackward { probabilities: scores, gradients: d_scores, n });
        heads.drop(scores, &task);
        let [scores, d_scores] = [scores, d_scores].map(|s| Matrix::dense(s, [n, n]));
        d_query.write(&mut task, 0, d_scores, key, scale);
        d_key_value.write(&mut task, 0, d_scores.transposed(), query, scale);
        d_key_value.write(&mut task, heads.d, scores.transposed(), grad, 1.0);
    });
}

/// Computes `softmax(scale * q k^T)`, `[n, n]`.
fn attention_scores(scores: &mut Vec<f32>, query: Matrix<'_>, key: Matrix<'_>, scale: f64) {
    product_into(scores, query, key.transposed(), scale as f32);
    softmax(scores, query.shape[0]);
}

/// Replaces the gradients of probabilities, in rows of `n`, by those of the scores.
struct ScoresBackward<'a> {
    probabilities: &'a [f32],
    gradients: &'a mut [f32],
    n: usize,
}

impl NullaryFnOnce for ScoresBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { probabilities, gradients, n } = self;
        for (probabilities, gradients) in
            probabilities.chunks_exact(n).zip(gradients.chunks_exact_mut(n))
        {
            let sum = dot(probabilities, gradients);
            gradients.iter_mut().zip(probabilities).for_each(|(g, p)| *g = p * (*g - sum));
        }
    }
}

/// One head of one segment.
///
/// [`Heads::tasks`] creates one task for each head of each segment. Tasks cannot be cloned. So a
/// mutable borrow of a task is the only access to its head in the rows of its segment.
struct Task {
    number: u64,
    segment: Segment,
    head: usize,
}

/// The positions of segments and heads in rows.
struct Heads<'a> {
    attention: &'a SegmentAttention,
    d: usize,
    head_dim: usize,
}

impl<'a> Heads<'a> {
    fn new(rows: &AttentionRows<'_>, attention: &'a SegmentAttention) -> Self {
        let d = rows.query.len() / attention.segments.n_rows().max(1);
        assert_eq!(rows.query.len(), attention.segments.n_rows() * d);
        assert_eq!(rows.key_value.len(), 2 * rows.query.len());
        assert_eq!(d % attention.n_heads, 0);
        Self { attention, d, head_dim: d / attention.n_heads }
    }

    fn tasks(&self) -> Vec<Task> {
        let heads = 0..self.attention.n_heads;
        let segments = self.attention.segments.iter().filter(|segment| segment.len > 0);
        let heads = segments.flat_map(|segment| heads.clone().map(move |head| (*segment, head)));
        (0..).zip(heads).map(|(number, (segment, head))| Task { number, segment, head }).collect()
    }

    /// Applies dropout to a task's probabilities or to their gradients.
    fn drop(&self, values: &mut [f32], task: &Task) {
        if let Some(mask) = &self.attention.dropout {
            dropout_part(values, mask, task.number);
        }
    }

    /// The layout of query rows.
    fn query(&self) -> RowLayout {
        RowLayout { row_len: self.d, head_dim: self.head_dim }
    }

    /// The layout of key-value rows.
    fn key_value(&self) -> RowLayout {
        RowLayout { row_len: 2 * self.d, head_dim: self.head_dim }
    }

    /// Query, key and value of a task, `[len, head_dim]` each.
    fn operands<'r>(&self, rows: &AttentionRows<'r>, task: &Task) -> [Matrix<'r>; 3] {
        let [query, key_value] = [self.query(), self.key_value()];
        [
            query.matrix(rows.query, task, 0),
            key_value.matrix(rows.key_value, task, 0),
            key_value.matrix(rows.key_value, task, self.d),
        ]
    }
}

/// The layout of rows that consist of heads.
#[derive(Clone, Copy)]
struct RowLayout {
    row_len: usize,
    head_dim: usize,
}

impl RowLayout {
    /// The index of the first value of a task's head. The heads start at `column` of each row.
    fn start(self, task: &Task, column: usize) -> usize {
        task.segment.first * self.row_len + column + task.head * self.head_dim
    }

    fn strides(self, task: &Task) -> [usize; 2] {
        [task.segment.stride * self.row_len, 1]
    }

    /// The matrix of a task's head, `[len, head_dim]`. The heads start at `column` of each row.
    fn matrix<'a>(self, rows: &'a [f32], task: &Task, column: usize) -> Matrix<'a> {
        let shape = [task.segment.len, self.head_dim];
        Matrix::new(&rows[self.start(task, column)..], shape, self.strides(task))
    }
}

/// A matrix in a slice.
#[derive(Clone, Copy)]
struct Matrix<'a> {
    values: &'a [f32],
    shape: [usize; 2],
    strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// Creates a matrix.
    ///
    /// # Panics
    /// If the matrix is empty or exceeds the slice.
    fn new(values: &'a [f32], shape: [usize; 2], strides: [usize; 2]) -> Self {
        assert!(n_spanned(shape, strides) <= values.len(), "{shape:?} outside the slice");
        Self { values, shape, strides }
    }

    fn dense(values: &'a [f32], shape: [usize; 2]) -> Self {
        Self::new(values, shape, [shape[1], 1])
    }

    fn transposed(self) -> Self {
        let ([m, n], [row, column]) = (self.shape, self.strides);
        Self { shape: [n, m], strides: [column, row], ..self }
    }
}

/// The number of values from the first to the last of a matrix.
///
/// # Panics
/// If the matrix is empty.
fn n_spanned([m, n]: [usize; 2], [row_stride, column_stride]: [usize; 2]) -> usize {
    assert!(m > 0 && n > 0, "an empty matrix");
    (m - 1) * row_stride + (n - 1) * column_stride + 1
}

/// Rows of heads for writing by several threads. Each thread writes the heads of its own tasks.
struct HeadRows<'a> {
    values: *mut f32,
    len: usize,
    layout: RowLayout,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: `write` is the only access. It writes only to the rows and columns of a task that is
// borrowed mutably. These are disjoint between tasks, since each row is in one segment.
unsafe impl Sync for HeadRows<'_> {}

impl<'a> HeadRows<'a> {
    fn new(rows: &'a mut [f32], layout: RowLayout) -> Self {
        Self { values: rows.as_mut_ptr(), len: rows.len(), layout, borrow: PhantomData }
    }

    /// Writes `scale * lhs rhs` to the task's head. The heads start at `column` of each row.
    fn write(&self, task: &mut Task, column: usize, lhs: Matrix<'_>, rhs: Matrix<'_>, scale: f32) {
        let (start, strides) = (self.layout.start(task, column), self.layout.strides(task));
        let shape = [lhs.shape[0], rhs.shape[1]];
        assert_eq!(shape, [task.segment.len, self.layout.head_dim]);
        assert!(start + n_spanned(shape, strides) <= self.len);
        // SAFETY: by the assertions, the output is inside the rows and inside the task's head of
        // its segment. No other thread accesses these values while the task is borrowed.
        unsafe { product(self.values.add(start), strides, lhs, rhs, scale) };
    }
}

/// Computes `scale * lhs rhs` into `output`, in row-major order.
fn product_into(output: &mut Vec<f32>, lhs: Matrix<'_>, rhs: Matrix<'_>, scale: f32) {
    let [m, n] = [lhs.shape[0], rhs.shape[1]];
    output.clear();
    output.resize(m * n, 0.0);
    // SAFETY: the output has `m * n` values and is borrowed mutably.
    unsafe { product(output.as_mut_ptr(), [n, 1], lhs, rhs, scale) };
}

/// Computes `scale * lhs [m, k] rhs [k, n]` in this thread.
///
/// # Safety
/// `output` must point to a matrix `[m, n]` of these strides. No other code may access it during
/// the call.
unsafe fn product(
    output: *mut f32,
    output_strides: [usize; 2],
    lhs: Matrix<'_>,
    rhs: Matrix<'_>,
    scale: f32,
) {
    let ([m, k], [k_rhs, n]) = (lhs.shape, rhs.shape);
    assert_eq!(k, k_rhs);
    let [row_stride, column_stride] = output_strides.map(|stride| stride as isize);
    let [lhs_row, lhs_column] = lhs.strides.map(|stride| stride as isize);
    let [rhs_row, rhs_column] = rhs.strides.map(|stride| stride as isize);
    // SAFETY: `Matrix::new` checks that both operands are inside their slices. The caller
    // guarantees the output.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            output,
            column_stride,
            row_stride,
            false,
            lhs.values.as_ptr(),
            lhs_column,
            lhs_row,
            rhs.values.as_ptr(),
            rhs_column,
            rhs_row,
            0.0,
            scale,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
