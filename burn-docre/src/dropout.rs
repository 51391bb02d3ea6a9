//! Dropout with a mask that the backend draws in its own way.

use burn::{
    module::Module,
    tensor::{Tensor, backend::Backend},
};

use crate::ops::{self, DocReBackend};

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

    /// Whether it drops anything: in training, with a probability above 0.
    pub fn is_active<B: Backend>(&self, device: &B::Device) -> bool {
        self.probability > 0.0 && B::ad_enabled(device)
    }

    /// Applies it where the backend differentiates.
    pub fn forward<B: DocReBackend, const D: usize>(&self, input: Tensor<B, D>) -> Tensor<B, D> {
        let device = input.device();
        if !self.is_active::<B>(&device) {
            return input;
        }
        let mask = ops::dropout_mask(input.shape(), self.probability, &device);
        input * mask
    }
}
