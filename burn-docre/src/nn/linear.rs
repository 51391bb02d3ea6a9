//! Linear layers that compute in the precision of their weight.

use burn::{
    nn::Linear,
    tensor::{DType, Tensor, backend::Backend},
};

use crate::ops::matmul;

/// Computes `x W + b` in the [precision](super::precision) of the weight.
///
/// # Shapes
/// - `[rows, d_in]` → `[rows, d_out]`, f32
pub fn linear<B: Backend>(layer: &Linear<B>, input: Tensor<B, 2>) -> Tensor<B, 2> {
    let weight = layer.weight.val();
    if weight.dtype() == DType::F32 {
        return layer.forward(input);
    }
    let output = matmul(input, weight);
    match &layer.bias {
        Some(bias) => output + bias.val().unsqueeze(),
        None => output,
    }
}
