//! The parts into which parallel kernels divide their values.

/// The least number of values of a parallel task.
pub(crate) const PART: usize = 16 * 1024;
