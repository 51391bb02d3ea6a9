//! Dropout by masks that are functions of their seed.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::parts::PART;
use crate::ops::dropout::DropoutMask;

/// Numbers whose draws are held at a time.
const BLOCK: usize = 1024;

/// Applies the mask in place; each part has a stream of draws of its own.
pub(crate) fn dropout(numbers: &mut [f32], mask: &DropoutMask) {
    let parts = numbers.par_chunks_mut(PART).enumerate();
    parts.for_each(|(part, numbers)| dropout_part(numbers, mask, part as u64));
}

/// Applies a part of the mask in place.
pub(crate) fn dropout_part(numbers: &mut [f32], mask: &DropoutMask, part: u64) {
    // Draws of 16 bits, so the probability is rounded to 1 / 65,536; the scale is that of the rounded one.
    let n_dropped = (mask.probability * 65_536.0).round().clamp(0.0, 65_535.0);
    let kept = (65_536.0 / (65_536.0 - n_dropped)) as f32;
    let n_dropped = n_dropped as u16;
    let mut generator = ChaCha8Rng::seed_from_u64(mask.seed);
    generator.set_stream(part);
    let mut draws = [0; 2 * BLOCK];
    for block in numbers.chunks_mut(BLOCK) {
        let draws = &mut draws[..2 * block.len()];
        generator.fill_bytes(draws);
        for (number, draw) in block.iter_mut().zip(draws.as_chunks::<2>().0) {
            *number *= if u16::from_le_bytes(*draw) < n_dropped { 0.0 } else { kept };
        }
    }
}
