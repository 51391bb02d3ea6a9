//! One step of AdamW (Loshchilov and Hutter, 2019) on one parameter.

use burn::tensor::Tensor;

use super::{DocReBackend, unwrap, wrap};

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWStep {
    /// Step size.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta_1: f64,
    /// Decay of the second moment.
    pub beta_2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay: a share of the learning rate.
    pub weight_decay: f64,
    /// What the gradient is multiplied by before anything else: clipping.
    pub grad_scale: f64,
    /// Number of this step for this parameter, from 1.
    pub time: usize,
}

impl AdamWStep {
    /// `1 - beta^time` of both moments.
    pub fn bias_corrections(&self) -> [f64; 2] {
        let time = self.time.try_into().unwrap_or(i32::MAX);
        [1.0 - self.beta_1.powi(time), 1.0 - self.beta_2.powi(time)]
    }
}

/// What a step reads and writes; all of one shape.
#[derive(Clone, Debug)]
pub struct AdamWTensors<T> {
    /// The parameter.
    pub param: T,
    /// Its gradient; left as it is.
    pub grad: T,
    /// Running mean of the gradient.
    pub moment_1: T,
    /// Running mean of the squared gradient.
    pub moment_2: T,
}

impl<T> AdamWTensors<T> {
    /// The same with `f` applied to each of the four.
    pub fn map<U>(self, mut f: impl FnMut(T) -> U) -> AdamWTensors<U> {
        AdamWTensors {
            param: f(self.param),
            grad: f(self.grad),
            moment_1: f(self.moment_1),
            moment_2: f(self.moment_2),
        }
    }
}

/// With `m = β₁ m + (1 − β₁) g` and `v = β₂ v + (1 − β₂) g²` of the scaled gradient `g`:
/// `p ← (1 − η λ) p − η · m / (1 − β₁ᵗ) / (√(v / (1 − β₂ᵗ)) + ε)`.
///
/// The backends on the processor do it in one pass over the memory.
pub fn adamw_step<B: DocReBackend, const D: usize>(
    tensors: AdamWTensors<Tensor<B, D>>,
    step: &AdamWStep,
) -> AdamWTensors<Tensor<B, D>> {
    B::adamw_step(tensors.map(unwrap), step).map(wrap)
}

/// The sum of the squares of all numbers, a tensor of one number.
pub fn sum_of_squares<B: DocReBackend, const D: usize>(numbers: Tensor<B, D>) -> Tensor<B, 1> {
    wrap(B::sum_of_squares(unwrap(numbers)))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{TensorData, Tolerance, backend::Backend};

    use super::*;
    use crate::{backend::TestBackend, ops::default};

    fn numbers<B: Backend>(scale: f32) -> Tensor<B, 2> {
        // More than one part of the parallel loops, and not a multiple of their width.
        let values: Vec<f32> = (0..3 * 7001).map(|i| scale * (i as f32 * 0.37).sin()).collect();
        Tensor::from_data(TensorData::new(values, [3, 7001]), &Default::default())
    }

    fn one_number(tensors: AdamWTensors<f64>, step: &AdamWStep) -> AdamWTensors<f32> {
        let AdamWTensors { param, grad, moment_1, moment_2 } = tensors;
        let tensor = |x: f64| Tensor::<TestBackend, 1>::from_floats([x], &Default::default());
        let tensors = AdamWTensors { param, grad, moment_1, moment_2 }.map(tensor);
        adamw_step(tensors, step).map(|tensor| tensor.into_scalar())
    }

    const STEP: AdamWStep = AdamWStep {
        learning_rate: 0.1,
        beta_1: 0.9,
        beta_2: 0.99,
        epsilon: 1e-3,
        weight_decay: 0.5,
        grad_scale: 0.5,
        time: 2,
    };

    #[test]
    fn a_step_worked_by_hand() {
        // g = 0.5·4 = 2, m = 0.9·0.5 + 0.1·2 = 0.65, v = 0.99·4 + 0.01·4 = 4; corrected m = 0.65 / 0.19, v = 4 / 0.0199.
        let tensors = AdamWTensors { param: 1.0, grad: 4.0, moment_1: 0.5, moment_2: 4.0 };
        let out = one_number(tensors, &STEP);
        let expected = 0.95 - 0.1 * (0.65 / 0.19) / ((4.0f64 / 0.0199).sqrt() + 1e-3);
        assert!((f64::from(out.param) - expected).abs() < 1e-6);
        assert!((out.moment_1 - 0.65).abs() < 1e-6);
        assert!((out.moment_2 - 4.0).abs() < 1e-6);
        assert_eq!(out.grad, 4.0);
    }

    #[test]
    fn the_backends_own_step_is_the_general_one() {
        let tensors = || AdamWTensors {
            param: numbers::<TestBackend>(1.0),
            grad: numbers(0.3),
            moment_1: numbers(0.1),
            moment_2: numbers(0.2).abs(),
        };
        let own = adamw_step(tensors(), &STEP);
        let general = default::adamw_step::<TestBackend>(tensors().map(unwrap), &STEP);
        let general: AdamWTensors<Tensor<TestBackend, 2>> = general.map(wrap);
        let close = |a: Tensor<TestBackend, 2>, b: Tensor<TestBackend, 2>| {
            a.into_data().assert_approx_eq::<f32>(&b.into_data(), Tolerance::rel_abs(1e-5, 1e-6));
        };
        close(own.param, general.param);
        close(own.moment_1, general.moment_1);
        close(own.moment_2, general.moment_2);
    }

    #[test]
    fn a_step_leaves_tensors_that_others_hold_alone() {
        let param = numbers::<TestBackend>(1.0);
        let before = param.clone().into_data();
        let tensors = AdamWTensors {
            param: param.clone(),
            grad: numbers(0.3),
            moment_1: numbers(0.1),
            moment_2: numbers(0.2).abs(),
        };
        let after = adamw_step(tensors, &STEP).param.into_data();
        assert_eq!(param.into_data(), before);
        assert_ne!(after, before);
    }

    #[test]
    fn the_sum_of_squares_of_a_transposed_tensor() {
        let numbers = numbers::<TestBackend>(2.0);
        let expected: f64 = numbers.to_data().iter::<f64>().map(|x| x * x).sum();
        let sum: f32 = sum_of_squares(numbers.transpose()).into_scalar();
        assert!((f64::from(sum) / expected - 1.0).abs() < 1e-5);
    }
}
