//! The parts of parallel kernels, and the choice of an instruction set.

pub(super) use pulp::NullaryFnOnce;

/// The number of values in a part, which one thread processes. Rows are not divided between parts.
pub(super) const PART: usize = 16 * 1024;

/// Runs a loop with the widest instruction set of this processor: AVX-512, AVX2, or that of the
/// build.
///
/// Only inlined code is compiled for that set. So `call` and the functions that it calls must be
/// `#[inline(always)]`, which closures cannot be. The loops combine values in a fixed order and
/// without fused products. So every set gives the same results.
#[inline(always)]
pub(super) fn vectorized<L: NullaryFnOnce>(body: L) -> L::Output {
    pulp::Arch::new().dispatch(body)
}
