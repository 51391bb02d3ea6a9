//! Layer normalisation of rows, with the analytic backward pass of [`ops::layer_norm`].

use burn::{
    module::{Module, Param},
    tensor::{Tensor, backend::Backend},
};

use crate::{DocReBackend, ops};

/// Layer normalisation (Ba et al., 2016) over the hidden size:
/// `gamma * (x - mean) / sqrt(var + epsilon) + beta`.
#[derive(Module, Debug)]
pub struct LayerNorm<B: Backend> {
    gamma: Param<Tensor<B, 1>>,
    beta: Param<Tensor<B, 1>>,
    epsilon: f64,
}

impl<B: Backend> LayerNorm<B> {
    /// Initialises `gamma` with ones and `beta` with zeros, for the hidden size `d`.
    pub fn new(d: usize, epsilon: f64, device: &B::Device) -> Self {
        Self {
            gamma: Param::from_tensor(Tensor::ones([d], device)),
            beta: Param::from_tensor(Tensor::zeros([d], device)),
            epsilon,
        }
    }
}

impl<B: DocReBackend> LayerNorm<B> {
    /// Normalises each row.
    ///
    /// # Shapes
    /// - `[rows, d]` → `[rows, d]`
    pub fn forward(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        ops::layer_norm(rows, self.gamma.val(), self.beta.val(), self.epsilon)
    }
}
