//! The memory pools of CubeCL.

/// Returns the size of this thread's memory pool on a device, in bytes, if known.
///
/// A pool never shrinks, so its size is the peak memory of the work so far.
pub(super) fn size<R: cubecl::Runtime>(device: &R::Device) -> Option<u64> {
    R::client(device).memory_usage().ok().map(|usage| usage.bytes_reserved)
}
