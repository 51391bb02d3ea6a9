//! The parameters and tensors of one step of AdamW (Loshchilov and Hutter, 2019).

/// The hyperparameters of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWStep {
    /// The learning rate of this step.
    pub learning_rate: f64,
    /// The decay of the first moment, in `[0, 1)`.
    pub beta_1: f64,
    /// The decay of the second moment, in `[0, 1)`.
    pub beta_2: f64,
    /// The term that is added to the root of the second moment.
    pub epsilon: f64,
    /// The decoupled weight decay, which is multiplied by the learning rate.
    pub weight_decay: f64,
    /// The factor of the gradient, below 1 if the gradient is clipped.
    pub grad_scale: f64,
    /// The number of the parameter's steps up to and including this one, at least 1.
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
    /// The gradient of the parameter, which a step does not change.
    pub grad: T,
    /// The running mean of the gradient.
    pub moment_1: T,
    /// The running mean of the squared gradient.
    pub moment_2: T,
}

impl<T> AdamWTensors<T> {
    /// Applies `f` to each tensor.
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
        // The CPU kernels divide these values into several parts, the last of which is shorter.
        let values: Vec<f32> = (0..3 * 7001).map(|i| scale * (i as f32 * 0.37).sin()).collect();
        Tensor::from_data(TensorData::new(values, [3, 7001]), &Default::default())
    }

    fn one_value(tensors: AdamWTensors<f64>, step: &AdamWStep) -> AdamWTensors<f32> {
        let tensor = |x: f64| Tensor::<TestBackend, 1>::from_floats([x], &Default::default());
        adamw_step(tensors.map(tensor), step).map(|tensor| tensor.into_scalar())
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
    fn a_step_agrees_with_a_calculation_by_hand() {
        // g = 0.5·4 = 2, m = 0.9·0.5 + 0.1·2 = 0.65, v = 0.99·4 + 0.01·4 = 4.
        // The bias corrections are 1 - 0.9² = 0.19 and 1 - 0.99² = 0.0199.
        let tensors = AdamWTensors { param: 1.0, grad: 4.0, moment_1: 0.5, moment_2: 4.0 };
        let out = one_value(tensors, &STEP);
        let expected = 0.95 - 0.1 * (0.65 / 0.19) / ((4.0f64 / 0.0199).sqrt() + 1e-3);
        assert!((f64::from(out.param) - expected).abs() < 1e-6);
        assert!((out.moment_1 - 0.65).abs() < 1e-6);
        assert!((out.moment_2 - 4.0).abs() < 1e-6);
        assert_eq!(out.grad, 4.0);
    }

    #[test]
    fn a_step_does_not_change_other_clones_of_its_tensors() {
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
    fn the_sum_of_squares_of_a_transposed_tensor_agrees_with_a_sum_in_double_precision() {
        let values = values::<TestBackend>(2.0);
        let expected: f64 = values.to_data().iter::<f64>().map(|x| x * x).sum();
        let sum: f32 = sum_of_squares(values.transpose()).into_scalar();
        assert!((f64::from(sum) / expected - 1.0).abs() < 1e-5);
    }
}
