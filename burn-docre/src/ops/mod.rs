//! The few tensor operations whose generic formulation is too slow or too large in training.
//!
//! Burn decomposes softmax and layer normalisation under `Autodiff`, and an outer product written with ordinary
//! operations is kept until the backward pass. [`DocReBackend`] gives each of these an analytic backward pass
//! (in `autodiff.rs`), written once for every backend; a backend may replace a forward body by a faster one.
//!
//! Each function here is the tensor-level door to the trait method of the same name.

mod adamw;
mod attention;
mod autodiff;
#[cfg(any(feature = "flex", feature = "tch"))]
pub(crate) mod cpu;
pub(crate) mod default;

use burn::tensor::{
    DType, Tensor, TensorPrimitive,
    backend::{Backend, BackendTypes},
};

use crate::{backend::DeviceInfo, nn::dropout::DropoutMask};
pub use adamw::{AdamWStep, AdamWTensors, adamw_step, sum_of_squares};
pub use attention::{Line, LineAttention, Lines, line_attention};

type FloatTensor<B> = <B as BackendTypes>::FloatTensorPrimitive;

/// Rows of the outer product that are held at a time; with groups of 64 a chunk is 64 MiB of f32.
pub(crate) const OUTER_PRODUCT_ROWS: usize = 4096;

/// A backend that runs the models of this crate.
///
/// Every Burn backend qualifies: `impl DocReBackend for MyBackend {}` takes the default bodies, which are ordinary
/// backend operations.
pub trait DocReBackend: Backend {
    /// The devices of this machine in the order of their numbers, or why the backend cannot start here.
    fn find_devices() -> Result<Vec<(Self::Device, DeviceInfo)>, String> {
        let device = Self::Device::default();
        let info = DeviceInfo { name: format!("{device:?}"), ..DeviceInfo::default() };
        Ok(vec![(device, info)])
    }

    /// The most bytes that this thread's work has held in a memory of `device`'s own, where the backend can say.
    fn memory_held(_device: &Self::Device) -> Option<u64> {
        None
    }

    /// How many threads of the processor share the work on `device`; 1 where the work is done elsewhere.
    fn n_threads(_device: &Self::Device) -> usize {
        1
    }

    /// Runs `work`, whose operations share `n_threads` threads of the processor meanwhile.
    fn on_threads<T: Send>(_n_threads: usize, work: impl FnOnce() -> T + Send) -> T {
        work()
    }

    /// See [`masked_softmax`].
    fn masked_softmax(
        scores: FloatTensor<Self>,
        key_bias: Option<FloatTensor<Self>>,
    ) -> FloatTensor<Self> {
        default::masked_softmax::<Self>(scores, key_bias)
    }

    /// Whether `device` is the processor and this backend has loops of its own there: then it attends along lines, and a
    /// dropout mask is computed again where it is needed again.
    fn has_host_loops(_device: &Self::Device) -> bool {
        false
    }

    /// See [`line_attention`]; only called where [`Self::has_host_loops`].
    fn line_attention(
        _query: FloatTensor<Self>,
        _key_value: FloatTensor<Self>,
        _attention: &LineAttention,
    ) -> FloatTensor<Self> {
        unreachable!("this backend does not attend along lines")
    }

    /// The gradients of the two inputs of [`line_attention`]; only called where that is.
    fn line_attention_backward(
        _query: FloatTensor<Self>,
        _key_value: FloatTensor<Self>,
        _grad: FloatTensor<Self>,
        _attention: &LineAttention,
    ) -> [FloatTensor<Self>; 2] {
        unreachable!("this backend does not attend along lines")
    }

    /// See [`gelu`].
    fn gelu_rows(input: FloatTensor<Self>) -> FloatTensor<Self> {
        default::gelu_rows::<Self>(input)
    }

    /// The gradient of the input of [`gelu`].
    fn gelu_rows_backward(input: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        default::gelu_rows_backward::<Self>(input, grad)
    }

    /// See [`tanh`].
    fn tanh_rows(input: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_tanh(input)
    }

    /// See [`layer_norm`].
    fn row_layer_norm(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        Self::layer_norm(input, gamma, Some(beta), epsilon)
    }

    /// The gradients of `input`, `gamma` and `beta` of [`layer_norm`].
    fn row_layer_norm_backward(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f64,
    ) -> [FloatTensor<Self>; 3] {
        default::row_layer_norm_backward::<Self>(input, gamma, grad, epsilon)
    }

    /// The outer product of each pair of rows: `lhs [p, g]`, `rhs [p, g]` → `[p, g * g]`, the left index slower.
    fn outer_products(lhs: FloatTensor<Self>, rhs: FloatTensor<Self>) -> FloatTensor<Self> {
        default::outer_products::<Self>(lhs, rhs)
    }

    /// The gradients of `lhs` and `rhs` from that of their [`outer_products`](Self::outer_products), `grad [p, g * g]`.
    fn outer_products_backward(
        grad: FloatTensor<Self>,
        lhs: FloatTensor<Self>,
        rhs: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2] {
        default::outer_products_backward::<Self>(grad, lhs, rhs)
    }

    /// See [`dropout`].
    fn dropout(input: FloatTensor<Self>, mask: &DropoutMask) -> FloatTensor<Self> {
        default::dropout::<Self>(input, mask)
    }

    /// See [`grouped_bilinear`].
    fn grouped_bilinear(
        head: FloatTensor<Self>,
        tail: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        n_groups: usize,
    ) -> FloatTensor<Self> {
        default::grouped_bilinear::<Self>(head, tail, weight, n_groups)
    }

    /// The gradient of `weight`, whose type is `dtype`, of [`grouped_bilinear`] from that of its output.
    fn grouped_bilinear_weight_gradient(
        head: FloatTensor<Self>,
        tail: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        n_groups: usize,
        dtype: DType,
    ) -> FloatTensor<Self> {
        default::grouped_bilinear_weight_gradient::<Self>(head, tail, grad, n_groups, dtype)
    }

    /// See [`adamw_step`].
    fn adamw_step(
        tensors: AdamWTensors<FloatTensor<Self>>,
        step: &AdamWStep,
    ) -> AdamWTensors<FloatTensor<Self>> {
        default::adamw_step::<Self>(tensors, step)
    }

    /// See [`sum_of_squares`].
    fn sum_of_squares(numbers: FloatTensor<Self>) -> FloatTensor<Self> {
        default::sum_of_squares::<Self>(numbers)
    }
}

/// Softmax over the last dimension with a bias on the keys: `softmax(scores + bias)`.
///
/// # Shapes
/// - `scores`: `[n, n_heads, q, k]`
/// - `key_bias`: `[n, k]`, 0 for a real key and a large negative number for padding; it receives no gradient
/// - output: `[n, n_heads, q, k]`
pub fn masked_softmax<B: DocReBackend>(
    scores: Tensor<B, 4>,
    key_bias: Option<Tensor<B, 2>>,
) -> Tensor<B, 4> {
    wrap(B::masked_softmax(unwrap(scores), key_bias.map(unwrap)))
}

/// Layer normalisation of each row: `gamma * (x - mean) / sqrt(var + epsilon) + beta`, biased variance.
///
/// # Shapes
/// - `input`: `[rows, d]`; `gamma`, `beta`: `[d]`
/// - output: `[rows, d]`
pub fn layer_norm<B: DocReBackend>(
    input: Tensor<B, 2>,
    gamma: Tensor<B, 1>,
    beta: Tensor<B, 1>,
    epsilon: f64,
) -> Tensor<B, 2> {
    wrap(B::row_layer_norm(unwrap(input), unwrap(gamma), unwrap(beta), epsilon))
}

/// GELU, `x Φ(x)` with the standard normal distribution Φ, and its exact derivative `Φ(x) + x φ(x)`: Burn's own default
/// differentiates the approximation by tanh.
///
/// # Shapes
/// - `[rows, d]` → `[rows, d]`
pub fn gelu<B: DocReBackend>(input: Tensor<B, 2>) -> Tensor<B, 2> {
    wrap(B::gelu_rows(unwrap(input)))
}

/// The hyperbolic tangent.
///
/// # Shapes
/// - `[rows, d]` → `[rows, d]`
pub fn tanh<B: DocReBackend>(input: Tensor<B, 2>) -> Tensor<B, 2> {
    wrap(B::tanh_rows(unwrap(input)))
}

/// `input` times 0 where the mask drops it and `1 / (1 - probability)` elsewhere.
///
/// On the processor, what a mask drops depends on it alone, and the probability is rounded to a multiple of 1 / 65,536.
/// Elsewhere the backend's own generator, seeded with the mask's number, draws once, and the backward pass keeps the draw.
pub fn dropout<B: DocReBackend, const D: usize>(
    input: Tensor<B, D>,
    mask: &DropoutMask,
) -> Tensor<B, D> {
    wrap(B::dropout(unwrap(input), mask))
}

/// The grouped bilinear form of KD-DocRE, eq. (6): with each row cut into `n_groups` groups of `g` numbers,
/// `out[p] = sum_j vec(head_j[p] tail_j[p]^T) W_j`.
///
/// Never holds more than one group of at most 4,096 outer products, forward or backward: the
/// backward pass computes them again.
///
/// # Shapes
/// - `head`, `tail`: `[p, n_groups * g]`
/// - `weight`: `[n_groups * g * g, d]`, group slowest, then the head index, then the tail index; its type is the
///   [precision](crate::nn::precision) of the products
/// - output: `[p, d]`
///
/// # Panics
/// If the width is not a multiple of `n_groups`, or if `p` is 0.
pub fn grouped_bilinear<B: DocReBackend>(
    head: Tensor<B, 2>,
    tail: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    n_groups: usize,
) -> Tensor<B, 2> {
    let [p, emb] = head.dims();
    assert!(p > 0, "the grouped bilinear needs at least one pair");
    assert_eq!(emb % n_groups, 0, "the width {emb} is not a multiple of {n_groups} groups");
    wrap(B::grouped_bilinear(unwrap(head), unwrap(tail), unwrap(weight), n_groups))
}

/// The rows of `weight [n_groups * g * g, d]` that belong to one group.
fn group_weight<B: Backend>(weight: &Tensor<B, 2>, group: usize, g: usize) -> Tensor<B, 2> {
    let d = weight.dims()[1];
    weight.clone().slice([group * g * g..(group + 1) * g * g, 0..d])
}

/// Rows one below the other; a single tensor is passed through without a copy.
fn concatenate<B: Backend>(mut parts: Vec<Tensor<B, 2>>) -> Tensor<B, 2> {
    if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 0) }
}

fn wrap<B: Backend, const D: usize>(primitive: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

fn unwrap<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}
