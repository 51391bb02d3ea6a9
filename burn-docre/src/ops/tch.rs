//! Operations on libtorch by CPU kernels.
//!
//! On the processor libtorch 2.9 draws dropout masks in one thread, and AdamW in ordinary operations
//! reads the memory fifteen times. On a GPU, and for other data types than f32, the reference bodies run.

use std::ops::Range;

use burn::tensor::{DType, FloatDType, TensorMetadata, ops::FloatTensorOps};
use burn_tch::{LibTorch, LibTorchDevice, TchTensor};

use super::{
    adamw::{AdamWStep, AdamWTensors},
    bilinear::{self, Groups, Part},
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

    fn masked_softmax(scores: TchTensor, key_bias: Option<TchTensor>) -> TchTensor {
        if !is_cpu_f32(&scores) {
            return reference::masked_softmax::<Self>(scores, key_bias);
        }
        let [_, n_heads, q, k] = scores.shape().dims();
        let bias = key_bias.map(contiguous);
        let bias = bias.as_ref().map(CpuTensor::values);
        in_place(scores, |scores| cpu::masked_softmax(scores, bias, [n_heads * q, k]))
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

    fn gelu_rows(input: TchTensor) -> TchTensor {
        if !is_cpu_f32(&input) {
            return reference::gelu_rows::<Self>(input);
        }
        in_place(input, cpu::gelu)
    }

    fn gelu_rows_backward(input: TchTensor, grad: TchTensor) -> TchTensor {
        if !is_cpu_f32(&input) {
            return reference::gelu_rows_backward::<Self>(input, grad);
        }
        in_place(grad, |grad| cpu::gelu_backward(contiguous(input).values(), grad))
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
        let mut d_input = like(&input);
        let [input, gamma, grad] = [input, gamma, grad].map(contiguous);
        let [d_gamma, d_beta] = cpu::layer_norm_backward(
            input.values(),
            gamma.values(),
            grad.values(),
            epsilon as f32,
            d_input.values_mut(),
        )
        .map(|values| TchTensor::new(tch::Tensor::from_slice(&values)));
        [d_input, d_gamma, d_beta]
    }

    fn outer_products(lhs: TchTensor, rhs: TchTensor) -> TchTensor {
        if ![&lhs, &rhs].into_iter().all(is_cpu_f32) {
            return reference::outer_products::<Self>(lhs, rhs);
        }
        let [p, g] = lhs.shape().dims();
        let mut product =
            Self::float_empty([p, g * g].into(), &LibTorchDevice::Cpu, FloatDType::F32);
        let [lhs, rhs] = [lhs, rhs].map(contiguous);
        cpu::outer_products(lhs.values(), rhs.values(), g, product.values_mut());
        product
    }

    // As batched products of a matrix and a vector, these spend most of their time in MKL's packing.
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

    // `addmm_` adds each group's product to the sum within MKL's product.
    fn grouped_bilinear(
        head: TchTensor,
        tail: TchTensor,
        weight: TchTensor,
        n_groups: usize,
    ) -> TchTensor {
        if ![&head, &tail, &weight].into_iter().all(is_cpu_f32) {
            return bilinear::grouped_bilinear::<Self>(
                head,
                tail,
                weight,
                n_groups,
                Self::outer_products,
            );
        }
        let groups = Groups::new(&head, n_groups);
        let output = zeros([groups.p, weight.shape().dims::<2>()[1]]);
        for part in groups.parts() {
            let mut sum = narrow(&output.tensor, 0, part.rows.clone());
            let weight = narrow(&weight.tensor, 0, part.weight_rows());
            let _same = sum.addmm_(&outer_products(&head, &tail, &part), &weight);
        }
        output
    }

    // `addmm_` writes each group's product to its place.
    fn grouped_bilinear_weight_gradient(
        head: TchTensor,
        tail: TchTensor,
        grad: TchTensor,
        n_groups: usize,
        dtype: DType,
    ) -> TchTensor {
        if dtype != DType::F32 || ![&head, &tail, &grad].into_iter().all(is_cpu_f32) {
            return bilinear::weight_gradient::<Self>(
                [head, tail],
                grad,
                n_groups,
                dtype,
                Self::outer_products,
            );
        }
        let groups = Groups::new(&head, n_groups);
        let n_weights = n_groups * groups.g * groups.g;
        let d_weight = zeros([n_weights, grad.shape().dims::<2>()[1]]);
        for part in groups.parts() {
            let grad = narrow(&grad.tensor, 0, part.rows.clone());
            let mut sum = narrow(&d_weight.tensor, 0, part.weight_rows());
            let _same = sum.addmm_(&outer_products(&head, &tail, &part).tr(), &grad);
        }
        d_weight
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

/// The outer products of a part, `[n, g * g]`.
fn outer_products(head: &TchTensor, tail: &TchTensor, part: &Part) -> tch::Tensor {
    let side = |side: &TchTensor| {
        TchTensor::new(narrow(&narrow(&side.tensor, 0, part.rows.clone()), 1, part.columns()))
    };
    <LibTorch>::outer_products(side(head), side(tail)).tensor
}

/// A range of a dimension, as a view.
fn narrow(tensor: &tch::Tensor, dim: i64, range: Range<usize>) -> tch::Tensor {
    tensor.narrow(dim, range.start as i64, range.len() as i64)
}

fn is_cpu_f32(tensor: &TchTensor) -> bool {
    tensor.tensor.device() == tch::Device::Cpu && tensor.tensor.kind() == tch::Kind::Float
}

/// Allocates a tensor of the same shape on the processor, without values.
fn like(tensor: &TchTensor) -> TchTensor {
    <LibTorch>::float_empty(tensor.shape(), &LibTorchDevice::Cpu, FloatDType::F32)
}

fn zeros(shape: [usize; 2]) -> TchTensor {
    <LibTorch>::float_zeros(shape.into(), &LibTorchDevice::Cpu, FloatDType::F32)
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
        // SAFETY: by the assertion `n` consecutive floats are there. The borrow keeps the tensor, and
        // with it the memory, alive.
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
        // SAFETY: as above, and by `can_mut` no other tensor of Burn shares the memory.
        unsafe { std::slice::from_raw_parts_mut(self.tensor.data_ptr().cast(), n) }
    }
}

#[cfg(test)]
mod tests {
    use super::LibTorch;
    use crate::ops::overrides::override_tests;

    // Burn's default device of libtorch is the processor.
    override_tests!(LibTorch);
}
