//! Softmax of rows, with an exponential that the compiler vectorises.

use rayon::prelude::*;

use super::parts::{NullaryFnOnce, PART, vectorized};

/// Adds the bias `[n, k]` to `scores [n, rows, k]` and computes the softmax of each row, in place.
pub(crate) fn masked_softmax(scores: &mut [f32], bias: Option<&[f32]>, [rows, k]: [usize; 2]) {
    let rows_per_part = (PART / k.max(1)).max(1);
    scores.par_chunks_mut((rows_per_part * k).max(1)).enumerate().for_each(|(part, scores)| {
        if let Some(bias) = bias {
            for (i, row) in scores.chunks_exact_mut(k).enumerate() {
                let n = (part * rows_per_part + i) / rows;
                vectorized(AddBias { row, bias: &bias[n * k..(n + 1) * k] });
            }
        }
        softmax(scores, k);
    });
}

/// The sum of a row of scores and the bias.
struct AddBias<'a> {
    row: &'a mut [f32],
    bias: &'a [f32],
}

impl NullaryFnOnce for AddBias<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { row, bias } = self;
        row.iter_mut().zip(bias).for_each(|(score, bias)| *score += bias);
    }
}

/// Computes the softmax of each row of `k` values in place, in this thread.
pub(super) fn softmax(rows: &mut [f32], k: usize) {
    vectorized(Softmax { rows, k });
}

/// The softmax of rows of `k` values.
struct Softmax<'a> {
    rows: &'a mut [f32],
    k: usize,
}

impl NullaryFnOnce for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { rows, k } = self;
        for row in rows.chunks_exact_mut(k) {
            let max = fold(row, f32::NEG_INFINITY, |a, b| if a > b { a } else { b });
            row.iter_mut().for_each(|value| *value -= max);
        }
        // One loop covers all rows. A loop for each row would compute the values after its last
        // full vector one by one, which is slow for short rows.
        rows.iter_mut().for_each(|value| *value = exp(*value));
        for row in rows.chunks_exact_mut(k) {
            let scale = 1.0 / sum(row);
            row.iter_mut().for_each(|value| *value *= scale);
        }
    }
}

/// The sum of a row.
#[inline(always)]
pub(super) fn sum(row: &[f32]) -> f32 {
    fold(row, 0.0, |a, b| a + b)
}

/// The sum of the products of two rows.
#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let blocks = a.iter().zip(b).map(|(a, b)| a.iter().zip(b));
    let mut lanes = fold_blocks(blocks, 0.0, |sum, (a, b)| sum + a * b);
    let rest = a_rest.iter().zip(b_rest);
    lanes.iter_mut().zip(rest).for_each(|(lane, (a, b))| *lane += a * b);
    fold_lanes(lanes, |a, b| a + b)
}

/// The number of independent sums or maxima. The processor computes them without waiting for each
/// other.
pub(super) const LANES: usize = 16;

/// Folds blocks of [`LANES`] items into one result for each lane.
#[inline(always)]
pub(super) fn fold_blocks<T>(
    blocks: impl IntoIterator<Item = impl IntoIterator<Item = T>>,
    neutral: f32,
    operation: impl Fn(f32, T) -> f32,
) -> [f32; LANES] {
    let mut lanes = [neutral; LANES];
    for block in blocks {
        lanes.iter_mut().zip(block).for_each(|(lane, x)| *lane = operation(*lane, x));
    }
    lanes
}

/// Combines all values by an associative operation.
#[inline(always)]
fn fold(values: &[f32], neutral: f32, operation: impl Fn(f32, f32) -> f32 + Copy) -> f32 {
    let (blocks, rest) = values.as_chunks::<LANES>();
    let mut lanes = fold_blocks(blocks, neutral, |lane, x| operation(lane, *x));
    lanes.iter_mut().zip(rest).for_each(|(lane, x)| *lane = operation(*lane, *x));
    fold_lanes(lanes, operation)
}

/// Combines the lanes in a binary tree.
#[inline(always)]
fn fold_lanes(mut lanes: [f32; LANES], operation: impl Fn(f32, f32) -> f32) -> f32 {
    let mut n = LANES;
    while n > 1 {
        n /= 2;
        for i in 0..n {
            lanes[i] = operation(lanes[i], lanes[i + n]);
        }
    }
    lanes[0]
}

/// Computes `e^x` for `x <= 0`, to two units in the last place.
///
/// The value is `2^n e^r` with `|r| <= ln 2 / 2`; `e^r` is its Taylor polynomial of degree 7.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    /// ln 2 in two parts, so that `x - n ln 2` is exact to single precision.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    /// `1.5 * 2^23`. Adding it rounds a number to an integer, which is then in the low bits.
    const ROUND: f32 = 12_582_912.0;
    // e^-87 is still a normal number. Smaller powers are negligible beside the row's maximum of 1.
    let is_tiny = x < -87.0;
    // `f32::max` would replace NaN by -87.
    let x = if is_tiny { -87.0 } else { x };
    // On x86-64 without SSE 4.1, `round_ties_even` is a call to the C library.
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN2_HIGH - n * LN2_LOW;
    let mut power = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        power = power * r + coefficient;
    }
    let scaled = power * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    if is_tiny { 0.0 } else { scaled }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_and_dot_product_agree_with_their_formulas_at_every_row_length() {
        for k in [1, 3, 16, 19, 45] {
            let mut rows: Vec<f32> = (0..4 * k).map(|i| ((i * 37) % 101) as f32 / 10.0).collect();
            let before = rows.clone();
            softmax(&mut rows, k);
            for (row, before) in rows.chunks(k).zip(before.chunks(k)) {
                let sum: f64 = before.iter().map(|x| f64::from(*x).exp()).sum();
                for (ours, x) in row.iter().zip(before) {
                    assert!((f64::from(*ours) - f64::from(*x).exp() / sum).abs() < 1e-6, "{k}");
                }
            }
            let plain: f64 =
                before.iter().zip(&rows).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            assert!((f64::from(dot(&before, &rows)) - plain).abs() < 1e-5 * plain, "{k}");
        }
    }

    #[test]
    fn the_instruction_set_of_the_build_and_that_of_the_processor_give_the_same_bits() {
        for k in [1, 19, 256] {
            let mut plain: Vec<f32> = (0..5 * k).map(|i| ((i * 37) % 101) as f32 / 7.0).collect();
            let mut widest = plain.clone();
            Softmax { rows: &mut plain, k }.call();
            softmax(&mut widest, k);
            assert!(plain.iter().zip(&widest).all(|(a, b)| a.to_bits() == b.to_bits()), "{k}");
        }
    }

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

    #[test]
    fn nan_stays_nan() {
        assert!(exp(f32::NAN).is_nan());
        for k in [2, 40] {
            let mut row = vec![1.0; k];
            row[k / 2] = f32::NAN;
            softmax(&mut row, k);
            assert!(row.iter().all(|x| x.is_nan()), "{row:?}");
        }
    }
}
