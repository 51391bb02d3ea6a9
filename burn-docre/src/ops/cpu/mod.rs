//! CPU kernels: operations on contiguous slices in the processor's memory.
//!
//! The loops are plain Rust, which the compiler vectorises for several instruction sets; the widest one
//! of the processor is chosen at run time. They run in parallel over parts of a fixed size. No result
//! depends on the instruction set, the number of threads or their scheduling, except through the matrix
//! products of attention.

mod activation;
mod attention;
mod dropout;
mod norm;
mod outer;
mod parts;
mod softmax;

use rayon::prelude::*;

use self::parts::{PART, vectorized};
pub(crate) use self::{
    activation::{gelu, gelu_backward, tanh},
    attention::{AttentionRows, segment_attention, segment_attention_backward},
    dropout::dropout,
    norm::layer_norm_backward,
    outer::{outer_products, outer_products_backward},
    softmax::masked_softmax,
};
use crate::ops::adamw::{AdamWStep, AdamWTensors};

/// A tensor of `f32` in the processor's memory, in row-major order.
pub(crate) trait CpuTensor: Sized {
    /// The values.
    fn values(&self) -> &[f32];

    /// The values, for writing. A shared buffer is copied first.
    fn values_mut(&mut self) -> &mut [f32];
}

/// Performs one step of AdamW in place, in one pass over the memory.
pub(crate) fn adamw_step<T: CpuTensor>(
    mut tensors: AdamWTensors<T>,
    step: &AdamWStep,
) -> AdamWTensors<T> {
    let [correction_1, correction_2] = step.bias_corrections();
    let kept = (1.0 - step.learning_rate * step.weight_decay) as f32;
    let rate = (step.learning_rate / correction_1) as f32;
    let scale_2 = (1.0 / correction_2) as f32;
    let (beta_1, beta_2, epsilon) = (step.beta_1 as f32, step.beta_2 as f32, step.epsilon as f32);
    let grad_scale = step.grad_scale as f32;
    let param = tensors.param.values_mut().par_chunks_mut(PART);
    let grad = tensors.grad.values().par_chunks(PART);
    let moment_1 = tensors.moment_1.values_mut().par_chunks_mut(PART);
    let moment_2 = tensors.moment_2.values_mut().par_chunks_mut(PART);
    param.zip(grad).zip(moment_1.zip(moment_2)).for_each(|((param, grad), (first, second))| {
        vectorized(|| {
            for (((p, g), m), v) in param.iter_mut().zip(grad).zip(first).zip(second) {
                let g = grad_scale * g;
                *m = beta_1 * *m + (1.0 - beta_1) * g;
                *v = beta_2 * *v + (1.0 - beta_2) * g * g;
                *p = kept * *p - rate * *m / ((*v * scale_2).sqrt() + epsilon);
            }
        });
    });
    tensors
}

/// Computes the sum of the squares: within a part in f32 over sixteen lanes, of the parts in f64.
pub(crate) fn sum_of_squares(values: &[f32]) -> f32 {
    let parts: Vec<f64> = values
        .par_chunks(PART)
        .map(|part| {
            let (blocks, rest) = part.as_chunks::<16>();
            let lanes = vectorized(|| {
                let mut lanes = [0f32; 16];
                for block in blocks {
                    lanes.iter_mut().zip(block).for_each(|(lane, x)| *lane += x * x);
                }
                lanes
            });
            let squares = lanes.into_iter().chain(rest.iter().map(|x| x * x));
            squares.map(f64::from).sum()
        })
        .collect();
    parts.iter().sum::<f64>() as f32
}
