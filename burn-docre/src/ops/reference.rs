//! The reference bodies of [`DocReOps`](super::DocReOps), in ordinary operations of any backend.

use std::f64::consts::{SQRT_2, TAU};

use burn::tensor::{
    Distribution, Shape, Tensor, TensorData, TensorMetadata, activation, backend::Backend,
};

use super::{
    adamw::{AdamWStep, AdamWTensors},
    dropout::DropoutMask,
    generator::seeded,
    primitive::{FloatTensor, unwrap, wrap},
};

/// Computes [`DocReOps::float_filled`](super::DocReOps::float_filled).
pub(super) fn float_filled<B: Backend, E>(
    shape: Shape,
    device: &B::Device,
    fill: impl FnOnce(&mut [f32]) -> Result<(), E>,
) -> Result<FloatTensor<B>, E> {
    let mut values = vec![0.0; shape.num_elements()];
    fill(&mut values)?;
    Ok(B::float_from_data(TensorData::new(values, shape), device))
}

/// Computes [`DocReOps::masked_softmax`](super::DocReOps::masked_softmax).
pub fn masked_softmax<B: Backend>(
    scores: FloatTensor<B>,
    key_bias: Option<FloatTensor<B>>,
) -> FloatTensor<B> {
    let scores = wrap::<B, 4>(scores);
    let scores = match key_bias {
        Some(bias) => {
            let bias = wrap::<B, 2>(bias);
            let [n, k] = bias.dims();
            scores + bias.reshape([n, 1, 1, k])
        }
        None => scores,
    };
    unwrap(activation::softmax(scores, 3))
}

/// Computes [`DocReOps::gelu_rows`](super::DocReOps::gelu_rows).
pub fn gelu_rows<B: Backend>(input: FloatTensor<B>) -> FloatTensor<B> {
    unwrap(activation::gelu(wrap::<B, 2>(input)))
}

/// Computes [`DocReOps::gelu_rows_backward`](super::DocReOps::gelu_rows_backward).
pub fn gelu_rows_backward<B: Backend>(
    input: FloatTensor<B>,
    grad: FloatTensor<B>,
) -> FloatTensor<B> {
    let (x, grad) = (wrap::<B, 2>(input), wrap::<B, 2>(grad));
    let distribution = (x.clone() / SQRT_2).erf() * 0.5 + 0.5;
    let density = (x.clone() * x.clone() * -0.5).exp() / TAU.sqrt();
    unwrap(grad * (distribution + x * density))
}

/// Computes [`DocReOps::outer_products`](super::DocReOps::outer_products).
pub fn outer_products<B: Backend>(lhs: FloatTensor<B>, rhs: FloatTensor<B>) -> FloatTensor<B> {
    let (lhs, rhs) = (wrap::<B, 2>(lhs), wrap::<B, 2>(rhs));
    let [p, g] = lhs.dims();
    let product = lhs.reshape([p, g, 1]) * rhs.reshape([p, 1, g]);
    unwrap(product.reshape([p, g * g]))
}

/// Computes [`DocReOps::outer_products_backward`](super::DocReOps::outer_products_backward).
pub fn outer_products_backward<B: Backend>(
    grad: FloatTensor<B>,
    lhs: FloatTensor<B>,
    rhs: FloatTensor<B>,
) -> [FloatTensor<B>; 2] {
    let (grad, lhs, rhs) = (wrap::<B, 2>(grad), wrap::<B, 2>(lhs), wrap::<B, 2>(rhs));
    let [p, g] = lhs.dims();
    let grad = grad.reshape([p, g, g]);
    let d_lhs = grad.clone().matmul(rhs.reshape([p, g, 1]));
    let d_rhs = lhs.reshape([p, 1, g]).matmul(grad);
    [unwrap(d_lhs.reshape([p, g])), unwrap(d_rhs.reshape([p, g]))]
}

/// Computes [`DocReOps::row_layer_norm_backward`](super::DocReOps::row_layer_norm_backward).
pub fn row_layer_norm_backward<B: Backend>(
    input: FloatTensor<B>,
    gamma: FloatTensor<B>,
    grad: FloatTensor<B>,
    epsilon: f64,
) -> [FloatTensor<B>; 3] {
    let (input, gamma, grad) = (wrap::<B, 2>(input), wrap::<B, 1>(gamma), wrap::<B, 2>(grad));
    let d = gamma.dims()[0];
    let centered = input.clone() - input.mean_dim(1);
    let variance = (centered.clone() * centered.clone()).mean_dim(1);
    let inverse_std = (variance + epsilon).sqrt().recip();
    let normalized = centered * inverse_std.clone();

    let d_gamma = (grad.clone() * normalized.clone()).sum_dim(0).reshape([d]);
    let d_beta = grad.clone().sum_dim(0).reshape([d]);
    let scaled = grad * gamma.reshape([1, d]);
    let mean = scaled.clone().mean_dim(1);
    let projection = (scaled.clone() * normalized.clone()).mean_dim(1);
    let d_input = ((scaled - normalized * projection) - mean) * inverse_std;
    [unwrap(d_input), unwrap(d_gamma), unwrap(d_beta)]
}

/// Computes [`DocReOps::dropout`](super::DocReOps::dropout).
pub fn dropout<B: Backend>(input: FloatTensor<B>, mask: &DropoutMask) -> FloatTensor<B> {
    let factors = dropout_factors::<B>(input.shape(), mask, &B::float_device(&input));
    B::float_mul(input, factors)
}

/// Draws the factors of dropout with the backend's generator: 0 where the mask drops a value and
/// `1 / (1 - probability)` elsewhere.
pub(super) fn dropout_factors<B: Backend>(
    shape: Shape,
    mask: &DropoutMask,
    device: &B::Device,
) -> FloatTensor<B> {
    // The rank is unknown at compile time, so the values are drawn as one row.
    let kept = Distribution::Bernoulli(1.0 - mask.probability);
    let factors = seeded::<B, _>(mask.seed, device, || {
        Tensor::<B, 1>::random([shape.num_elements()], kept, device)
    });
    B::float_reshape(unwrap(factors / (1.0 - mask.probability)), shape)
}

/// Computes [`DocReOps::adamw_step`](super::DocReOps::adamw_step).
pub fn adamw_step<B: Backend>(
    tensors: AdamWTensors<FloatTensor<B>>,
    step: &AdamWStep,
) -> AdamWTensors<FloatTensor<B>> {
    // All operations are element-wise, so the tensors are flattened to a known rank.
    let shape = tensors.param.shape();
    let n = shape.num_elements();
    let AdamWTensors { param, grad, moment_1, moment_2 } =
        tensors.map(|tensor| wrap::<B, 1>(B::float_reshape(tensor, [n].into())));
    let [correction_1, correction_2] = step.bias_corrections();
    let scaled = grad.clone() * step.grad_scale;
    let moment_1 = moment_1 * step.beta_1 + scaled.clone() * (1.0 - step.beta_1);
    let moment_2 = moment_2 * step.beta_2 + scaled.clone() * scaled * (1.0 - step.beta_2);
    let scale = (moment_2.clone() / correction_2).sqrt() + step.epsilon;
    let change = moment_1.clone() / scale * (step.learning_rate / correction_1);
    let param = param * (1.0 - step.learning_rate * step.weight_decay) - change;
    AdamWTensors { param, grad, moment_1, moment_2 }
        .map(|tensor| B::float_reshape(unwrap(tensor), shape.clone()))
}

/// Computes [`DocReOps::sum_of_squares`](super::DocReOps::sum_of_squares).
pub fn sum_of_squares<B: Backend>(values: FloatTensor<B>) -> FloatTensor<B> {
    let n = values.shape().num_elements();
    let values = wrap::<B, 1>(B::float_reshape(values, [n].into()));
    unwrap((values.clone() * values).sum())
}
