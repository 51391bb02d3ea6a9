//! CPU kernels: operations on contiguous slices in the processor's memory.
//!
//! The loops are plain Rust. The compiler vectorises them for several instruction sets, and the
//! widest one of the processor is chosen at run time. They run in parallel over parts of a fixed
//! size.
//!
//! Results do not depend on the instruction set, the number of threads or their scheduling. The
//! matrix products of attention are the exception.

mod activation;
mod attention;
mod dropout;
mod norm;
mod outer;
mod parts;
mod softmax;

use rayon::prelude::*;

pub(crate) use self::{
    activation::{gelu, gelu_backward, tanh},
    attention::{AttentionRows, segment_attention, segment_attention_backward},
    dropout::dropout,
    norm::layer_norm_backward,
    outer::{outer_products, outer_products_backward},
    softmax::masked_softmax,
};
use self::{
    parts::{NullaryFnOnce, PART, vectorized},
    softmax::{LANES, fold_blocks},
};
use crate::ops::adamw::{AdamWStep, AdamWTensors};

/// A tensor of `f32` in the processor's memory, in row-major order.
pub(crate) trait CpuTensor: Sized {
    /// The values.
    fn values(&self) -> &[f32];

    /// The values, for writing. A shared buffer is copied first.
    fn values_mut(&mut self) -> &mut [f32];
}

/// Performs one step of AdamW in place, in one pass over the values.
pub(crate) fn adamw_step<T: CpuTensor>(
    mut tensors: AdamWTensors<T>,
    step: &AdamWStep,
) -> AdamWTensors<T> {
    let factors = Factors::new(step);
    let param = tensors.param.values_mut().par_chunks_mut(PART);
    let grad = tensors.grad.values().par_chunks(PART);
    let moment_1 = tensors.moment_1.values_mut().par_chunks_mut(PART);
    let moment_2 = tensors.moment_2.values_mut().par_chunks_mut(PART);
    let parts = param.zip(grad).zip(moment_1.zip(moment_2));
    parts.for_each(|((param, grad), (first, second))| {
        vectorized(Step { param, grad, first, second, factors })
    });
    tensors
}

/// The factors of a step in single precision.
#[derive(Clone, Copy)]
struct Factors {
    grad_scale: f32,
    beta_1: f32,
    beta_2: f32,
    /// The share of the parameter that weight decay keeps.
    kept: f32,
    /// The learning rate, divided by the first moment's bias correction.
    rate: f32,
    /// The inverse of the second moment's bias correction.
    scale_2: f32,
    epsilon: f32,
}

impl Factors {
    fn new(step: &AdamWStep) -> Self {
        let [correction_1, correction_2] = step.bias_corrections();
        Self {
            grad_scale: step.grad_scale as f32,
            beta_1: step.beta_1 as f32,
            beta_2: step.beta_2 as f32,
            kept: (1.0 - step.learning_rate * step.weight_decay) as f32,
            rate: (step.learning_rate / correction_1) as f32,
            scale_2: (1.0 / correction_2) as f32,
            epsilon: step.epsilon as f32,
        }
    }
}

/// The loop of [`adamw_step`].
struct Step<'a> {
    param: &'a mut [f32],
    grad: &'a [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    factors: Factors,
}

impl NullaryFnOnce for Step<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { param, grad, first, second, factors } = self;
        let Factors { grad_scale, beta_1, beta_2, kept, rate, scale_2, epsilon } = factors;
        for (((p, g), m), v) in param.iter_mut().zip(grad).zip(first).zip(second) {
            let g = grad_scale * g;
            *m = beta_1 * *m + (1.0 - beta_1) * g;
            *v = beta_2 * *v + (1.0 - beta_2) * g * g;
            *p = kept * *p - rate * *m / ((*v * scale_2).sqrt() + epsilon);
        }
    }
}

/// Computes the sum of the squares.
///
/// The sum of a part is accumulated in f32 in sixteen lanes, the sum of all parts in f64.
pub(crate) fn sum_of_squares(values: &[f32]) -> f32 {
    let parts = values.par_chunks(PART).map(|values| vectorized(SumOfSquares { values }));
    parts.collect::<Vec<f64>>().into_iter().sum::<f64>() as f32
}

/// The loop of [`sum_of_squares`].
struct SumOfSquares<'a> {
    values: &'a [f32],
}

impl NullaryFnOnce for SumOfSquares<'_> {
    type Output = f64;

    #[inline(always)]
    fn call(self) -> f64 {
        let Self { values } = self;
        let (blocks, rest) = values.as_chunks::<LANES>();
        let lanes = fold_blocks(blocks, 0.0, |sum, x| sum + x * x);
        lanes.into_iter().chain(rest.iter().map(|x| x * x)).map(f64::from).sum()
    }
}
