//! The trait of a backend's devices, and their descriptions.

use std::fmt;

use burn::tensor::backend::{Backend, BackendTypes};

use crate::error::Cause;

/// The description of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceInfo {
    /// The name of the device.
    pub name: String,
    /// The libraries and drivers between the backend and the device, with versions.
    ///
    /// Empty if there are none.
    pub drivers: String,
    /// The total memory in bytes, if known.
    pub memory: Option<u64>,
    /// True if the backend's matrix products in bf16 use instructions of the device for it, so that
    /// they are faster than those in f32.
    pub native_bf16: bool,
}

impl fmt::Display for DeviceInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.drivers.as_str() {
            "" => f.write_str(&self.name),
            drivers => write!(f, "{}, {drivers}", self.name),
        }
    }
}

/// The error of a backend that cannot start on this machine.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct StartError {
    /// The reason, with a remedy if there is one.
    pub reason: String,
    /// The error of a library or driver.
    pub source: Option<Cause>,
}

impl StartError {
    /// Creates an error without a cause.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), source: None }
    }

    /// Sets the cause.
    pub fn with_source(self, cause: impl Into<Cause>) -> Self {
        Self { source: Some(cause.into()), ..self }
    }
}

/// The devices that a backend finds on this machine, in the order of their numbers.
pub type FoundDevices<B> = Result<Vec<(<B as BackendTypes>::Device, DeviceInfo)>, StartError>;

/// The devices, memory and threads of a backend.
///
/// `impl DeviceBackend for MyBackend {}` describes one device other than the processor.
pub trait DeviceBackend: Backend {
    /// Finds the devices of this machine.
    ///
    /// # Errors
    /// If the backend cannot start on this machine.
    fn find_devices() -> FoundDevices<Self> {
        let device = Self::Device::default();
        let info = DeviceInfo { name: format!("{device:?}"), ..DeviceInfo::default() };
        Ok(vec![(device, info)])
    }

    /// Returns true if `device` is the processor.
    ///
    /// Its work then runs on threads and in memory of this process.
    fn runs_on_processor(_device: &Self::Device) -> bool {
        false
    }

    /// The peak memory of this thread's work on `device`, in bytes, if known.
    ///
    /// `None` for the processor, whose work uses the memory of the process.
    fn memory_held(_device: &Self::Device) -> Option<u64> {
        None
    }

    /// The number of CPU threads that share the work on `device`.
    ///
    /// It is 1 for a device other than the processor.
    fn n_threads(_device: &Self::Device) -> usize {
        1
    }

    /// Runs `work`, whose operations share at most `n_threads` CPU threads.
    fn on_threads<T: Send>(_n_threads: usize, work: impl FnOnce() -> T + Send) -> T {
        work()
    }

    /// Runs `work`, whose operations share all CPU threads of `device`.
    ///
    /// `work` itself runs on one of them. Called from any other thread, each operation waits while
    /// it wakes one of them, which takes a fifth of the time that a small model needs to train.
    fn on_all_threads<T: Send>(device: &Self::Device, work: impl FnOnce() -> T + Send) -> T {
        Self::on_threads(Self::n_threads(device), work)
    }
}
