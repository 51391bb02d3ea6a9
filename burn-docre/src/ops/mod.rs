//! Tensor operations with an analytic backward pass.
//!
//! Under `Autodiff`, Burn decomposes softmax and layer normalisation into many small operations. It
//! also keeps outer products in memory until the backward pass. [`DocReOps`] replaces each of these
//! by one operation with an analytic gradient.
//!
//! The reference body of an operation (`reference`) consists of ordinary operations of the backend.
//! A backend may override it. The backward passes (`autodiff`) are written once for every backend.
//!
//! Each function in this module applies the corresponding method of the trait to tensors.

mod adamw;
mod autodiff;
mod bilinear;
#[cfg(any(feature = "flex", feature = "tch"))]
#[cfg_attr(
    not(all(feature = "flex", feature = "tch")),
    allow(dead_code, unused_imports, reason = "some kernels serve one backend")
)]
mod cpu;
#[cfg(all(test, any(feature = "flex", feature = "tch")))]
mod cpu_gradients;
#[cfg(test)]
mod draws;
mod dropout;
#[cfg(feature = "flex")]
mod flex;
mod generator;
mod matmul;
mod mention_pairs;
mod operations;
#[cfg(all(test, any(feature = "flex", feature = "tch")))]
#[cfg_attr(
    not(all(feature = "flex", feature = "tch")),
    allow(dead_code, reason = "some overrides belong to one backend")
)]
mod overrides;
mod primitive;
mod reference;
mod segment_grid;
mod segments;
#[cfg(feature = "tch")]
mod tch;

use burn::tensor::{Shape, Tensor};

use primitive::{unwrap, wrap};

#[cfg(test)]
pub(crate) use draws::Draws;

pub use adamw::{AdamWStep, AdamWTensors};
pub use dropout::DropoutMask;
pub use generator::seeded;
pub use matmul::matmul;
pub use mention_pairs::MentionPairRows;
pub use operations::DocReOps;
pub use segments::{AttentionLayout, Segment, SegmentAttention, Segments};

/// The reference bodies, for the benchmarks.
#[doc(hidden)]
pub mod reference_bodies {
    pub use super::{
        reference::{
            adamw_step, dropout, gelu_rows, gelu_rows_backward, masked_softmax, outer_products,
            outer_products_backward, row_layer_norm_backward, sum_of_squares,
        },
        segment_grid::{segment_attention, segment_attention_backward},
    };
}

#[cfg(feature = "cuda")]
impl DocReOps for burn_cuda::Cuda {}

// `Vulkan` and `Metal` are aliases of the type with one-byte booleans, `Wgpu` of the other.
#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal"))]
impl DocReOps for burn_wgpu::Wgpu<f32, i32, u8> {}
#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal"))]
impl DocReOps for burn_wgpu::Wgpu<f32, i32, u32> {}

/// Creates a tensor whose values `fill` writes in row-major order, if possible into the tensor's own
/// memory.
///
/// `fill` receives one value for each element of `shape`. Their initial content is not specified.
///
/// # Errors
/// The error of `fill`.
pub fn filled<B: DocReOps, const D: usize, E>(
    shape: Shape,
    device: &B::Device,
    fill: impl FnOnce(&mut [f32]) -> Result<(), E>,
) -> Result<Tensor<B, D>, E> {
    Ok(wrap(B::float_filled(shape, device, fill)?))
}

/// Computes the softmax over the last dimension with a bias on the keys: `softmax(scores + bias)`.
///
/// # Shapes
/// - `scores`: `[n, n_heads, q, k]`
/// - `key_bias`: `[n, k]`, 0 for a real key and a large negative value for padding; it receives no
///   gradient
/// - output: `[n, n_heads, q, k]`
pub fn masked_softmax<B: DocReOps>(
    scores: Tensor<B, 4>,
    key_bias: Option<Tensor<B, 2>>,
) -> Tensor<B, 4> {
    wrap(B::masked_softmax(unwrap(scores), key_bias.map(unwrap)))
}

/// Computes `dropout(softmax(scale * q k^T)) v` within each segment and head.
///
/// The CPU kernels read heads and segments in place, without a copy and without padding. The
/// reference body pads the segments to a grid. Models call this operation only on devices of
/// [`AttentionLayout::Segments`]. On other devices they attend on the padded grid of their batch,
/// by [`masked_softmax`] and matrix products.
///
/// # Shapes
/// Here `rows` is the number of rows in all segments.
/// - `query`: `[rows, d]`; `key_value`: `[rows, 2 d]`, the keys before the values
/// - output: `[rows, d]`
pub fn segment_attention<B: DocReOps>(
    query: Tensor<B, 2>,
    key_value: Tensor<B, 2>,
    attention: &SegmentAttention,
) -> Tensor<B, 2> {
    wrap(B::segment_attention(unwrap(query), unwrap(key_value), attention))
}

/// Normalises each row: `gamma * (x - mean) / sqrt(var + epsilon) + beta`, with biased variance.
///
/// # Shapes
/// - `input`: `[rows, d]`; `gamma`, `beta`: `[d]`
/// - output: `[rows, d]`
pub fn layer_norm<B: DocReOps>(
    input: Tensor<B, 2>,
    gamma: Tensor<B, 1>,
    beta: Tensor<B, 1>,
    epsilon: f64,
) -> Tensor<B, 2> {
    wrap(B::row_layer_norm(unwrap(input), unwrap(gamma), unwrap(beta), epsilon))
}

/// Computes GELU (Hendrycks and Gimpel, 2016): `x Φ(x)`, with the standard normal distribution
/// function Φ.
///
/// The backward pass uses the exact derivative `Φ(x) + x φ(x)`, with the density φ. Burn's default
/// differentiates the approximation by tanh.
///
/// # Shapes
/// - `[rows, d]` → `[rows, d]`
pub fn gelu<B: DocReOps>(input: Tensor<B, 2>) -> Tensor<B, 2> {
    wrap(B::gelu_rows(unwrap(input)))
}

/// Computes the hyperbolic tangent.
///
/// # Shapes
/// - `[rows, d]` → `[rows, d]`
pub fn tanh<B: DocReOps>(input: Tensor<B, 2>) -> Tensor<B, 2> {
    wrap(B::tanh_rows(unwrap(input)))
}

/// Multiplies by 0 where the mask drops a value and by `1 / (1 - probability)` elsewhere.
///
/// The CPU kernels round the probability to a multiple of 1 / 65,536. Their factors depend on the
/// mask alone. Other devices draw the factors from the backend's generator, seeded by the mask, and
/// keep them for the backward pass.
pub fn dropout<B: DocReOps, const D: usize>(
    input: Tensor<B, D>,
    mask: &DropoutMask,
) -> Tensor<B, D> {
    wrap(B::dropout(unwrap(input), mask))
}

/// Computes the grouped bilinear form of KD-DocRE, eq. (6):
/// `out[p] = sum_j vec(head_j[p] tail_j[p]^T) W_j`.
///
/// Each row consists of `n_groups` groups of `g` values. At most 4,096 outer products of one group
/// are in memory at a time. The backward pass computes them again.
///
/// # Shapes
/// - `head`, `tail`: `[p, n_groups * g]`
/// - `weight`: `[n_groups * g * g, d]`, in the order of groups, then of values of `head`, then of
///   values of `tail`; its data type is the precision of the products, as in [`matmul`](fn@matmul)
/// - output: `[p, d]`
///
/// # Panics
/// If the columns of `head` are not a multiple of `n_groups`, or if `p` is 0.
pub fn grouped_bilinear<B: DocReOps>(
    head: Tensor<B, 2>,
    tail: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    n_groups: usize,
) -> Tensor<B, 2> {
    let [p, emb] = head.dims();
    assert!(p > 0, "the grouped bilinear form needs at least one pair");
    assert_eq!(emb % n_groups, 0, "{emb} columns do not divide into {n_groups} equal groups");
    wrap(B::grouped_bilinear(unwrap(head), unwrap(tail), unwrap(weight), n_groups))
}

/// Computes the localized context of mention pairs, eq. (4) of KMGRE: with the attention `a_k` of
/// attention head `k` and the values `V` of the tokens of the pair's document,
/// `out = sum_k (a_head,k ∘ a_tail,k)^T V / (sum(a_head,k ∘ a_tail,k) + 1e-30)`.
///
/// Each attention head is normalised before the sum. A head in which both mentions share no token
/// contributes 0 and receives no gradient. The mention pairs are computed in chunks of at most 2²²
/// products, and again in the backward pass.
///
/// # Shapes
/// - `attention`: `[m, n_heads, l]`, not negative, 0 at padding
/// - `values`: `[b, l, r]`, finite at padding
/// - output: `[q, r]`
///
/// # Panics
/// If there is no mention pair.
pub fn mention_pair_context<B: DocReOps>(
    attention: Tensor<B, 3>,
    values: Tensor<B, 3>,
    pairs: &MentionPairRows,
) -> Tensor<B, 2> {
    assert!(!pairs.is_empty(), "the context of mention pairs needs at least one of them");
    wrap(B::mention_pair_context(unwrap(attention), unwrap(values), pairs))
}

/// Performs one step of AdamW (Loshchilov and Hutter, 2019) on a parameter `p` of any shape.
///
/// The gradient `g` is scaled by `grad_scale`. The moments become `m ← β₁ m + (1 − β₁) g` and
/// `v ← β₂ v + (1 − β₂) g²`. With the learning rate η, the weight decay λ and the time t:
/// `p ← (1 − η λ) p − η · m / (1 − β₁ᵗ) / (√(v / (1 − β₂ᵗ)) + ε)`.
pub fn adamw_step<B: DocReOps, const D: usize>(
    tensors: AdamWTensors<Tensor<B, D>>,
    step: &AdamWStep,
) -> AdamWTensors<Tensor<B, D>> {
    B::adamw_step(tensors.map(unwrap), step).map(wrap)
}

/// Computes the sum of the squares of all values, `[1]`.
pub fn sum_of_squares<B: DocReOps, const D: usize>(values: Tensor<B, D>) -> Tensor<B, 1> {
    wrap(B::sum_of_squares(unwrap(values)))
}
