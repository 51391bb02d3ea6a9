//! The model's operations on flex, by loops of our own.
//!
//! Flex 0.21 walks a broadcast operand element by element, draws dropout masks one number at a time and computes
//! exponentials in one thread; in a profile of the demo these were close to half of a training step.

use burn::tensor::{Distribution, FloatDType, Shape, TensorData, ops::FloatTensorOps};
use burn_flex::{Flex, FlexDevice, FlexTensor};
use rayon::prelude::*;

use super::{
    DeviceInfo,
    host::{self, HostTensor, PART},
};
use crate::ops::{AdamWStep, AdamWTensors, DocReBackend};

impl DocReBackend for Flex {
    fn find_devices() -> Result<Vec<(FlexDevice, DeviceInfo)>, String> {
        Ok(vec![(FlexDevice, host::processor())])
    }

    fn masked_softmax(scores: FlexTensor, key_bias: Option<FlexTensor>) -> FlexTensor {
        let shape = shape_of(&scores);
        let [n, n_heads, q, k] = shape[..] else { panic!("scores are [n, n_heads, q, k]") };
        let bias = key_bias.map(floats);
        let mut values = floats(scores);
        let rows_per_part = (PART / k.max(1)).max(1);
        values.par_chunks_mut(rows_per_part * k).enumerate().for_each(|(part, rows)| {
            for (i, row) in rows.chunks_exact_mut(k).enumerate() {
                if let Some(bias) = &bias {
                    let document = (part * rows_per_part + i) / (n_heads * q);
                    let bias = &bias[document * k..(document + 1) * k];
                    row.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
                }
                softmax(row);
            }
        });
        tensor(values, vec![n, n_heads, q, k])
    }

    fn outer_products(lhs: FlexTensor, rhs: FlexTensor) -> FlexTensor {
        let [p, g] = shape_of(&lhs)[..] else { panic!("rows are [p, g]") };
        let mut product = vec![0f32; p * g * g];
        host::outer_products(&floats(lhs), &floats(rhs), g, &mut product);
        tensor(product, vec![p, g * g])
    }

    fn dropout_mask(shape: Shape, probability: f64, device: &Self::Device) -> FlexTensor {
        let uniform = Distribution::Uniform(0.0, 1.0);
        let draw = floats(Self::float_random([2].into(), uniform, device, FloatDType::F32));
        let mut mask = vec![0f32; shape.num_elements()];
        host::fill_dropout_mask(&mut mask, probability, host::mask_seed(&draw));
        tensor(mask, shape.as_slice().to_vec())
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

fn shape_of(tensor: &FlexTensor) -> Vec<usize> {
    tensor.layout().shape().as_slice().to_vec()
}

/// The numbers in row-major order; without a copy where nobody else holds them.
fn floats(tensor: FlexTensor) -> Vec<f32> {
    let data = tensor.to_contiguous().into_data();
    data.into_vec().expect("the model computes in f32")
}

fn tensor(values: Vec<f32>, shape: Vec<usize>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// Softmax of one row in place.
fn softmax(row: &mut [f32]) {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    row.iter_mut().for_each(|value| *value = exp(*value - max));
    let scale = 1.0 / row.iter().sum::<f32>();
    row.iter_mut().for_each(|value| *value *= scale);
}

/// `e^x` for `x <= 0` to two units in the last place, written so that it vectorises: `2^n e^r` with `|r| <= ln 2 / 2`
/// and the Taylor polynomial of degree 7 for `e^r`.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// ln 2 in two parts, so that `x - n ln 2` is exact to single precision.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // e^-87 is the smallest power that is a normal number; smaller ones count as 0 beside the row's maximum of 1.
    let is_tiny = x < -87.0;
    let x = x.max(-87.0);
    let n = (x * std::f32::consts::LOG2_E).round_ties_even();
    let r = x - n * LN2_HIGH - n * LN2_LOW;
    let mut power = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        power = power * r + coefficient;
    }
    let scaled = power * f32::from_bits(((n as i32 + 127) << 23) as u32);
    if is_tiny { 0.0 } else { scaled }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Distribution, Tensor, Tolerance, activation};

    use super::*;
    use crate::ops;

    #[test]
    fn the_exponential_agrees_with_the_standard_library() {
        for i in 0..=87_000 {
            let x = -(i as f32) / 1000.0;
            let (ours, exact) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((ours - exact).abs() <= 2.5e-7 * exact, "e^{x}: {ours} against {exact}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-1e30), 0.0);
    }

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

    #[test]
    fn a_dropout_mask_keeps_its_share_and_follows_the_seed() {
        let device = Default::default();
        let mask = |seed| {
            <Flex as burn::tensor::backend::Backend>::seed(&device, seed);
            floats(Flex::dropout_mask(Shape::from([100, 1000]), 0.1, &device))
        };
        let values = mask(7);
        let kept = values.iter().filter(|value| **value > 0.0).count();
        assert!((89_000..91_000).contains(&kept), "{kept}");
        assert!(values.iter().all(|value| *value == 0.0 || (*value - 1.0 / 0.9).abs() < 1e-6));
        assert_eq!(values, mask(7));
        assert_ne!(values, mask(8));
    }
}
