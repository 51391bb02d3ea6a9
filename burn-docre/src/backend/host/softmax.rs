//! Softmax of a row, with an exponential that vectorises.

use rayon::prelude::*;

use super::PART;

/// Softmax of each row of `scores [n, rows, k]` in place, with the bias `[n, k]` added before.
pub(crate) fn masked_softmax(scores: &mut [f32], bias: Option<&[f32]>, [rows, k]: [usize; 2]) {
    let rows_per_part = (PART / k.max(1)).max(1);
    scores.par_chunks_mut((rows_per_part * k).max(1)).enumerate().for_each(|(part, scores)| {
        for (i, row) in scores.chunks_exact_mut(k).enumerate() {
            if let Some(bias) = bias {
                let n = (part * rows_per_part + i) / rows;
                row.iter_mut().zip(&bias[n * k..(n + 1) * k]).for_each(|(score, b)| *score += b);
            }
            softmax(row);
        }
    });
}

/// Softmax of one row in place.
pub(super) fn softmax(row: &mut [f32]) {
    let max = fold(row, f32::NEG_INFINITY, |a, b| if a > b { a } else { b });
    row.iter_mut().for_each(|value| *value = exp(*value - max));
    let scale = 1.0 / fold(row, 0.0, |a, b| a + b);
    row.iter_mut().for_each(|value| *value *= scale);
}

/// The sum of the products of two rows.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        lanes.iter_mut().zip(a.iter().zip(b)).for_each(|(lane, (a, b))| *lane += a * b);
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| a * b);
    lanes.into_iter().chain(rest).sum()
}

/// Numbers that are folded side by side; one after the other, each would wait for the one before.
const LANES: usize = 16;

/// Combines all numbers by an associative operation.
fn fold(numbers: &[f32], neutral: f32, operation: impl Fn(f32, f32) -> f32 + Copy) -> f32 {
    let mut lanes = [neutral; LANES];
    let (blocks, rest) = numbers.as_chunks::<LANES>();
    for block in blocks {
        lanes.iter_mut().zip(block).for_each(|(lane, x)| *lane = operation(*lane, *x));
    }
    lanes.into_iter().chain(rest.iter().copied()).fold(neutral, operation)
}

/// `e^x` for `x <= 0` to two units in the last place, written so that it vectorises: `2^n e^r` with `|r| <= ln 2 / 2`
/// and the Taylor polynomial of degree 7 for `e^r`.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    /// ln 2 in two parts, so that `x - n ln 2` is exact to single precision.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // e^-87 is the smallest power that is a normal number; smaller ones count as 0 beside the row's maximum of 1.
    let is_tiny = x < -87.0;
    let x = x.max(-87.0);
    let n = (x * std::f32::consts::LOG2_E).round_ties_even();
    let r = x - n * LN2_HIGH - n * LN2_LOW;
    let mut power = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        power = power * r + coefficient;
    }
    let scaled = power * f32::from_bits(((n as i32 + 127) << 23) as u32);
    if is_tiny { 0.0 } else { scaled }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_agrees_with_the_standard_library() {
        for i in 0..=87_000 {
            let x = -(i as f32) / 1000.0;
            let (ours, exact) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((ours - exact).abs() <= 2.5e-7 * exact, "e^{x}: {ours} against {exact}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-1e30), 0.0);
    }
}
