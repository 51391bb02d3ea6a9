//! AdamW (Loshchilov and Hutter, 2019) for one parameter.

use burn::{
    optim::{LearningRate, SimpleOptimizer},
    record::Record,
    tensor::{Tensor, backend::Backend},
};
use burn_docre::{
    DocReBackend,
    ops::{self, AdamWStep, AdamWTensors},
};

/// The AdamW settings of one parameter group.
#[derive(Clone, Copy, Debug)]
pub struct AdamW {
    pub(super) epsilon: f64,
    pub(super) weight_decay: f64,
    /// The factor of the gradient, below 1 if gradients are clipped.
    pub(super) grad_scale: f64,
}

/// AdamW's state for one parameter: the number of its steps and its two moments.
#[derive(Record, Clone)]
pub struct AdamWState<B: Backend, const D: usize> {
    time: usize,
    moment_1: Tensor<B, D>,
    moment_2: Tensor<B, D>,
}

impl<B: DocReBackend> SimpleOptimizer<B> for AdamW {
    type State<const D: usize> = AdamWState<B, D>;

    fn step<const D: usize>(
        &self,
        learning_rate: LearningRate,
        param: Tensor<B, D>,
        grad: Tensor<B, D>,
        state: Option<AdamWState<B, D>>,
    ) -> (Tensor<B, D>, Option<AdamWState<B, D>>) {
        let AdamWState { time, moment_1, moment_2 } = state.unwrap_or_else(|| AdamWState {
            time: 0,
            moment_1: grad.zeros_like(),
            moment_2: grad.zeros_like(),
        });
        let step = AdamWStep {
            learning_rate,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: self.epsilon,
            weight_decay: self.weight_decay,
            grad_scale: self.grad_scale,
            time: time + 1,
        };
        let AdamWTensors { param, moment_1, moment_2, .. } =
            ops::adamw_step(AdamWTensors { param, grad, moment_1, moment_2 }, &step);
        (param, Some(AdamWState { time: step.time, moment_1, moment_2 }))
    }

    fn to_device<const D: usize>(state: AdamWState<B, D>, device: &B::Device) -> AdamWState<B, D> {
        AdamWState {
            time: state.time,
            moment_1: state.moment_1.to_device(device),
            moment_2: state.moment_2.to_device(device),
        }
    }
}
