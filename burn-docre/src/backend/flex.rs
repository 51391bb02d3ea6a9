//! The model's operations on flex, by loops of our own.
//!
//! Flex 0.21 walks a broadcast operand element by element, draws dropout masks one number at a time and computes
//! exponentials in one thread; in a profile of the demo these were close to half of a training step.

use burn::tensor::TensorData;
use burn_flex::{Flex, FlexDevice, FlexTensor};

use super::DeviceInfo;
use crate::{
    nn::dropout::DropoutMask,
    ops::cpu::{self as host, HostTensor},
    ops::{AdamWStep, AdamWTensors, DocReBackend, LineAttention},
};

impl DocReBackend for Flex {
    fn find_devices() -> Result<Vec<(FlexDevice, DeviceInfo)>, String> {
        Ok(vec![(FlexDevice, super::processor())])
    }

    fn n_threads(_device: &FlexDevice) -> usize {
        rayon::current_num_threads()
    }

    fn on_threads<T: Send>(n_threads: usize, work: impl FnOnce() -> T + Send) -> T {
        host::on_threads(n_threads, work)
    }

    fn has_host_loops(_device: &FlexDevice) -> bool {
        true
    }

    fn masked_softmax(scores: FlexTensor, key_bias: Option<FlexTensor>) -> FlexTensor {
        let [_, n_heads, q, k] = shape_of(&scores)[..] else {
            panic!("scores are [n, n_heads, q, k]")
        };
        let bias = key_bias.map(contiguous);
        let bias = bias.as_ref().map(HostTensor::numbers);
        in_place(scores, |scores| host::masked_softmax(scores, bias, [n_heads * q, k]))
    }

    fn line_attention(
        query: FlexTensor,
        key_value: FlexTensor,
        attention: &LineAttention,
    ) -> FlexTensor {
        let shape = shape_of(&query);
        let mut context = vec![0f32; shape.iter().product()];
        let (query, key_value) = (contiguous(query), contiguous(key_value));
        host::line_attention(&host::rows(&query, &key_value), attention, &mut context);
        tensor(context, shape)
    }

    fn line_attention_backward(
        query: FlexTensor,
        key_value: FlexTensor,
        grad: FlexTensor,
        attention: &LineAttention,
    ) -> [FlexTensor; 2] {
        let shapes = [shape_of(&query), shape_of(&key_value)];
        let [mut d_query, mut d_key_value] =
            [0, 1].map(|i: usize| vec![0f32; shapes[i].iter().product()]);
        let (query, key_value) = (contiguous(query), contiguous(key_value));
        host::line_attention_backward(
            &host::rows(&query, &key_value),
            contiguous(grad).numbers(),
            attention,
            &mut d_query,
            &mut d_key_value,
        );
        let [query_shape, key_value_shape] = shapes;
        [tensor(d_query, query_shape), tensor(d_key_value, key_value_shape)]
    }

    fn gelu_rows(input: FlexTensor) -> FlexTensor {
        in_place(input, host::gelu)
    }

    fn gelu_rows_backward(input: FlexTensor, grad: FlexTensor) -> FlexTensor {
        in_place(grad, |grad| host::gelu_backward(contiguous(input).numbers(), grad))
    }

    fn tanh_rows(input: FlexTensor) -> FlexTensor {
        in_place(input, host::tanh)
    }

    fn row_layer_norm_backward(
        input: FlexTensor,
        gamma: FlexTensor,
        grad: FlexTensor,
        epsilon: f64,
    ) -> [FlexTensor; 3] {
        let shape = shape_of(&input);
        let mut d_input = vec![0f32; shape.iter().product()];
        let [input, gamma, grad] = [input, gamma, grad].map(contiguous);
        let [d_gamma, d_beta] = host::layer_norm_backward(
            input.numbers(),
            gamma.numbers(),
            grad.numbers(),
            epsilon as f32,
            &mut d_input,
        );
        let d = d_gamma.len();
        [tensor(d_input, shape), tensor(d_gamma, vec![d]), tensor(d_beta, vec![d])]
    }

    fn outer_products(lhs: FlexTensor, rhs: FlexTensor) -> FlexTensor {
        let [p, g] = shape_of(&lhs)[..] else { panic!("rows are [p, g]") };
        let mut product = vec![0f32; p * g * g];
        host::outer_products(contiguous(lhs).numbers(), contiguous(rhs).numbers(), g, &mut product);
        tensor(product, vec![p, g * g])
    }

    fn outer_products_backward(
        grad: FlexTensor,
        lhs: FlexTensor,
        rhs: FlexTensor,
    ) -> [FlexTensor; 2] {
        let [p, g] = shape_of(&lhs)[..] else { panic!("rows are [p, g]") };
        let (mut d_lhs, mut d_rhs) = (vec![0f32; p * g], vec![0f32; p * g]);
        let [grad, lhs, rhs] = [grad, lhs, rhs].map(contiguous);
        let sides = [lhs.numbers(), rhs.numbers()];
        host::outer_products_backward(grad.numbers(), sides, g, [&mut d_lhs, &mut d_rhs]);
        [d_lhs, d_rhs].map(|gradient| tensor(gradient, vec![p, g]))
    }

    fn dropout(input: FlexTensor, mask: &DropoutMask) -> FlexTensor {
        in_place(input, |numbers| host::dropout(numbers, mask))
    }

    fn adamw_step(tensors: AdamWTensors<FlexTensor>, step: &AdamWStep) -> AdamWTensors<FlexTensor> {
        host::adamw_step(tensors.map(contiguous), step)
    }

    fn sum_of_squares(numbers: FlexTensor) -> FlexTensor {
        tensor(vec![host::sum_of_squares(contiguous(numbers).numbers())], vec![1])
    }
}

impl HostTensor for FlexTensor {
    fn numbers(&self) -> &[f32] {
        self.storage()
    }

    fn numbers_mut(&mut self) -> &mut [f32] {
        self.storage_mut()
    }
}

/// The same numbers in row-major order, and nothing else in the buffer.
fn contiguous(tensor: FlexTensor) -> FlexTensor {
    // By value, so that a buffer which was nobody else's stays so.
    tensor.to_contiguous()
}

/// The tensor with its numbers changed; copied before where somebody else holds them too.
fn in_place(tensor: FlexTensor, change: impl FnOnce(&mut [f32])) -> FlexTensor {
    let mut tensor = contiguous(tensor);
    change(tensor.numbers_mut());
    tensor
}

fn shape_of(tensor: &FlexTensor) -> Vec<usize> {
    tensor.layout().shape().as_slice().to_vec()
}

fn tensor(values: Vec<f32>, shape: Vec<usize>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Distribution, Tensor, Tolerance, activation};

    use super::*;
    use crate::ops;

    #[test]
    fn softmax_agrees_with_burns_for_views_too() {
        let scores = Tensor::<Flex, 4>::random(
            [3, 5, 2, 300],
            Distribution::Normal(0.0, 3.0),
            &Default::default(),
        );
        let scores = scores.swap_dims(1, 2);
        let ours = ops::masked_softmax(scores.clone(), None);
        let theirs = activation::softmax(scores, 3);
        ours.into_data()
            .assert_approx_eq::<f32>(&theirs.into_data(), Tolerance::rel_abs(1e-5, 1e-7));
    }
}
