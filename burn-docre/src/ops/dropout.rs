//! Dropout masks.

/// A dropout mask, given by its probability and seed.
///
/// If [`DocReOps::reproduces_dropout`](super::DocReOps::reproduces_dropout) is true for a device,
/// equal masks drop the same values on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DropoutMask {
    /// The probability of setting a value to 0, in `[0, 1)`.
    pub probability: f64,
    /// The seed of the random generator.
    pub seed: u64,
}
