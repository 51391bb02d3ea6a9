//! The backends of the build, their devices and threads.
//!
//! Outside `ops`, only this module tests by `cfg` which backends are in the build.

use std::{fmt, str::FromStr};

use crate::{Error, Result, error::UnknownName};

mod autodiff;
#[cfg(feature = "cuda")]
mod cuda;
mod device;
#[cfg(feature = "flex")]
mod flex;
#[cfg(any(feature = "cuda", feature = "tch"))]
mod nvidia;
#[cfg(any(feature = "cuda", feature = "wgpu", feature = "vulkan", feature = "metal"))]
mod pool;
mod processor;
#[cfg(feature = "tch")]
mod tch;
#[cfg(any(feature = "flex", feature = "tch"))]
mod threads;
#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal"))]
mod wgpu;

pub use device::{DeviceBackend, DeviceInfo, FoundDevices, StartError};
pub use processor::processor;

/// Evaluates `$body`, a [`Result`], with `$B` as the type of the backend `$kind`.
///
/// Evaluates to an error if the backend is not in the build.
macro_rules! on_backend {
    ($kind:expr, $B:ident => $body:expr) => {
        match $kind {
            #[cfg(feature = "flex")]
            $crate::backend::BackendKind::Flex => {
                type $B = burn_flex::Flex;
                $body
            }
            #[cfg(feature = "tch")]
            $crate::backend::BackendKind::Tch => {
                type $B = burn_tch::LibTorch;
                $body
            }
            #[cfg(feature = "cuda")]
            $crate::backend::BackendKind::Cuda => {
                type $B = burn_cuda::Cuda;
                $body
            }
            #[cfg(feature = "vulkan")]
            $crate::backend::BackendKind::Vulkan => {
                type $B = burn_wgpu::Vulkan;
                $body
            }
            #[cfg(feature = "metal")]
            $crate::backend::BackendKind::Metal => {
                type $B = burn_wgpu::Metal;
                $body
            }
            #[cfg(feature = "wgpu")]
            $crate::backend::BackendKind::Wgpu => {
                type $B = burn_wgpu::Wgpu;
                $body
            }
            #[allow(
                unreachable_patterns,
                reason = "reachable unless every backend is in the build"
            )]
            missing => Err(missing.not_compiled()),
        }
    };
}
pub(crate) use on_backend;

/// A supported backend, which may be missing from the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendKind {
    /// Burn's pure Rust, on the processor. This is the default.
    Flex,
    /// libtorch, on the processor or a CUDA device.
    Tch,
    /// CUDA through CubeCL.
    Cuda,
    /// Vulkan through CubeCL, with kernels in SPIR-V.
    Vulkan,
    /// Metal through CubeCL, with kernels in MSL.
    Metal,
    /// WebGPU through CubeCL, with kernels in WGSL, on a Vulkan or Metal adapter.
    Wgpu,
}

impl BackendKind {
    /// All backends, in the order of preference.
    pub const ALL: [Self; 6] =
        [Self::Flex, Self::Tch, Self::Cuda, Self::Vulkan, Self::Metal, Self::Wgpu];

    /// The backends in this build.
    pub fn compiled() -> Vec<Self> {
        Self::ALL.into_iter().filter(Self::is_compiled).collect()
    }

    /// The first backend in this build.
    ///
    /// # Errors
    /// [`Error::Config`] if this build has no backend.
    pub fn first() -> Result<Self> {
        let first = Self::ALL.into_iter().find(Self::is_compiled);
        first
            .ok_or_else(|| Error::config("this build has no backend; build with `--features flex`"))
    }

    fn is_compiled(&self) -> bool {
        match self {
            Self::Flex => cfg!(feature = "flex"),
            Self::Tch => cfg!(feature = "tch"),
            Self::Cuda => cfg!(feature = "cuda"),
            Self::Vulkan => cfg!(feature = "vulkan"),
            Self::Metal => cfg!(feature = "metal"),
            Self::Wgpu => cfg!(feature = "wgpu"),
        }
    }

    /// Creates the error of a backend that is not in this build.
    #[allow(dead_code, reason = "unused if every backend is in the build")]
    pub(crate) fn not_compiled(self) -> Error {
        let compiled: Vec<_> = Self::compiled().iter().map(Self::name).collect();
        let reason = format!(
            "not compiled in; build with `--features {self}` (this build has: {})",
            compiled.join(", ")
        );
        Error::backend(self, reason)
    }

    /// The name on the command line and of the cargo feature.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::Tch => "tch",
            Self::Cuda => "cuda",
            Self::Vulkan => "vulkan",
            Self::Metal => "metal",
            Self::Wgpu => "wgpu",
        }
    }

    /// Returns true if this build fuses the backend's operations (feature `fusion`).
    pub fn is_fused(&self) -> bool {
        cfg!(feature = "fusion") && !matches!(self, Self::Flex | Self::Tch)
    }

    /// Returns true for [`Self::Wgpu`] if its kernels are in SPIR-V instead of WGSL.
    ///
    /// The feature `vulkan` has this effect.
    pub fn is_spirv(&self) -> bool {
        cfg!(feature = "vulkan") && *self == Self::Wgpu
    }

    /// Finds the devices on this machine, in the order of their numbers.
    ///
    /// # Errors
    /// If the backend is not compiled in or cannot start on this machine.
    pub fn devices(self) -> Result<Vec<DeviceInfo>> {
        on_backend!(self, B => infos::<B>(self))
    }

    /// Describes device number `number`.
    ///
    /// # Errors
    /// If the backend is not compiled in, cannot start on this machine, or has no such device.
    pub fn device(self, number: usize) -> Result<DeviceInfo> {
        numbered(self, number, self.devices()?)
    }
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for BackendKind {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        UnknownName::find("backend", name, Self::ALL, |kind| kind.name())
    }
}

/// Finds device number `number` of the backend `B`, whose kind is `kind`.
///
/// # Errors
/// If the backend cannot start on this machine, or has no such device.
pub fn device<B: DeviceBackend>(kind: BackendKind, number: usize) -> Result<B::Device> {
    numbered(kind, number, find_devices::<B>(kind)?).map(|(device, _)| device)
}

/// Describes the devices of the backend `B`.
fn infos<B: DeviceBackend>(kind: BackendKind) -> Result<Vec<DeviceInfo>> {
    Ok(find_devices::<B>(kind)?.into_iter().map(|(_, info)| info).collect())
}

/// Finds the devices of the backend `B`, at least one.
fn find_devices<B: DeviceBackend>(kind: BackendKind) -> Result<Vec<(B::Device, DeviceInfo)>> {
    match B::find_devices() {
        Ok(found) if found.is_empty() => {
            Err(Error::backend(kind, "it found no device on this machine"))
        }
        Ok(found) => Ok(found),
        Err(StartError { reason, source: None }) => Err(Error::backend(kind, reason)),
        Err(StartError { reason, source: Some(cause) }) => {
            Err(Error::backend(kind, reason).with_source(cause))
        }
    }
}

/// Selects device number `number` from `found`, which is not empty.
fn numbered<T>(kind: BackendKind, number: usize, found: Vec<T>) -> Result<T> {
    let last = found.len() - 1;
    found.into_iter().nth(number).ok_or_else(|| {
        let reason = match last {
            0 => format!("device {number} does not exist; there is only device 0"),
            _ => format!("device {number} does not exist; the devices found are 0 to {last}"),
        };
        Error::backend(kind, reason)
    })
}

/// The backend of the unit tests: the first one in the build.
#[cfg(all(test, feature = "flex"))]
pub(crate) type TestBackend = burn_flex::Flex;
/// The backend of the unit tests: the first one in the build.
#[cfg(all(test, feature = "tch", not(feature = "flex")))]
pub(crate) type TestBackend = burn_tch::LibTorch;
/// The backend of the unit tests: the first one in the build.
#[cfg(all(test, feature = "cuda", not(any(feature = "flex", feature = "tch"))))]
pub(crate) type TestBackend = burn_cuda::Cuda;
/// The backend of the unit tests: the first one in the build.
#[cfg(all(
    test,
    any(feature = "wgpu", feature = "vulkan", feature = "metal"),
    not(any(feature = "flex", feature = "tch", feature = "cuda"))
))]
pub(crate) type TestBackend = burn_wgpu::Wgpu;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_backend_in_the_build_finds_devices_with_names() {
        for kind in BackendKind::compiled() {
            for device in kind.devices().expect("a backend that can start here") {
                assert!(!device.name.is_empty(), "{kind}");
                // Only flex needs no library or driver.
                assert_eq!(device.drivers.is_empty(), kind == BackendKind::Flex, "{device}");
            }
        }
    }

    #[test]
    fn a_device_that_does_not_exist_is_an_error() {
        let kind = BackendKind::compiled()[0];
        let expected = format!("backend {kind}: device 4711 does not exist");
        for error in [device::<TestBackend>(kind, 4711).err(), kind.device(4711).err()] {
            let error = error.unwrap().to_string();
            assert!(error.starts_with(&expected), "{error}");
        }
    }

    #[test]
    fn every_backend_parses_from_its_name() {
        for kind in BackendKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert!("cpu".parse::<BackendKind>().is_err());
    }
}
