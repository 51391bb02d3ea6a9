//! Operations on libtorch by CPU kernels, if these are faster than libtorch's own
//! (`docs/operations.md`).
//!
//! On a GPU, and for data types other than f32, the reference bodies run.

use burn::tensor::{
    FloatDType, Shape, TensorMetadata,
    ops::{ActivationOps, FloatTensorOps},
};
use burn_tch::{LibTorch, LibTorchDevice, TchTensor};

use super::{
    adamw::{AdamWStep, AdamWTensors},
    cpu::{self, AttentionRows, CpuTensor},
    dropout::DropoutMask,
    operations::DocReOps,
    reference, segment_grid,
    segments::{AttentionLayout, SegmentAttention},
};

impl DocReOps for LibTorch {
    fn attention_layout(device: &LibTorchDevice) -> AttentionLayout {
        match device {
            LibTorchDevice::Cpu => AttentionLayout::Segments,
            _ => AttentionLayout::PaddedGrid,
        }
    }

    fn reproduces_dropout(device: &LibTorchDevice) -> bool {
        *device == LibTorchDevice::Cpu
    }

    // `float_from_data` copies the values once more.
    fn float_filled<E>(
        shape: Shape,
        device: &LibTorchDevice,
        fill: impl FnOnce(&mut [f32]) -> Result<(), E>,
    ) -> Result<TchTensor, E> {
        if *device != LibTorchDevice::Cpu {
            return reference::float_filled::<Self, E>(shape, device, fill);
        }
        let mut tensor = Self::float_empty(shape, device, FloatDType::F32);
        fill(tensor.values_mut())?;
        Ok(tensor)
    }

    fn segment_attention(
        query: TchTensor,
        key_value: TchTensor,
        attention: &SegmentAttention,
    ) -> TchTensor {
        if ![&query, &key_value].into_iter().all(is_cpu_f32) {
            return segment_grid::segment_attention::<Self>(query, key_value, attention);
        }
        let mut context = like(&query);
        let (query, key_value) = (contiguous(query), contiguous(key_value));
        let rows = AttentionRows { query: query.values(), key_value: key_value.values() };
        cpu::segment_attention(&rows, attention, context.values_mut());
        context
    }

    fn segment_attention_backward(
        query: TchTensor,
        key_value: TchTensor,
        grad: TchTensor,
        attention: &SegmentAttention,
    ) -> [TchTensor; 2] {
        if ![&query, &key_value, &grad].into_iter().all(is_cpu_f32) {
            return segment_grid::segment_attention_backward::<Self>(
                query, key_value, grad, attention,
            );
        }
        let (mut d_query, mut d_key_value) = (like(&query), like(&key_value));
        let (query, key_value) = (contiguous(query), contiguous(key_value));
        cpu::segment_attention_backward(
            &AttentionRows { query: query.values(), key_value: key_value.values() },
            contiguous(grad).values(),
            attention,
            d_query.values_mut(),
            d_key_value.values_mut(),
        );
        [d_query, d_key_value]
    }

    // libtorch's kernel computes the exact derivative too.
    fn gelu_rows_backward(input: TchTensor, grad: TchTensor) -> TchTensor {
        Self::gelu_backward(input, grad)
    }

    fn tanh_rows(input: TchTensor) -> TchTensor {
        if !is_cpu_f32(&input) {
            return Self::float_tanh(input);
        }
        in_place(input, cpu::tanh)
    }

    fn row_layer_norm_backward(
        input: TchTensor,
        gamma: TchTensor,
        grad: TchTensor,
        epsilon: f64,
    ) -> [TchTensor; 3] {
        if ![&input, &gamma, &grad].into_iter().all(is_cpu_f32) {
            return reference::row_layer_norm_backward::<Self>(input, gamma, grad, epsilon);
        }
        let [input, gamma, mut grad] = [input, gamma, grad].map(contiguous);
        let [d_gamma, d_beta] = cpu::layer_norm_backward(
            input.values(),
            gamma.values(),
            epsilon as f32,
            grad.values_mut(),
        )
        .map(|values| TchTensor::new(tch::Tensor::from_slice(&values)));
        [grad, d_gamma, d_beta]
    }

    // The reference body's batched products of a matrix and a vector spend most of their time in
    // MKL's packing.
    fn outer_products_backward(grad: TchTensor, lhs: TchTensor, rhs: TchTensor) -> [TchTensor; 2] {
        if ![&grad, &lhs, &rhs].into_iter().all(is_cpu_f32) {
            return reference::outer_products_backward::<Self>(grad, lhs, rhs);
        }
        let [_, g] = lhs.shape().dims();
        let (mut d_lhs, mut d_rhs) = (like(&lhs), like(&rhs));
        let [grad, lhs, rhs] = [grad, lhs, rhs].map(contiguous);
        let sides = [lhs.values(), rhs.values()];
        let gradients = [d_lhs.values_mut(), d_rhs.values_mut()];
        cpu::outer_products_backward(grad.values(), sides, g, gradients);
        [d_lhs, d_rhs]
    }

    fn dropout(input: TchTensor, mask: &DropoutMask) -> TchTensor {
        if !is_cpu_f32(&input) {
            return reference::dropout::<Self>(input, mask);
        }
        in_place(input, |values| cpu::dropout(values, mask))
    }

    fn adamw_step(tensors: AdamWTensors<TchTensor>, step: &AdamWStep) -> AdamWTensors<TchTensor> {
        if !is_cpu_f32(&tensors.param) {
            return reference::adamw_step::<Self>(tensors, step);
        }
        cpu::adamw_step(tensors.map(contiguous), step)
    }

    fn sum_of_squares(values: TchTensor) -> TchTensor {
        if !is_cpu_f32(&values) {
            return reference::sum_of_squares::<Self>(values);
        }
        let sum = cpu::sum_of_squares(contiguous(values).values());
        TchTensor::new(tch::Tensor::from_slice(&[sum]))
    }
}

fn is_cpu_f32(tensor: &TchTensor) -> bool {
    tensor.tensor.device() == tch::Device::Cpu && tensor.tensor.kind() == tch::Kind::Float
}

/// Allocates a tensor of the same shape on the processor, without values.
fn like(tensor: &TchTensor) -> TchTensor {
    <LibTorch>::float_empty(tensor.shape(), &LibTorchDevice::Cpu, FloatDType::F32)
}

/// Returns the values in row-major order.
fn contiguous(tensor: TchTensor) -> TchTensor {
    if tensor.tensor.is_contiguous() {
        return tensor;
    }
    TchTensor::new(tensor.tensor.contiguous())
}

/// Changes the values in place. A shared buffer is copied first.
fn in_place(tensor: TchTensor, change: impl FnOnce(&mut [f32])) -> TchTensor {
    let mut tensor = contiguous(tensor);
    change(tensor.values_mut());
    tensor
}

impl CpuTensor for TchTensor {
    fn values(&self) -> &[f32] {
        let n = self.shape().num_elements();
        if n == 0 {
            return &[];
        }
        assert!(is_cpu_f32(self) && self.tensor.is_contiguous());
        // SAFETY: by the assertion, the pointer is valid for `n` consecutive floats. The borrow
        // keeps the tensor and its memory alive.
        unsafe { std::slice::from_raw_parts(self.tensor.data_ptr().cast(), n) }
    }

    fn values_mut(&mut self) -> &mut [f32] {
        let n = self.shape().num_elements();
        if n == 0 {
            return &mut [];
        }
        assert!(is_cpu_f32(self) && self.tensor.is_contiguous());
        if !self.can_mut() {
            *self = TchTensor::new(self.tensor.copy());
        }
        // SAFETY: as in `values`. By `can_mut`, no other tensor of Burn shares the memory.
        unsafe { std::slice::from_raw_parts_mut(self.tensor.data_ptr().cast(), n) }
    }
}

#[cfg(test)]
mod tests {
    use super::LibTorch;
    use crate::ops::overrides::override_tests;

    // The default device of libtorch in Burn is the processor.
    override_tests!(LibTorch:
        a_filled_tensor_has_the_values_of_its_reference_body_or_the_error_of_the_filler
        attention_within_segments_equals_its_reference_body
        the_gradients_of_attention_within_segments_equal_those_of_the_reference_body
        the_gradient_of_gelu_equals_that_of_the_reference_body
        tanh_equals_that_of_the_backend
        the_gradients_of_layer_normalisation_equal_those_of_the_reference_body
        the_gradients_of_outer_products_equal_those_of_the_reference_body
        dropout_has_the_rate_and_the_scale_of_its_reference_body_and_reproduces_its_values
        a_step_of_adamw_equals_its_reference_body
        the_sum_of_squares_equals_its_reference_body
    );
}
