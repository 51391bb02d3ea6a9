//! The parts into which parallel kernels divide their values, and the instruction set of their loops.

pub(super) use pulp::NullaryFnOnce;

/// The least number of values of a parallel task.
pub(super) const PART: usize = 16 * 1024;

/// Runs a loop with the widest instruction set of this processor: AVX-512, AVX2, or that of the build.
///
/// Only code that is inlined uses that set. So `call` must be `#[inline(always)]`, which closures cannot
/// be, and so must the functions that it calls. The loops combine values in a fixed order and without
/// fused products, so every set gives the same results.
#[inline(always)]
pub(super) fn vectorized<L: NullaryFnOnce>(body: L) -> L::Output {
    pulp::Arch::new().dispatch(body)
}
