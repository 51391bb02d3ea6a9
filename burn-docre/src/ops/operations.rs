//! The trait of operations, with their reference bodies.

use burn::tensor::{Shape, backend::Backend};

use super::{
    adamw::{AdamWStep, AdamWTensors},
    bilinear,
    dropout::DropoutMask,
    mention_pairs::{self, MentionPairRows},
    primitive::FloatTensor,
    reference, segment_grid,
    segments::{AttentionLayout, SegmentAttention},
};

/// The operations of this crate on a backend.
///
/// `impl DocReOps for MyBackend {}` keeps the reference bodies, which consist of ordinary
/// operations of the backend. An override must agree with its reference body.
pub trait DocReOps: Backend {
    /// The layout in which `device` computes attention fastest.
    ///
    /// [`segment_attention`](Self::segment_attention) works with either layout.
    fn attention_layout(_device: &Self::Device) -> AttentionLayout {
        AttentionLayout::PaddedGrid
    }

    /// Returns true if [`dropout`](Self::dropout) on `device` depends on the mask alone.
    ///
    /// If true, the backward pass computes the factors again from the mask. Otherwise the backend's
    /// generator draws a tensor of factors, which is kept for the backward pass.
    fn reproduces_dropout(_device: &Self::Device) -> bool {
        false
    }

    /// Creates [`filled`](super::filled).
    fn float_filled<E>(
        shape: Shape,
        device: &Self::Device,
        fill: impl FnOnce(&mut [f32]) -> Result<(), E>,
    ) -> Result<FloatTensor<Self>, E> {
        reference::float_filled::<Self, E>(shape, device, fill)
    }

    /// Computes [`masked_softmax`](super::masked_softmax).
    fn masked_softmax(
        scores: FloatTensor<Self>,
        key_bias: Option<FloatTensor<Self>>,
    ) -> FloatTensor<Self> {
        reference::masked_softmax::<Self>(scores, key_bias)
    }

    /// Computes [`segment_attention`](super::segment_attention).
    fn segment_attention(
        query: FloatTensor<Self>,
        key_value: FloatTensor<Self>,
        attention: &SegmentAttention,
    ) -> FloatTensor<Self> {
        segment_grid::segment_attention::<Self>(query, key_value, attention)
    }

    /// Computes the gradients of both inputs of [`segment_attention`](Self::segment_attention).
    fn segment_attention_backward(
        query: FloatTensor<Self>,
        key_value: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        attention: &SegmentAttention,
    ) -> [FloatTensor<Self>; 2] {
        segment_grid::segment_attention_backward::<Self>(query, key_value, grad, attention)
    }

    /// Computes [`gelu`](super::gelu).
    fn gelu_rows(input: FloatTensor<Self>) -> FloatTensor<Self> {
        reference::gelu_rows::<Self>(input)
    }

    /// Computes the gradient of the input of [`gelu`](super::gelu).
    fn gelu_rows_backward(input: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        reference::gelu_rows_backward::<Self>(input, grad)
    }

    /// Computes [`tanh`](super::tanh).
    fn tanh_rows(input: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_tanh(input)
    }

    /// Computes [`layer_norm`](super::layer_norm).
    fn row_layer_norm(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        Self::layer_norm(input, gamma, Some(beta), epsilon)
    }

    /// Computes the gradients of `input`, `gamma` and `beta` of [`layer_norm`](super::layer_norm).
    fn row_layer_norm_backward(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f64,
    ) -> [FloatTensor<Self>; 3] {
        reference::row_layer_norm_backward::<Self>(input, gamma, grad, epsilon)
    }

    /// Computes `vec(lhs[p] rhs[p]^T)` for each row `p`, in the order of `lhs`, then of `rhs`.
    ///
    /// # Shapes
    /// - `lhs`, `rhs`: `[p, g]`
    /// - output: `[p, g * g]`
    fn outer_products(lhs: FloatTensor<Self>, rhs: FloatTensor<Self>) -> FloatTensor<Self> {
        reference::outer_products::<Self>(lhs, rhs)
    }

    /// Computes the gradients of `lhs` and `rhs` from `grad [p, g * g]`, the gradient of their
    /// [`outer_products`](Self::outer_products).
    fn outer_products_backward(
        grad: FloatTensor<Self>,
        lhs: FloatTensor<Self>,
        rhs: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2] {
        reference::outer_products_backward::<Self>(grad, lhs, rhs)
    }

    /// Computes [`dropout`](fn@super::dropout).
    fn dropout(input: FloatTensor<Self>, mask: &DropoutMask) -> FloatTensor<Self> {
        reference::dropout::<Self>(input, mask)
    }

    /// Computes [`grouped_bilinear`](super::grouped_bilinear).
    fn grouped_bilinear(
        head: FloatTensor<Self>,
        tail: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        n_groups: usize,
    ) -> FloatTensor<Self> {
        bilinear::grouped_bilinear::<Self>(head, tail, weight, n_groups, Self::outer_products)
    }

    /// Computes [`mention_pair_context`](super::mention_pair_context).
    fn mention_pair_context(
        attention: FloatTensor<Self>,
        values: FloatTensor<Self>,
        pairs: &MentionPairRows,
    ) -> FloatTensor<Self> {
        mention_pairs::mention_pair_context::<Self>(attention, values, pairs)
    }

    /// Computes the gradients of `attention` and `values` of
    /// [`mention_pair_context`](super::mention_pair_context).
    fn mention_pair_context_backward(
        attention: FloatTensor<Self>,
        values: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        pairs: &MentionPairRows,
    ) -> [FloatTensor<Self>; 2] {
        mention_pairs::mention_pair_context_backward::<Self>(attention, values, grad, pairs)
    }

    /// Computes [`adamw_step`](super::adamw_step).
    fn adamw_step(
        tensors: AdamWTensors<FloatTensor<Self>>,
        step: &AdamWStep,
    ) -> AdamWTensors<FloatTensor<Self>> {
        reference::adamw_step::<Self>(tensors, step)
    }

    /// Computes [`sum_of_squares`](super::sum_of_squares).
    fn sum_of_squares(values: FloatTensor<Self>) -> FloatTensor<Self> {
        reference::sum_of_squares::<Self>(values)
    }
}
