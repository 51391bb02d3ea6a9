//! The flex backend, Burn's own in pure Rust, on the processor.

use burn_flex::{Flex, FlexDevice};

use super::{
    device::{DeviceBackend, FoundDevices},
    processor::processor,
    threads,
};

impl DeviceBackend for Flex {
    fn find_devices() -> FoundDevices<Self> {
        Ok(vec![(FlexDevice, processor())])
    }

    fn runs_on_processor(_device: &FlexDevice) -> bool {
        true
    }

    fn n_threads(_device: &FlexDevice) -> usize {
        rayon::current_num_threads()
    }

    fn on_threads<T: Send>(n_threads: usize, work: impl FnOnce() -> T + Send) -> T {
        threads::on_threads(n_threads, work)
    }
}
