//! Dropout by masks that depend on their seed only.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::parts::{NullaryFnOnce, PART, vectorized};
use crate::ops::dropout::DropoutMask;

/// The number of values whose draws are in memory at a time.
const BLOCK: usize = 1024;

/// Applies the mask in place. Each part draws from its own stream of the generator.
pub(crate) fn dropout(values: &mut [f32], mask: &DropoutMask) {
    let parts = values.par_chunks_mut(PART).enumerate();
    parts.for_each(|(part, values)| dropout_part(values, mask, part as u64));
}

/// Applies a part of the mask in place.
pub(super) fn dropout_part(values: &mut [f32], mask: &DropoutMask, part: u64) {
    // A draw has 16 bits, so the probability is rounded to a multiple of 1 / 65,536. The factor of
    // the kept values follows from the rounded probability.
    let n_dropped = (mask.probability * 65_536.0).round().clamp(0.0, 65_535.0);
    let kept = (65_536.0 / (65_536.0 - n_dropped)) as f32;
    let n_dropped = n_dropped as u16;
    let mut generator = ChaCha8Rng::seed_from_u64(mask.seed);
    generator.set_stream(part);
    let mut draws = [0; 2 * BLOCK];
    for values in values.chunks_mut(BLOCK) {
        let draws = &mut draws[..2 * values.len()];
        generator.fill_bytes(draws);
        vectorized(Block { values, draws, n_dropped, kept });
    }
}

/// A block of values, with a draw of two bytes for each value.
struct Block<'a> {
    values: &'a mut [f32],
    draws: &'a [u8],
    /// A draw below this number drops its value.
    n_dropped: u16,
    /// The factor of the kept values.
    kept: f32,
}

impl NullaryFnOnce for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (value, draw) in self.values.iter_mut().zip(self.draws.as_chunks::<2>().0) {
            let is_dropped = u16::from_le_bytes(*draw) < self.n_dropped;
            *value *= if is_dropped { 0.0 } else { self.kept };
        }
    }
}
