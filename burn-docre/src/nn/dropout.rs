//! Dropout. Each thread draws its masks from its own seeded generator.

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
    /// The generator of the masks' seeds.
    static SEEDS: RefCell<ChaCha8Rng> = RefCell::new(ChaCha8Rng::seed_from_u64(0));
}

/// Seeds the generator of this thread's masks, whose default seed is 0.
///
/// All threads share Burn's own generator, so two trainings in one process would change each
/// other's masks.
pub fn seed(seed: u64) {
    SEEDS.set(ChaCha8Rng::seed_from_u64(seed));
}

/// Dropout (Srivastava et al., 2014).
///
/// On an autodiff backend, a value becomes 0 with `probability` and is otherwise divided by
/// `1 - probability`. On any other backend, dropout is the identity.
#[derive(Module, Clone, Debug)]
pub struct Dropout {
    probability: f64,
}

impl Dropout {
    /// Creates dropout with the probability of setting a value to 0, in `[0, 1)`.
    pub fn new(probability: f64) -> Self {
        Self { probability }
    }

    /// Draws a new mask. Returns `None` where dropout is the identity.
    pub fn draw<B: Backend>(&self, device: &B::Device) -> Option<DropoutMask> {
        let is_active = self.probability > 0.0 && B::ad_enabled(device);
        is_active.then(|| {
            let seed = SEEDS.with_borrow_mut(ChaCha8Rng::next_u64);
            DropoutMask { probability: self.probability, seed }
        })
    }

    /// Applies a new mask to a tensor of any shape.
    pub fn forward<B: DocReBackend, const D: usize>(&self, input: Tensor<B, D>) -> Tensor<B, D> {
        match self.draw::<B>(&input.device()) {
            Some(mask) => ops::dropout(input, &mask),
            None => input,
        }
    }
}
