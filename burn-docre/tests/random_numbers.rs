//! Dropout and seeded draws on the first backend of the build.
//!
//! A backend's generator may be shared by all threads, so these tests are a program of their own, in
//! which everything that draws random numbers takes turns.

#![recursion_limit = "256"]

use std::thread;

use burn::{
    backend::Autodiff,
    tensor::{Distribution, Tensor},
};
use burn_docre::{
    BackendTask, DocReBackend, dispatch,
    ops::{self, DropoutMask},
};

fn mask(seed: u64) -> DropoutMask {
    DropoutMask { probability: 0.1, seed }
}

/// The factors of the mask of a seed, for 100,000 values.
fn factors<B: DocReBackend>(seed: u64, device: &B::Device) -> Vec<f32> {
    let ones = Tensor::<B, 2>::ones([100, 1000], device);
    values(ops::dropout(ones, &mask(seed)))
}

fn values<B: DocReBackend>(tensor: Tensor<B, 2>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().into_vec().expect("floats")
}

struct HasItsRate;

impl BackendTask for HasItsRate {
    type Output = ();

    fn run<B: DocReBackend>(self, device: B::Device) {
        let factors_of = |seed| factors::<B>(seed, &device);
        let factors = factors_of(7);
        let kept = factors.iter().filter(|factor| **factor > 0.0).count();
        assert!((89_000..91_000).contains(&kept), "{kept}");
        assert!(factors.iter().all(|factor| *factor == 0.0 || (*factor - 1.0 / 0.9).abs() < 1e-4));
        assert_eq!(factors, factors_of(7));
        assert_ne!(factors, factors_of(8));

        let ones = Tensor::<Autodiff<B>, 2>::ones([100, 1000], &device).require_grad();
        let gradients = (ops::dropout(ones.clone(), &mask(7)) * 3.0).sum().backward();
        let gradient = values(ones.grad(&gradients).expect("tracked"));
        assert!(gradient.iter().zip(&factors).all(|(g, factor)| (g - 3.0 * factor).abs() < 1e-5));
    }
}

#[test]
fn dropout_has_its_rate_depends_on_its_seed_and_applies_the_same_factors_to_the_gradient() {
    dispatch(None, 0, HasItsRate).expect("a backend");
}

/// Compares `draw` of three seeds in three threads with the same draws one after the other.
fn assert_of_its_seed_in_every_thread(draw: impl Fn(u64) -> Vec<f32> + Sync) {
    let expected = [1, 2, 3].map(&draw);
    thread::scope(|scope| {
        for (seed, expected) in (1..).zip(&expected) {
            let draw = &draw;
            scope.spawn(move || {
                for _ in 0..10 {
                    assert!(draw(seed) == *expected, "seed {seed}");
                }
            });
        }
    });
}

struct MasksInThreads;

impl BackendTask for MasksInThreads {
    type Output = ();

    fn run<B: DocReBackend>(self, device: B::Device) {
        assert_of_its_seed_in_every_thread(|seed| factors::<B>(seed, &device));
    }
}

#[test]
fn threads_that_draw_at_the_same_time_have_the_masks_of_their_seeds() {
    dispatch(None, 0, MasksInThreads).expect("a backend");
}

struct DrawsInThreads;

impl BackendTask for DrawsInThreads {
    type Output = ();

    fn run<B: DocReBackend>(self, device: B::Device) {
        // Two draws for each seed: those of another thread could come in between.
        let row = || Tensor::<B, 2>::random([1, 256], Distribution::Default, &device);
        assert_of_its_seed_in_every_thread(|seed| {
            ops::seeded::<B, _>(seed, &device, || [row(), row()]).map(values).concat()
        });
    }
}

#[test]
fn threads_that_draw_at_the_same_time_have_the_values_of_their_seeds() {
    dispatch(None, 0, DrawsInThreads).expect("a backend");
}
