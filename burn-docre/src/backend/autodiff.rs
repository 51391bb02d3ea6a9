//! The devices of an autodiff backend, which are those of the backend that it wraps.

use burn_autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};

use super::device::{DeviceBackend, FoundDevices};

impl<B: DeviceBackend, C: CheckpointStrategy> DeviceBackend for Autodiff<B, C> {
    fn find_devices() -> FoundDevices<Self> {
        B::find_devices()
    }

    fn runs_on_processor(device: &B::Device) -> bool {
        B::runs_on_processor(device)
    }

    fn memory_held(device: &B::Device) -> Option<u64> {
        B::memory_held(device)
    }

    fn n_threads(device: &B::Device) -> usize {
        B::n_threads(device)
    }

    fn on_threads<T: Send>(n_threads: usize, work: impl FnOnce() -> T + Send) -> T {
        B::on_threads(n_threads, work)
    }
}
