//! Loops over numbers that lie in the processor's memory, for the backends that keep them there.
//!
//! Plain Rust over contiguous slices, which the compiler vectorises, in parallel over parts of a fixed size: no result
//! depends on the number of threads or on their scheduling.

mod activation;
mod attention;
mod dropout;
mod norm;
mod outer;
mod softmax;

use rayon::prelude::*;

pub(crate) use self::{
    activation::{gelu, gelu_backward, tanh},
    attention::{AttentionRows, line_attention, line_attention_backward},
    dropout::dropout,
    norm::layer_norm_backward,
    outer::{outer_products, outer_products_backward},
    softmax::masked_softmax,
};
use crate::ops::{AdamWStep, AdamWTensors};

/// Runs `work` where the loops below share `n_threads` threads.
pub(crate) fn on_threads<T: Send>(n_threads: usize, work: impl FnOnce() -> T + Send) -> T {
    match rayon::ThreadPoolBuilder::new().num_threads(n_threads).build() {
        Ok(threads) => threads.install(work),
        // The system gives no more threads: slower, and right.
        Err(_) => work(),
    }
}

/// Numbers that one parallel task treats at least.
pub(crate) const PART: usize = 16 * 1024;

/// Attention's operands from tensors in row-major order.
pub(crate) fn rows<'a, T: HostTensor>(query: &'a T, key_value: &'a T) -> AttentionRows<'a> {
    AttentionRows { query: query.numbers(), key_value: key_value.numbers() }
}

/// A tensor of `f32` in the processor's memory, in row-major order.
pub(crate) trait HostTensor: Sized {
    /// The numbers.
    fn numbers(&self) -> &[f32];

    /// The numbers, to be written to; copied before where somebody else holds them too.
    fn numbers_mut(&mut self) -> &mut [f32];
}

/// One step of AdamW in one pass over the memory, in place.
pub(crate) fn adamw_step<T: HostTensor>(
    mut tensors: AdamWTensors<T>,
    step: &AdamWStep,
) -> AdamWTensors<T> {
    let [correction_1, correction_2] = step.bias_corrections();
    let kept = (1.0 - step.learning_rate * step.weight_decay) as f32;
    let rate = (step.learning_rate / correction_1) as f32;
    let scale_2 = (1.0 / correction_2) as f32;
    let (beta_1, beta_2, epsilon) = (step.beta_1 as f32, step.beta_2 as f32, step.epsilon as f32);
    let grad_scale = step.grad_scale as f32;
    let param = tensors.param.numbers_mut().par_chunks_mut(PART);
    let grad = tensors.grad.numbers().par_chunks(PART);
    let moment_1 = tensors.moment_1.numbers_mut().par_chunks_mut(PART);
    let moment_2 = tensors.moment_2.numbers_mut().par_chunks_mut(PART);
    param.zip(grad).zip(moment_1.zip(moment_2)).for_each(|((param, grad), (first, second))| {
        for (((p, g), m), v) in param.iter_mut().zip(grad).zip(first).zip(second) {
            let g = grad_scale * g;
            *m = beta_1 * *m + (1.0 - beta_1) * g;
            *v = beta_2 * *v + (1.0 - beta_2) * g * g;
            *p = kept * *p - rate * *m / ((*v * scale_2).sqrt() + epsilon);
        }
    });
    tensors
}

/// The sum of the squares, of each part in single precision over sixteen lanes and of the parts in double precision.
pub(crate) fn sum_of_squares(numbers: &[f32]) -> f32 {
    let parts: Vec<f64> = numbers
        .par_chunks(PART)
        .map(|part| {
            let mut lanes = [0f32; 16];
            let (blocks, rest) = part.as_chunks::<16>();
            for block in blocks {
                lanes.iter_mut().zip(block).for_each(|(lane, x)| *lane += x * x);
            }
            let squares = lanes.into_iter().chain(rest.iter().map(|x| x * x));
            squares.map(f64::from).sum()
        })
        .collect();
    parts.iter().sum::<f64>() as f32
}
