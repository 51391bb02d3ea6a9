//! Random inputs of tests.

use burn::tensor::{Tensor, TensorData, backend::Backend};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A generator of inputs. A test draws the same values in every run and on every backend.
pub(crate) struct Draws(ChaCha8Rng);

impl Draws {
    /// The generator of a test. A second one would repeat the values of the first.
    pub(crate) fn new() -> Self {
        Self(ChaCha8Rng::seed_from_u64(0))
    }

    /// Draws uniform values between -1 and 1.
    pub(crate) fn rows<B: Backend>(&mut self, [n, d]: [usize; 2]) -> Tensor<B, 2> {
        let value = |bits: u32| bits as f32 / 2f32.powi(31) - 1.0;
        let values: Vec<_> = (0..n * d).map(|_| value(self.0.next_u32())).collect();
        Tensor::from_data(TensorData::new(values, [n, d]), &Default::default())
    }
}
