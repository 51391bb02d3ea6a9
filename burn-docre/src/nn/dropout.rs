//! Dropout whose masks are functions of a seed: on a processor computed where they are applied, and again in the backward
//! pass.

use std::cell::RefCell;

use burn::{
    module::Module,
    tensor::{Tensor, backend::Backend},
};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::ops::{self, DocReBackend};

thread_local! {
    static SEEDS: RefCell<ChaCha8Rng> = RefCell::new(ChaCha8Rng::seed_from_u64(0));
}

/// Seeds the masks that this thread draws from now on; without it every thread draws the same ones.
///
/// Not Burn's own generator, which all threads share: two trainings side by side would draw from each other's.
pub fn seed(seed: u64) {
    SEEDS.set(ChaCha8Rng::seed_from_u64(seed));
}

/// Which numbers are dropped: as good as random, and for the same numbers the same each time ([`ops::dropout`]).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DropoutMask {
    /// The share that is dropped, in `[0, 1)`.
    pub probability: f64,
    /// What the choice depends on.
    pub seed: u64,
}

/// In training, each number is dropped with a probability and the others are scaled up to keep the mean; otherwise
/// nothing.
#[derive(Module, Clone, Debug)]
pub struct Dropout {
    probability: f64,
}

impl Dropout {
    /// Dropout with a probability in `[0, 1)`.
    pub fn new(probability: f64) -> Self {
        Self { probability }
    }

    /// A new mask; `None` where nothing is dropped: outside training, or with a probability of 0.
    pub fn draw<B: Backend>(&self, device: &B::Device) -> Option<DropoutMask> {
        let is_active = self.probability > 0.0 && B::ad_enabled(device);
        is_active.then(|| {
            let seed = SEEDS.with_borrow_mut(ChaCha8Rng::next_u64);
            DropoutMask { probability: self.probability, seed }
        })
    }

    /// Applies a new mask where the backend differentiates.
    pub fn forward<B: DocReBackend, const D: usize>(&self, input: Tensor<B, D>) -> Tensor<B, D> {
        match self.draw::<B>(&input.device()) {
            Some(mask) => ops::dropout(input, &mask),
            None => input,
        }
    }
}
