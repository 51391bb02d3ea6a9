//! The gradients of layer normalisation.

use rayon::prelude::*;

use super::{
    parts::{NullaryFnOnce, PART, vectorized},
    softmax::{dot, sum},
};

/// Computes the gradients of layer normalisation.
///
/// Replaces `grad`, the gradient of the output, by the gradient of the input. Returns the gradients
/// of gamma and beta.
///
/// The formulas are in `ops/autodiff.rs`.
///
/// # Shapes
/// - `input`, `grad`: `[rows, d]`; `gamma`: `[d]`
pub(crate) fn layer_norm_backward(
    input: &[f32],
    gamma: &[f32],
    epsilon: f32,
    grad: &mut [f32],
) -> [Vec<f32>; 2] {
    let d = gamma.len();
    assert!(input.len() == grad.len() && input.len().is_multiple_of(d));
    let part = (PART / d).max(1) * d;
    let parts = grad.par_chunks_mut(part).zip(input.par_chunks(part));
    let sums: Vec<[Vec<f32>; 2]> = parts
        .map(|(grad, input)| {
            let row = Row { gamma, epsilon, normalized: vec![0.0; d] };
            let mut sums = [vec![0.0; d], vec![0.0; d]];
            vectorized(Rows { row, input, grad, sums: &mut sums });
            sums
        })
        .collect();
    let mut total = [vec![0.0; d], vec![0.0; d]];
    for part in sums {
        total.iter_mut().zip(part).for_each(|(total, part)| add(total, part.into_iter()));
    }
    total
}

/// Rows of the input and of the gradient, and the sums for gamma and beta.
struct Rows<'a> {
    row: Row<'a>,
    input: &'a [f32],
    grad: &'a mut [f32],
    sums: &'a mut [Vec<f32>; 2],
}

impl NullaryFnOnce for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { mut row, input, grad, sums } = self;
        let d = row.gamma.len();
        for (grad, input) in grad.chunks_exact_mut(d).zip(input.chunks_exact(d)) {
            row.backward(input, grad, sums);
        }
    }
}

#[inline(always)]
fn add(sums: &mut [f32], values: impl Iterator<Item = f32>) {
    sums.iter_mut().zip(values).for_each(|(sum, x)| *sum += x);
}

struct Row<'a> {
    gamma: &'a [f32],
    epsilon: f32,
    /// The normalised row, with mean 0 and variance 1.
    normalized: Vec<f32>,
}

impl Row<'_> {
    /// Replaces the gradient of an output row by that of the input row, and adds to both sums.
    #[inline(always)]
    fn backward(&mut self, input: &[f32], grad: &mut [f32], [d_gamma, d_beta]: &mut [Vec<f32>; 2]) {
        let n = input.len() as f32;
        let mean = sum(input) / n;
        let normalized = &mut self.normalized[..];
        normalized.iter_mut().zip(input).for_each(|(x, input)| *x = input - mean);
        let inverse_std = 1.0 / (dot(normalized, normalized) / n + self.epsilon).sqrt();
        normalized.iter_mut().for_each(|x| *x *= inverse_std);
        add(d_gamma, grad.iter().zip(&*normalized).map(|(g, x)| g * x));
        add(d_beta, grad.iter().copied());
        grad.iter_mut().zip(self.gamma).for_each(|(g, gamma)| *g *= gamma);
        let (mean, projection) = (sum(grad) / n, dot(grad, normalized) / n);
        for (g, x) in grad.iter_mut().zip(normalized) {
            *g = (*g - *x * projection - mean) * inverse_std;
        }
    }
}
