//! The memory pools of CubeCL.

/// The size of this thread's memory pool on a device, in bytes.
///
/// A pool never shrinks, so after some work its size is the peak of the work.
pub(super) fn size<R: cubecl::Runtime>(device: &R::Device) -> Option<u64> {
    R::client(device).memory_usage().ok().map(|usage| usage.bytes_reserved)
}
