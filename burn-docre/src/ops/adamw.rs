//! One step of AdamW (Loshchilov and Hutter, 2019) on one parameter.

/// The hyperparameters of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWStep {
    /// The step size.
    pub learning_rate: f64,
    /// The decay of the first moment.
    pub beta_1: f64,
    /// The decay of the second moment.
    pub beta_2: f64,
    /// The addend of the second moment's root.
    pub epsilon: f64,
    /// The decoupled weight decay, as a factor of the learning rate.
    pub weight_decay: f64,
    /// The factor of the gradient, which clips it.
    pub grad_scale: f64,
    /// The number of this step for the parameter, from 1.
    pub time: usize,
}

impl AdamWStep {
    /// The bias corrections of both moments, `1 - beta^time`.
    pub fn bias_corrections(&self) -> [f64; 2] {
        let time = self.time.try_into().unwrap_or(i32::MAX);
        [1.0 - self.beta_1.powi(time), 1.0 - self.beta_2.powi(time)]
    }
}

/// The tensors of a step, all of one shape.
#[derive(Clone, Debug)]
pub struct AdamWTensors<T> {
    /// The parameter.
    pub param: T,
    /// Its gradient, which a step does not change.
    pub grad: T,
    /// The running mean of the gradient.
    pub moment_1: T,
    /// The running mean of the squared gradient.
    pub moment_2: T,
}

impl<T> AdamWTensors<T> {
    /// Applies `f` to each of the four.
    pub fn map<U>(self, mut f: impl FnMut(T) -> U) -> AdamWTensors<U> {
        AdamWTensors {
            param: f(self.param),
            grad: f(self.grad),
            moment_1: f(self.moment_1),
            moment_2: f(self.moment_2),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Tensor, TensorData, backend::Backend};

    use super::*;
    use crate::{
        backend::TestBackend,
        ops::{adamw_step, sum_of_squares},
    };

    fn values<B: Backend>(scale: f32) -> Tensor<B, 2> {
        // More than one part of the parallel loops, and not a multiple of their width.
        let values: Vec<f32> = (0..3 * 7001).map(|i| scale * (i as f32 * 0.37).sin()).collect();
        Tensor::from_data(TensorData::new(values, [3, 7001]), &Default::default())
    }

    fn one_value(tensors: AdamWTensors<f64>, step: &AdamWStep) -> AdamWTensors<f32> {
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
        let out = one_value(tensors, &STEP);
        let expected = 0.95 - 0.1 * (0.65 / 0.19) / ((4.0f64 / 0.0199).sqrt() + 1e-3);
        assert!((f64::from(out.param) - expected).abs() < 1e-6);
        assert!((out.moment_1 - 0.65).abs() < 1e-6);
        assert!((out.moment_2 - 4.0).abs() < 1e-6);
        assert_eq!(out.grad, 4.0);
    }

    #[test]
    fn a_step_leaves_tensors_that_others_hold_alone() {
        let param = values::<TestBackend>(1.0);
        let before = param.clone().into_data();
        let tensors = AdamWTensors {
            param: param.clone(),
            grad: values(0.3),
            moment_1: values(0.1),
            moment_2: values(0.2).abs(),
        };
        let after = adamw_step(tensors, &STEP).param.into_data();
        assert_eq!(param.into_data(), before);
        assert_ne!(after, before);
    }

    #[test]
    fn the_sum_of_squares_of_a_transposed_tensor() {
        let values = values::<TestBackend>(2.0);
        let expected: f64 = values.to_data().iter::<f64>().map(|x| x * x).sum();
        let sum: f32 = sum_of_squares(values.transpose()).into_scalar();
        assert!((f64::from(sum) / expected - 1.0).abs() < 1e-5);
    }
}
