//! The operations on libtorch that are worth a loop of our own.
//!
//! On the processor libtorch 2.9 draws dropout masks in one thread, and AdamW written with ordinary operations passes
//! fifteen times over the memory. On a GPU, and for numbers that are not `f32`, the default bodies run.

use std::{fs, path::Path, sync::LazyLock};

use burn::tensor::{DType, FloatDType, TensorMetadata, ops::FloatTensorOps};
use burn_tch::{LibTorch, LibTorchDevice, TchTensor};

use super::{DeviceInfo, nvidia};
use crate::{
    nn::dropout::DropoutMask,
    ops::cpu::{self as host, HostTensor},
    ops::{self, AdamWStep, AdamWTensors, DocReBackend, LineAttention},
};

impl DocReBackend for LibTorch {
    /// CUDA devices first, the processor last.
    fn find_devices() -> Result<Vec<(LibTorchDevice, DeviceInfo)>, String> {
        let libtorch = libtorch();
        let n_cuda = usize::try_from(tch::Cuda::device_count()).unwrap_or(0);
        let mut known = nvidia::devices().unwrap_or_default().into_iter();
        let cuda = (0..n_cuda).map(|index| {
            let unknown =
                || DeviceInfo { name: format!("CUDA device {index}"), ..DeviceInfo::default() };
            let info = known.next().unwrap_or_else(unknown);
            let drivers = [libtorch.as_str(), &info.drivers].join(", ");
            (LibTorchDevice::Cuda(index), DeviceInfo { drivers, ..info })
        });
        let processor = DeviceInfo { drivers: libtorch.clone(), ..super::processor() };
        Ok(cuda.chain([(LibTorchDevice::Cpu, processor)]).collect())
    }

    fn n_threads(device: &LibTorchDevice) -> usize {
        match device {
            LibTorchDevice::Cpu => *N_THREADS as usize,
            _ => 1,
        }
    }

    fn on_threads<T: Send>(n_threads: usize, work: impl FnOnce() -> T + Send) -> T {
        host::on_threads(n_threads, move || {
            let _limit = ThreadLimit::new(n_threads);
            work()
        })
    }

    fn has_host_loops(device: &LibTorchDevice) -> bool {
        *device == LibTorchDevice::Cpu
    }

    fn masked_softmax(scores: TchTensor, key_bias: Option<TchTensor>) -> TchTensor {
        if !is_on_host(&scores) {
            return ops::default::masked_softmax::<Self>(scores, key_bias);
        }
        let [_, n_heads, q, k] = scores.shape().dims();
        let bias = key_bias.map(contiguous);
        let bias = bias.as_ref().map(HostTensor::numbers);
        in_place(scores, |scores| host::masked_softmax(scores, bias, [n_heads * q, k]))
    }

    fn line_attention(
        query: TchTensor,
        key_value: TchTensor,
        attention: &LineAttention,
    ) -> TchTensor {
        let mut context = like(&query);
        let (query, key_value) = (contiguous(query), contiguous(key_value));
        let rows = host::rows(&query, &key_value);
        host::line_attention(&rows, attention, context.numbers_mut());
        context
    }

    fn line_attention_backward(
        query: TchTensor,
        key_value: TchTensor,
        grad: TchTensor,
        attention: &LineAttention,
    ) -> [TchTensor; 2] {
        let (mut d_query, mut d_key_value) = (like(&query), like(&key_value));
        let (query, key_value) = (contiguous(query), contiguous(key_value));
        host::line_attention_backward(
            &host::rows(&query, &key_value),
            contiguous(grad).numbers(),
            attention,
            d_query.numbers_mut(),
            d_key_value.numbers_mut(),
        );
        [d_query, d_key_value]
    }

    fn gelu_rows(input: TchTensor) -> TchTensor {
        if !is_on_host(&input) {
            return ops::default::gelu_rows::<Self>(input);
        }
        in_place(input, host::gelu)
    }

    fn gelu_rows_backward(input: TchTensor, grad: TchTensor) -> TchTensor {
        if !is_on_host(&input) {
            return ops::default::gelu_rows_backward::<Self>(input, grad);
        }
        in_place(grad, |grad| host::gelu_backward(contiguous(input).numbers(), grad))
    }

    fn tanh_rows(input: TchTensor) -> TchTensor {
        if !is_on_host(&input) {
            return Self::float_tanh(input);
        }
        in_place(input, host::tanh)
    }

    fn row_layer_norm_backward(
        input: TchTensor,
        gamma: TchTensor,
        grad: TchTensor,
        epsilon: f64,
    ) -> [TchTensor; 3] {
        if ![&input, &gamma, &grad].into_iter().all(is_on_host) {
            return ops::default::row_layer_norm_backward::<Self>(input, gamma, grad, epsilon);
        }
        let mut d_input = like(&input);
        let [input, gamma, grad] = [input, gamma, grad].map(contiguous);
        let [d_gamma, d_beta] = host::layer_norm_backward(
            input.numbers(),
            gamma.numbers(),
            grad.numbers(),
            epsilon as f32,
            d_input.numbers_mut(),
        )
        .map(|numbers| TchTensor::new(tch::Tensor::from_slice(&numbers)));
        [d_input, d_gamma, d_beta]
    }

    fn outer_products(lhs: TchTensor, rhs: TchTensor) -> TchTensor {
        if ![&lhs, &rhs].into_iter().all(is_on_host) {
            return ops::default::outer_products::<Self>(lhs, rhs);
        }
        let [p, g] = lhs.shape().dims();
        let mut product =
            Self::float_empty([p, g * g].into(), &LibTorchDevice::Cpu, FloatDType::F32);
        let [lhs, rhs] = [lhs, rhs].map(contiguous);
        host::outer_products(lhs.numbers(), rhs.numbers(), g, product.numbers_mut());
        product
    }

    /// As batched products of a matrix and a vector, these spend most of their time in MKL's packing.
    fn outer_products_backward(grad: TchTensor, lhs: TchTensor, rhs: TchTensor) -> [TchTensor; 2] {
        if ![&grad, &lhs, &rhs].into_iter().all(is_on_host) {
            return ops::default::outer_products_backward::<Self>(grad, lhs, rhs);
        }
        let [_, g] = lhs.shape().dims();
        let (mut d_lhs, mut d_rhs) = (like(&lhs), like(&rhs));
        let [grad, lhs, rhs] = [grad, lhs, rhs].map(contiguous);
        let sides = [lhs.numbers(), rhs.numbers()];
        let gradients = [d_lhs.numbers_mut(), d_rhs.numbers_mut()];
        host::outer_products_backward(grad.numbers(), sides, g, gradients);
        [d_lhs, d_rhs]
    }

    /// Adds each group's product to the sum as MKL computes it.
    fn grouped_bilinear(
        head: TchTensor,
        tail: TchTensor,
        weight: TchTensor,
        n_groups: usize,
    ) -> TchTensor {
        if ![&head, &tail, &weight].into_iter().all(is_on_host) {
            return ops::default::grouped_bilinear::<Self>(head, tail, weight, n_groups);
        }
        let groups = Groups::new(&head, &tail, n_groups);
        let output = zeros([groups.p, weight.shape().dims::<2>()[1]]);
        for (start, n) in groups.chunks() {
            let mut sum = output.tensor.narrow(0, start, n);
            for group in 0..n_groups as i64 {
                let _same = sum.addmm_(&groups.outer(start, n, group), &groups.of(&weight, group));
            }
        }
        output
    }

    /// Writes each group's product to its place.
    fn grouped_bilinear_weight_gradient(
        head: TchTensor,
        tail: TchTensor,
        grad: TchTensor,
        n_groups: usize,
        dtype: DType,
    ) -> TchTensor {
        if dtype != DType::F32 || ![&head, &tail, &grad].into_iter().all(is_on_host) {
            return ops::default::grouped_bilinear_weight_gradient::<Self>(
                head, tail, grad, n_groups, dtype,
            );
        }
        let groups = Groups::new(&head, &tail, n_groups);
        let d_weight = zeros([groups.n_weights(), grad.shape().dims::<2>()[1]]);
        for (start, n) in groups.chunks() {
            let grad = grad.tensor.narrow(0, start, n);
            for group in 0..n_groups as i64 {
                let mut of_group = groups.of(&d_weight, group);
                let _same = of_group.addmm_(&groups.outer(start, n, group).tr(), &grad);
            }
        }
        d_weight
    }

    fn dropout(input: TchTensor, mask: &DropoutMask) -> TchTensor {
        if !is_on_host(&input) {
            return ops::default::dropout::<Self>(input, mask);
        }
        in_place(input, |numbers| host::dropout(numbers, mask))
    }

    fn adamw_step(tensors: AdamWTensors<TchTensor>, step: &AdamWStep) -> AdamWTensors<TchTensor> {
        if !is_on_host(&tensors.param) {
            return ops::default::adamw_step::<Self>(tensors, step);
        }
        host::adamw_step(tensors.map(contiguous), step)
    }

    fn sum_of_squares(numbers: TchTensor) -> TchTensor {
        if !is_on_host(&numbers) {
            return ops::default::sum_of_squares::<Self>(numbers);
        }
        let sum = host::sum_of_squares(contiguous(numbers).numbers());
        TchTensor::new(tch::Tensor::from_slice(&[sum]))
    }
}

/// libtorch's threads on the processor, as the process started.
static N_THREADS: LazyLock<i32> = LazyLock::new(|| tch::get_num_threads().max(1));

/// A limit on the threads that libtorch uses for the operations of this thread.
///
/// libtorch keeps the last number set for the threads that come later, so it is set back at the end.
struct ThreadLimit;

impl ThreadLimit {
    fn new(n_threads: usize) -> Self {
        LazyLock::force(&N_THREADS);
        tch::set_num_threads(n_threads as i32);
        Self
    }
}

impl Drop for ThreadLimit {
    fn drop(&mut self) {
        tch::set_num_threads(*N_THREADS);
    }
}

/// The libtorch that this process has loaded, which need not be the one that it was built with.
fn libtorch() -> String {
    loaded_version().map_or("libtorch of unknown version".into(), |v| format!("libtorch {v}"))
}

fn loaded_version() -> Option<String> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let library = maps.lines().find_map(|line| {
        let path = &line[line.find('/')?..];
        path.ends_with("/libtorch_cpu.so").then_some(Path::new(path))
    })?;
    let root = library.parent()?.parent()?;
    // The archives have the one file, the wheels the other.
    if let Ok(version) = fs::read_to_string(root.join("build-version")) {
        return Some(version.trim().into());
    }
    let module = fs::read_to_string(root.join("version.py")).ok()?;
    let version = module.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
    Some(version.trim_matches(['\'', '"']).into())
}

/// The two sides of a grouped bilinear form, on the processor.
struct Groups<'a> {
    head: &'a TchTensor,
    tail: &'a TchTensor,
    /// Rows.
    p: usize,
    n_groups: usize,
    /// Numbers of a group.
    g: i64,
}

impl<'a> Groups<'a> {
    fn new(head: &'a TchTensor, tail: &'a TchTensor, n_groups: usize) -> Self {
        let [p, emb] = head.shape().dims();
        Self { head, tail, p, n_groups, g: (emb / n_groups) as i64 }
    }

    /// First row and number of rows whose outer products are held at a time.
    fn chunks(&self) -> impl Iterator<Item = (i64, i64)> {
        let p = self.p;
        let starts = (0..p).step_by(ops::OUTER_PRODUCT_ROWS);
        starts.map(move |start| (start as i64, ops::OUTER_PRODUCT_ROWS.min(p - start) as i64))
    }

    /// The outer products of a group, `[n, g * g]`.
    fn outer(&self, start: i64, n: i64, group: i64) -> tch::Tensor {
        let side = |rows: &TchTensor| {
            TchTensor::new(rows.tensor.narrow(0, start, n).narrow(1, group * self.g, self.g))
        };
        <LibTorch>::outer_products(side(self.head), side(self.tail)).tensor
    }

    /// Rows of all groups' weights.
    fn n_weights(&self) -> usize {
        self.n_groups * (self.g * self.g) as usize
    }

    /// A group's rows of `weight`.
    fn of(&self, weight: &TchTensor, group: i64) -> tch::Tensor {
        let n = self.g * self.g;
        weight.tensor.narrow(0, group * n, n)
    }
}

fn is_on_host(tensor: &TchTensor) -> bool {
    tensor.tensor.device() == tch::Device::Cpu && tensor.tensor.kind() == tch::Kind::Float
}

/// A tensor of the same shape on the processor, its numbers arbitrary.
fn like(tensor: &TchTensor) -> TchTensor {
    <LibTorch>::float_empty(tensor.shape(), &LibTorchDevice::Cpu, FloatDType::F32)
}

fn zeros(shape: [usize; 2]) -> TchTensor {
    <LibTorch>::float_zeros(shape.into(), &LibTorchDevice::Cpu, FloatDType::F32)
}

/// The same numbers in row-major order.
fn contiguous(tensor: TchTensor) -> TchTensor {
    if tensor.tensor.is_contiguous() {
        return tensor;
    }
    TchTensor::new(tensor.tensor.contiguous())
}

/// The tensor with its numbers changed; copied before where somebody else holds them too.
fn in_place(tensor: TchTensor, change: impl FnOnce(&mut [f32])) -> TchTensor {
    let mut tensor = contiguous(tensor);
    change(tensor.numbers_mut());
    tensor
}

impl HostTensor for TchTensor {
    fn numbers(&self) -> &[f32] {
        let n = self.shape().num_elements();
        if n == 0 {
            return &[];
        }
        assert!(is_on_host(self) && self.tensor.is_contiguous());
        // SAFETY: the assertion says that `n` floats lie there, one after the other; the borrow keeps the tensor, and
        // with it the memory, alive.
        unsafe { std::slice::from_raw_parts(self.tensor.data_ptr().cast(), n) }
    }

    fn numbers_mut(&mut self) -> &mut [f32] {
        let n = self.shape().num_elements();
        if n == 0 {
            return &mut [];
        }
        assert!(is_on_host(self) && self.tensor.is_contiguous());
        if !self.can_mut() {
            *self = TchTensor::new(self.tensor.copy());
        }
        // SAFETY: as above, and `can_mut` says that no other tensor of Burn shares the memory.
        unsafe { std::slice::from_raw_parts_mut(self.tensor.data_ptr().cast(), n) }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_library_that_is_loaded_says_its_version() {
        let version = libtorch();
        assert!(version.starts_with("libtorch 2."), "{version}");
    }
}
