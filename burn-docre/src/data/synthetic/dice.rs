//! Random choices that are equal on all platforms and for all versions of `rand`.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A seeded random number generator.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    /// The generator of document `index` of a split. Each document has a random stream of its own,
    /// so it does not depend on the number of documents.
    pub(super) fn new(seed: u64, split: u32, index: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream((u64::from(split) << 48) | index as u64);
        Self(rng)
    }

    /// A uniform number in `0..n`; `n` must be positive.
    pub(super) fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.0.next_u32()) * n as u64) >> 32) as usize
    }

    /// A uniform number in `low..=high`.
    pub(super) fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// `true` with probability `probability`.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        f64::from(self.0.next_u32()) < probability * 2f64.powi(32)
    }

    /// A uniformly chosen item; `items` must not be empty.
    pub(super) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// Picks item i with a probability proportional to 1 / (i + 1), so that the first items are
    /// common and the others rare. There must be 1 to 12 items.
    pub(super) fn pick_early<T: Copy>(&mut self, items: &[T]) -> T {
        const UNIT: usize = 27_720; // divisible by 1 to 12
        let weight = |index: usize| UNIT / (index + 1);
        let mut left = self.below((0..items.len()).map(weight).sum());
        for (index, &item) in items.iter().enumerate() {
            match left.checked_sub(weight(index)) {
                Some(rest) => left = rest,
                None => return item,
            }
        }
        unreachable!("`left` is below the sum of the weights")
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_numbers() {
        let mut dice = Dice::new(7, 1, 2);
        let numbers: Vec<_> = (0..8).map(|_| dice.below(100)).collect();
        assert_eq!(numbers, [14, 87, 10, 62, 19, 16, 57, 90]);
    }

    #[test]
    fn items_are_picked_in_proportion_to_their_weights() {
        let (mut dice, mut counts) = (Dice::new(1, 0, 0), [0; 4]);
        for _ in 0..10_000 {
            counts[dice.pick_early(&[0, 1, 2, 3])] += 1;
        }
        // Expected shares: 12/25, 6/25, 4/25, 3/25.
        for (count, expected) in counts.into_iter().zip([4800_i32, 2400, 1600, 1200]) {
            assert!((count - expected).abs() < 200, "{counts:?}");
        }
    }

    #[test]
    fn probability_one_is_always_true_and_probability_zero_never() {
        let mut dice = Dice::new(1, 0, 0);
        assert!((0..1000).all(|_| dice.chance(1.0) && !dice.chance(0.0)));
    }
}
