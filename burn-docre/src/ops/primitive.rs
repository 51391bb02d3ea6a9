//! Conversion between tensors and the primitives of a backend.

use burn::tensor::{
    Tensor, TensorPrimitive,
    backend::{Backend, BackendTypes},
};

/// The float tensor primitive of a backend, whose type does not include the rank.
pub(crate) type FloatTensor<B> = <B as BackendTypes>::FloatTensorPrimitive;

/// Wraps a primitive of rank `D`.
pub(super) fn wrap<B: Backend, const D: usize>(primitive: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

/// Returns the primitive of a tensor.
pub(super) fn unwrap<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

/// Concatenates rows. A single tensor is returned without a copy.
pub(super) fn concatenate<B: Backend>(mut parts: Vec<Tensor<B, 2>>) -> Tensor<B, 2> {
    if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 0) }
}

/// Adds `term` to a sum that may be empty.
pub(super) fn add<B: Backend>(sum: &mut Option<Tensor<B, 2>>, term: Tensor<B, 2>) {
    *sum = Some(match sum.take() {
        Some(sum) => sum + term,
        None => term,
    });
}
