//! Operations on flex by CPU kernels, if these are faster than the reference bodies
//! (`docs/operations.md`).
//!
//! Flex 0.21 reads a broadcast operand element by element, draws dropout masks value by value and
//! computes exponentials in one thread.

use burn::tensor::TensorData;
use burn_flex::{Flex, FlexDevice, FlexTensor};

use super::{
    adamw::{AdamWStep, AdamWTensors},
    cpu::{self, AttentionRows, CpuTensor},
    dropout::DropoutMask,
    operations::DocReOps,
    segments::{AttentionLayout, SegmentAttention},
};

impl DocReOps for Flex {
    fn attention_layout(_device: &FlexDevice) -> AttentionLayout {
        AttentionLayout::Segments
    }

    fn reproduces_dropout(_device: &FlexDevice) -> bool {
        true
    }

    fn masked_softmax(scores: FlexTensor, key_bias: Option<FlexTensor>) -> FlexTensor {
        let [_, n_heads, q, k] = shape_of(&scores)[..] else {
            panic!("scores are [n, n_heads, q, k]")
        };
        let bias = key_bias.map(contiguous);
        let bias = bias.as_ref().map(CpuTensor::values);
        in_place(scores, |scores| cpu::masked_softmax(scores, bias, [n_heads * q, k]))
    }

    fn segment_attention(
        query: FlexTensor,
        key_value: FlexTensor,
        attention: &SegmentAttention,
    ) -> FlexTensor {
        let shape = shape_of(&query);
        let mut context = vec![0f32; shape.iter().product()];
        let (query, key_value) = (contiguous(query), contiguous(key_value));
        cpu::segment_attention(
            &AttentionRows { query: query.values(), key_value: key_value.values() },
            attention,
            &mut context,
        );
        tensor(context, shape)
    }

    fn segment_attention_backward(
        query: FlexTensor,
        key_value: FlexTensor,
        grad: FlexTensor,
        attention: &SegmentAttention,
    ) -> [FlexTensor; 2] {
        let shapes = [shape_of(&query), shape_of(&key_value)];
        let [mut d_query, mut d_key_value] =
            [0, 1].map(|i: usize| vec![0f32; shapes[i].iter().product()]);
        let (query, key_value) = (contiguous(query), contiguous(key_value));
        cpu::segment_attention_backward(
            &AttentionRows { query: query.values(), key_value: key_value.values() },
            contiguous(grad).values(),
            attention,
            &mut d_query,
            &mut d_key_value,
        );
        let [query_shape, key_value_shape] = shapes;
        [tensor(d_query, query_shape), tensor(d_key_value, key_value_shape)]
    }

    fn gelu_rows(input: FlexTensor) -> FlexTensor {
        in_place(input, cpu::gelu)
    }

    fn gelu_rows_backward(input: FlexTensor, grad: FlexTensor) -> FlexTensor {
        in_place(grad, |grad| cpu::gelu_backward(contiguous(input).values(), grad))
    }

    fn tanh_rows(input: FlexTensor) -> FlexTensor {
        in_place(input, cpu::tanh)
    }

    fn row_layer_norm_backward(
        input: FlexTensor,
        gamma: FlexTensor,
        grad: FlexTensor,
        epsilon: f64,
    ) -> [FlexTensor; 3] {
        let [input, gamma, mut grad] = [input, gamma, grad].map(contiguous);
        let [d_gamma, d_beta] = cpu::layer_norm_backward(
            input.values(),
            gamma.values(),
            epsilon as f32,
            grad.values_mut(),
        );
        let d = d_gamma.len();
        [grad, tensor(d_gamma, vec![d]), tensor(d_beta, vec![d])]
    }

    fn outer_products(lhs: FlexTensor, rhs: FlexTensor) -> FlexTensor {
        let [p, g] = shape_of(&lhs)[..] else { panic!("rows are [p, g]") };
        let mut product = vec![0f32; p * g * g];
        cpu::outer_products(contiguous(lhs).values(), contiguous(rhs).values(), g, &mut product);
        tensor(product, vec![p, g * g])
    }

    fn dropout(input: FlexTensor, mask: &DropoutMask) -> FlexTensor {
        in_place(input, |values| cpu::dropout(values, mask))
    }

    fn adamw_step(tensors: AdamWTensors<FlexTensor>, step: &AdamWStep) -> AdamWTensors<FlexTensor> {
        cpu::adamw_step(tensors.map(contiguous), step)
    }

    fn sum_of_squares(values: FlexTensor) -> FlexTensor {
        tensor(vec![cpu::sum_of_squares(contiguous(values).values())], vec![1])
    }
}

impl CpuTensor for FlexTensor {
    fn values(&self) -> &[f32] {
        self.storage()
    }

    fn values_mut(&mut self) -> &mut [f32] {
        self.storage_mut()
    }
}

/// Returns the values in row-major order, in a buffer without other values.
fn contiguous(tensor: FlexTensor) -> FlexTensor {
    // The tensor is moved, so a buffer with one reference still has one and is not copied later.
    tensor.to_contiguous()
}

/// Changes the values in place. A shared buffer is copied first.
fn in_place(tensor: FlexTensor, change: impl FnOnce(&mut [f32])) -> FlexTensor {
    let mut tensor = contiguous(tensor);
    change(tensor.values_mut());
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
    use super::Flex;
    use crate::ops::overrides::override_tests;

    override_tests!(Flex:
        softmax_equals_its_reference_body_with_and_without_a_bias
        attention_within_segments_equals_its_reference_body
        the_gradients_of_attention_within_segments_equal_those_of_the_reference_body
        gelu_equals_its_reference_body
        the_gradient_of_gelu_equals_that_of_the_reference_body
        tanh_equals_that_of_the_backend
        the_gradients_of_layer_normalisation_equal_those_of_the_reference_body
        outer_products_equal_those_of_the_reference_body
        dropout_has_the_rate_and_the_scale_of_its_reference_body_and_reproduces_its_values
        a_step_of_adamw_equals_its_reference_body
        the_sum_of_squares_equals_its_reference_body
    );
}
