//! The parts into which parallel kernels divide their values, and the instruction set of their loops.

/// The least number of values of a parallel task.
pub(super) const PART: usize = 16 * 1024;

/// Calls `function` with the widest instruction set of this processor: AVX-512, AVX2, or that of the
/// build.
///
/// Only code that is inlined uses that set, so `function` must be `#[inline(always)]` and no closure.
/// The loops combine values in a fixed order and without fused products, so every set gives the same
/// results.
#[inline(always)]
pub(super) fn vectorized<A, T>(function: impl FnOnce(A) -> T, arguments: A) -> T {
    pulp::Arch::new().dispatch(Call { function, arguments })
}

/// A call whose function is inlined, unlike the body of a large closure.
struct Call<F, A> {
    function: F,
    arguments: A,
}

impl<A, T, F: FnOnce(A) -> T> pulp::NullaryFnOnce for Call<F, A> {
    type Output = T;

    #[inline(always)]
    fn call(self) -> T {
        (self.function)(self.arguments)
    }
}
