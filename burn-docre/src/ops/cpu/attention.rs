//! Attention within segments of rows.

use gemm::Parallelism;
use rayon::prelude::*;

use super::{
    dropout::dropout_part,
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

/// `dropout(softmax(scale * q k^T)) v` into `context [rows, d]`.
pub(crate) fn segment_attention(
    rows: &AttentionRows<'_>,
    attention: &SegmentAttention,
    context: &mut [f32],
) {
    let shape = Heads::new(rows, attention);
    let context = Output::new(context);
    shape.tasks().into_par_iter().for_each_init(Vec::new, |scores, task| {
        let [query, key, value] = shape.operands(rows, &task);
        let (n, w) = (task.segment.len, shape.head_width);
        attention_scores(scores, query, key, [n, w], attention.scale);
        shape.drop(scores, &task);
        let scores = Matrix::dense(scores, n);
        // SAFETY: the tasks' rows and columns are disjoint, since the segments hold each row once.
        unsafe { context.product(shape.query_place(&task), scores, value, [n, w, n], 1.0) };
    });
}

/// The gradients of [`segment_attention`], by `dV = (M ∘ P)^T dO`, `dP = M ∘ (dO V^T)`, `dS = P ∘ (dP − rowsum(P ∘ dP))`,
/// `dQ = scale dS K`, `dK = scale dS^T Q`, the probabilities `P` and dropout's factors `M` computed again.
pub(crate) fn segment_attention_backward(
    rows: &AttentionRows<'_>,
    grad: &[f32],
    attention: &SegmentAttention,
    d_query: &mut [f32],
    d_key_value: &mut [f32],
) {
    let shape = Heads::new(rows, attention);
    assert_eq!(grad.len(), rows.query.len());
    let (d_query, d_key_value) = (Output::new(d_query), Output::new(d_key_value));
    let scale = attention.scale as f32;
    let scratch = || (Vec::new(), Vec::new());
    shape.tasks().into_par_iter().for_each_init(scratch, |(scores, d_scores), task| {
        let [query, key, value] = shape.operands(rows, &task);
        let (n, w) = (task.segment.len, shape.head_width);
        let grad = shape.query_place(&task).of(grad);
        attention_scores(scores, query, key, [n, w], attention.scale);
        d_scores.clear();
        d_scores.resize(n * n, 0.0);
        let dense = Output::new(d_scores);
        // SAFETY: `d_scores` is this task's own.
        unsafe { dense.product(Place::dense(n), grad, value.transposed(), [n, n, w], 1.0) };
        shape.drop(d_scores, &task);
        for (probabilities, gradients) in scores.chunks_exact(n).zip(d_scores.chunks_exact_mut(n)) {
            let sum = dot(probabilities, gradients);
            gradients.iter_mut().zip(probabilities).for_each(|(g, p)| *g = p * (*g - sum));
        }
        shape.drop(scores, &task);
        let (scores, d_scores) = (Matrix::dense(scores, n), Matrix::dense(d_scores, n));
        let [key_place, value_place] = shape.key_value_places(&task);
        let transposed = d_scores.transposed();
        // SAFETY: the tasks' rows and columns are disjoint, since the segments hold each row once.
        unsafe {
            d_query.product(shape.query_place(&task), d_scores, key, [n, w, n], scale);
            d_key_value.product(key_place, transposed, query, [n, w, n], scale);
            d_key_value.product(value_place, scores.transposed(), grad, [n, w, n], 1.0);
        }
    });
}

/// `softmax(scale * q k^T)`, `[n, n]`.
fn attention_scores(
    scores: &mut Vec<f32>,
    query: Matrix<'_>,
    key: Matrix<'_>,
    [n, w]: [usize; 2],
    scale: f64,
) {
    scores.clear();
    scores.resize(n * n, 0.0);
    let dense = Output::new(scores);
    // SAFETY: `scores` is the caller's own.
    unsafe { dense.product(Place::dense(n), query, key.transposed(), [n, n, w], scale as f32) };
    softmax(scores, n);
}

/// One head of one segment.
#[derive(Clone, Copy)]
struct Task {
    number: u64,
    segment: Segment,
    head: usize,
}

/// Where heads lie in rows.
struct Heads<'a> {
    attention: &'a SegmentAttention,
    d: usize,
    head_width: usize,
}

impl<'a> Heads<'a> {
    fn new(rows: &AttentionRows<'_>, attention: &'a SegmentAttention) -> Self {
        let d = rows.query.len() / attention.segments.n_rows().max(1);
        assert_eq!(rows.query.len(), attention.segments.n_rows() * d);
        assert_eq!(rows.key_value.len(), 2 * rows.query.len());
        assert_eq!(d % attention.n_heads, 0);
        Self { attention, d, head_width: d / attention.n_heads }
    }

    fn tasks(&self) -> Vec<Task> {
        let heads = 0..self.attention.n_heads;
        let segments = self.attention.segments.iter().filter(|segment| segment.len > 0);
        let heads = segments.flat_map(|segment| heads.clone().map(move |head| (*segment, head)));
        (0..).zip(heads).map(|(number, (segment, head))| Task { number, segment, head }).collect()
    }

    /// Dropout of a task's probabilities or of their gradients.
    fn drop(&self, numbers: &mut [f32], task: &Task) {
        if let Some(mask) = &self.attention.dropout {
            dropout_part(numbers, mask, task.number);
        }
    }

    fn query_place(&self, task: &Task) -> Place {
        Place {
            start: task.segment.first * self.d + task.head * self.head_width,
            row_stride: task.segment.stride * self.d,
            column_stride: 1,
        }
    }

    fn key_value_places(&self, task: &Task) -> [Place; 2] {
        [0, self.d].map(|column| Place {
            start: task.segment.first * 2 * self.d + column + task.head * self.head_width,
            row_stride: task.segment.stride * 2 * self.d,
            column_stride: 1,
        })
    }

    /// Query, key and value of a task, `[len, head_width]` each.
    fn operands<'r>(&self, rows: &AttentionRows<'r>, task: &Task) -> [Matrix<'r>; 3] {
        let [key, value] = self.key_value_places(task);
        [self.query_place(task).of(rows.query), key.of(rows.key_value), value.of(rows.key_value)]
    }
}

/// Where a matrix lies in a slice.
#[derive(Clone, Copy)]
struct Place {
    start: usize,
    row_stride: usize,
    column_stride: usize,
}

impl Place {
    fn dense(n_columns: usize) -> Self {
        Self { start: 0, row_stride: n_columns, column_stride: 1 }
    }

    fn of(self, numbers: &[f32]) -> Matrix<'_> {
        Matrix { numbers, place: self }
    }

    /// Panics unless a matrix `[m, n]` lies within `len` numbers.
    fn check(self, m: usize, n: usize, len: usize) {
        assert!(m > 0 && n > 0);
        let last = self.start + (m - 1) * self.row_stride + (n - 1) * self.column_stride;
        assert!(last < len, "a matrix of {m} x {n} ends at {last} of {len}");
    }
}

/// A matrix in a slice.
#[derive(Clone, Copy)]
struct Matrix<'a> {
    numbers: &'a [f32],
    place: Place,
}

impl<'a> Matrix<'a> {
    fn dense(numbers: &'a [f32], n_columns: usize) -> Self {
        Place::dense(n_columns).of(numbers)
    }

    fn transposed(self) -> Self {
        let Place { start, row_stride, column_stride } = self.place;
        let place = Place { start, row_stride: column_stride, column_stride: row_stride };
        Self { place, ..self }
    }
}

/// A slice that several threads write to, each to elements of its own.
struct Output<'a> {
    numbers: *mut f32,
    len: usize,
    borrow: std::marker::PhantomData<&'a mut [f32]>,
}

// SAFETY: the only access is `product`, whose callers promise disjoint elements.
unsafe impl Sync for Output<'_> {}

impl<'a> Output<'a> {
    fn new(numbers: &'a mut [f32]) -> Self {
        let len = numbers.len();
        Self { numbers: numbers.as_mut_ptr(), len, borrow: std::marker::PhantomData }
    }

    /// `scale * lhs [m, k] rhs [k, n]` to `place`, in this thread.
    ///
    /// # Safety
    /// No other thread may touch the elements of `place` at the same time.
    unsafe fn product(
        &self,
        place: Place,
        lhs: Matrix<'_>,
        rhs: Matrix<'_>,
        [m, n, k]: [usize; 3],
        scale: f32,
    ) {
        place.check(m, n, self.len);
        lhs.place.check(m, k, lhs.numbers.len());
        rhs.place.check(k, n, rhs.numbers.len());
        // SAFETY: the checks above keep every access in its slice; the caller keeps others away from the output, and the
        // operands are borrowed as shared.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                self.numbers.add(place.start),
                place.column_stride as isize,
                place.row_stride as isize,
                false,
                lhs.numbers.as_ptr().add(lhs.place.start),
                lhs.place.column_stride as isize,
                lhs.place.row_stride as isize,
                rhs.numbers.as_ptr().add(rhs.place.start),
                rhs.place.column_stride as isize,
                rhs.place.row_stride as isize,
                0.0,
                scale,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
    }
}
