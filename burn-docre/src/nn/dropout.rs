//! Dropout, with masks from a seeded generator of each thread.

use std::cell::RefCell;

use burn::{
    module::Module,
    tensor::{Tensor, backend::Backend},
};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    DocReBackend,
    ops::{self, DropoutMask},
};

thread_local! {
    static SEEDS: RefCell<ChaCha8Rng> = RefCell::new(ChaCha8Rng::seed_from_u64(0));
}

/// Seeds the masks that this thread draws from now on. Without it every thread draws the same masks.
///
/// Burn's own generator is shared by all threads, so two trainings in one process would change each
/// other's masks.
pub fn seed(seed: u64) {
    SEEDS.set(ChaCha8Rng::seed_from_u64(seed));
}

/// Dropout: in training, each value is set to 0 with a probability and otherwise scaled to keep the
/// mean. Outside training, the identity.
#[derive(Module, Clone, Debug)]
pub struct Dropout {
    probability: f64,
}

impl Dropout {
    /// Creates dropout with a probability in `[0, 1)`.
    pub fn new(probability: f64) -> Self {
        Self { probability }
    }

    /// Draws a new mask; `None` outside training and with a probability of 0.
    pub fn draw<B: Backend>(&self, device: &B::Device) -> Option<DropoutMask> {
        let is_active = self.probability > 0.0 && B::ad_enabled(device);
        is_active.then(|| {
            let seed = SEEDS.with_borrow_mut(ChaCha8Rng::next_u64);
            DropoutMask { probability: self.probability, seed }
        })
    }

    /// Applies a new mask if the backend differentiates.
    pub fn forward<B: DocReBackend, const D: usize>(&self, input: Tensor<B, D>) -> Tensor<B, D> {
        match self.draw::<B>(&input.device()) {
            Some(mask) => ops::dropout(input, &mask),
            None => input,
        }
    }
}
