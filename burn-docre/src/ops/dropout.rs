//! Masks of dropout.

/// A choice of the values that dropout sets to 0, as a function of a seed.
///
/// [`DocReOps::reproduces_dropout`](super::DocReOps::reproduces_dropout) tells whether the same mask
/// drops the same values each time on a device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DropoutMask {
    /// The probability of a value to be dropped, in `[0, 1)`.
    pub probability: f64,
    /// The seed of the random generator.
    pub seed: u64,
}
