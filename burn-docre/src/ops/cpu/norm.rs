//! The gradients of layer normalisation.

use rayon::prelude::*;

use super::{
    parts::{PART, vectorized},
    softmax::{dot, sum},
};

/// Computes the gradients of the input, into `d_input`, and of gamma and beta, which are returned.
///
/// The formulas are in `ops/autodiff.rs`.
///
/// # Shapes
/// - `input`, `grad` (of the output), `d_input`: `[rows, d]`; `gamma`: `[d]`
pub(crate) fn layer_norm_backward(
    input: &[f32],
    gamma: &[f32],
    grad: &[f32],
    epsilon: f32,
    d_input: &mut [f32],
) -> [Vec<f32>; 2] {
    let d = gamma.len();
    assert!(
        input.len() == grad.len() && input.len() == d_input.len() && input.len().is_multiple_of(d)
    );
    let part = (PART / d).max(1) * d;
    let parts = d_input.par_chunks_mut(part).zip(input.par_chunks(part).zip(grad.par_chunks(part)));
    let sums: Vec<[Vec<f32>; 2]> = parts
        .map(|(d_input, (input, grad))| {
            let mut row = Row { gamma, epsilon, normalized: vec![0.0; d] };
            let mut sums = [vec![0.0; d], vec![0.0; d]];
            let rows = input.chunks_exact(d).zip(grad.chunks_exact(d));
            vectorized(|| {
                for (d_input, (input, grad)) in d_input.chunks_exact_mut(d).zip(rows) {
                    row.backward(input, grad, d_input);
                    let [d_gamma, d_beta] = &mut sums;
                    add(d_gamma, grad.iter().zip(&row.normalized).map(|(g, x)| g * x));
                    add(d_beta, grad.iter().copied());
                }
            });
            sums
        })
        .collect();
    let mut total = [vec![0.0; d], vec![0.0; d]];
    for part in sums {
        total.iter_mut().zip(part).for_each(|(total, part)| add(total, part.into_iter()));
    }
    total
}

#[inline(always)]
fn add(sums: &mut [f32], values: impl Iterator<Item = f32>) {
    sums.iter_mut().zip(values).for_each(|(sum, x)| *sum += x);
}

struct Row<'a> {
    gamma: &'a [f32],
    epsilon: f32,
    /// The row with mean 0 and variance 1.
    normalized: Vec<f32>,
}

impl Row<'_> {
    #[inline(always)]
    fn backward(&mut self, input: &[f32], grad: &[f32], d_input: &mut [f32]) {
        let n = input.len() as f32;
        let mean = sum(input) / n;
        let normalized = &mut self.normalized;
        normalized.iter_mut().zip(input).for_each(|(x, input)| *x = input - mean);
        let inverse_std = 1.0 / (dot(normalized, normalized) / n + self.epsilon).sqrt();
        normalized.iter_mut().for_each(|x| *x *= inverse_std);
        let scaled = grad.iter().zip(self.gamma).map(|(g, gamma)| g * gamma);
        d_input.iter_mut().zip(scaled).for_each(|(d, scaled)| *d = scaled);
        let (mean, projection) = (sum(d_input) / n, dot(d_input, normalized) / n);
        for (d, x) in d_input.iter_mut().zip(normalized) {
            *d = (*d - *x * projection - mean) * inverse_std;
        }
    }
}
