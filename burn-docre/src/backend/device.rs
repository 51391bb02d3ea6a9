//! Devices of a backend.

use std::fmt;

use burn::tensor::backend::Backend;

use crate::error::Cause;

/// The description of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceInfo {
    /// The name of the device.
    pub name: String,
    /// The libraries and drivers between the backend and the device, with versions. Empty where all code is
    /// Burn's own.
    pub drivers: String,
    /// The memory in bytes, if known.
    pub memory: Option<u64>,
}

impl fmt::Display for DeviceInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.drivers.as_str() {
            "" => f.write_str(&self.name),
            drivers => write!(f, "{}, {drivers}", self.name),
        }
    }
}

/// The reason why a backend cannot start on this machine, and how to mend it.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct StartError {
    /// The reason.
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
pub type FoundDevices<B> =
    Result<Vec<(<B as burn::tensor::backend::BackendTypes>::Device, DeviceInfo)>, StartError>;

/// The devices, memory and threads of a backend.
///
/// `impl DeviceBackend for MyBackend {}` takes the default bodies, for one device that is not the
/// processor.
pub trait DeviceBackend: Backend {
    /// Finds the devices of this machine.
    ///
    /// # Errors
    /// If the backend cannot start here.
    fn find_devices() -> FoundDevices<Self> {
        let device = Self::Device::default();
        let info = DeviceInfo { name: format!("{device:?}"), ..DeviceInfo::default() };
        Ok(vec![(device, info)])
    }

    /// Whether `device` is the processor: the work runs on threads and in memory of this process.
    fn runs_on_processor(_device: &Self::Device) -> bool {
        false
    }

    /// The peak of the memory on `device` held by this thread's work, in bytes, if known.
    ///
    /// `None` for the processor, whose memory is that of the process.
    fn memory_held(_device: &Self::Device) -> Option<u64> {
        None
    }

    /// The number of the processor's threads that share the work on `device`; 1 for a device other than
    /// the processor.
    fn n_threads(_device: &Self::Device) -> usize {
        1
    }

    /// Runs `work` with a limit of `n_threads` threads for its operations.
    fn on_threads<T: Send>(_n_threads: usize, work: impl FnOnce() -> T + Send) -> T {
        work()
    }
}
