//! GELU and tanh, with an exponential that the compiler vectorises.

use rayon::prelude::*;

use super::{
    parts::{NullaryFnOnce, PART, vectorized},
    softmax::exp,
};

/// Computes `x Φ(x)` in place, with the standard normal distribution Φ.
pub(crate) fn gelu(values: &mut [f32]) {
    values.par_chunks_mut(PART).for_each(|values| vectorized(Gelu { values }));
}

/// The loop of [`gelu`].
struct Gelu<'a> {
    values: &'a mut [f32],
}

impl NullaryFnOnce for Gelu<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { values } = self;
        values.iter_mut().for_each(|x| *x *= Normal::at(*x).distribution);
    }
}

/// Multiplies a gradient by GELU's derivative at `x`: `Φ(x) + x φ(x)`.
pub(crate) fn gelu_backward(x: &[f32], grad: &mut [f32]) {
    let parts = grad.par_chunks_mut(PART).zip(x.par_chunks(PART));
    parts.for_each(|(grad, x)| vectorized(GeluBackward { x, grad }));
}

/// The loop of [`gelu_backward`].
struct GeluBackward<'a> {
    x: &'a [f32],
    grad: &'a mut [f32],
}

impl NullaryFnOnce for GeluBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { x, grad } = self;
        for (grad, x) in grad.iter_mut().zip(x) {
            let normal = Normal::at(*x);
            *grad *= normal.distribution + x * normal.density;
        }
    }
}

/// Computes tanh in place, with an absolute error of at most 1e-7.
pub(crate) fn tanh(values: &mut [f32]) {
    values.par_chunks_mut(PART).for_each(|values| vectorized(Tanh { values }));
}

/// The loop of [`tanh`].
struct Tanh<'a> {
    values: &'a mut [f32],
}

impl NullaryFnOnce for Tanh<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { values } = self;
        for x in values {
            let decay = exp(-2.0 * x.abs());
            *x = ((1.0 - decay) / (1.0 + decay)).copysign(*x);
        }
    }
}

/// The standard normal distribution at a point: its distribution function and its density.
struct Normal {
    distribution: f32,
    density: f32,
}

impl Normal {
    /// Computes both at `x`, the distribution function to 1e-7.
    ///
    /// The error function is formula 7.1.26 of Abramowitz and Stegun.
    #[inline(always)]
    fn at(x: f32) -> Self {
        const FREQUENCY: f32 = 0.327_591_1 * std::f32::consts::FRAC_1_SQRT_2;
        const INVERSE_SQRT_TAU: f32 = 0.398_942_3;
        let decay = exp(-0.5 * x * x);
        let t = 1.0 / (1.0 + FREQUENCY * x.abs());
        let mut sum = 1.061_405_4_f32;
        for coefficient in [-1.453_152_1, 1.421_413_8, -0.284_496_72, 0.254_829_6] {
            sum = sum * t + coefficient;
        }
        let tail = 0.5 * sum * t * decay;
        let distribution = if x < 0.0 { tail } else { 1.0 - tail };
        Self { distribution, density: INVERSE_SQRT_TAU * decay }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tanh_agrees_with_the_standard_library() {
        for i in -12_000..=12_000 {
            let x = i as f32 / 1000.0;
            let mut ours = [x];
            tanh(&mut ours);
            assert!(
                (ours[0] - x.tanh()).abs() <= 1.5e-7,
                "tanh {x}: {} against {}",
                ours[0],
                x.tanh()
            );
        }
    }

    #[test]
    fn nan_stays_nan() {
        let mut values = [f32::NAN; 3];
        tanh(&mut values[..1]);
        gelu(&mut values[1..2]);
        gelu_backward(&[f32::NAN], &mut values[2..]);
        assert!(values.iter().all(|x| x.is_nan()), "{values:?}");
    }

    #[test]
    fn the_normal_distribution_has_its_tabulated_values() {
        for (x, expected) in [(0.0, 0.5), (1.0, 0.841_344_8), (-1.96, 0.024_997_9), (6.0, 1.0)] {
            let ours = Normal::at(x).distribution;
            assert!((ours - expected).abs() <= 1.5e-7, "Φ({x}): {ours} against {expected}");
        }
        assert!((Normal::at(0.0).density - 0.398_942_3).abs() < 1e-7);
    }
}
