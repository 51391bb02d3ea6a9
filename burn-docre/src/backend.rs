//! Which backends this build has, and how a run picks one. The only file that asks `cfg` about a backend.

use std::{fmt, str::FromStr};

use crate::{Error, Result, ops::DocReBackend};

#[cfg(feature = "flex")]
mod flex;
#[cfg(any(feature = "flex", feature = "tch"))]
mod host;
#[cfg(feature = "tch")]
mod tch;

#[cfg(feature = "wgpu")]
impl DocReBackend for burn_wgpu::Wgpu {}

#[cfg(feature = "cuda")]
impl DocReBackend for burn_cuda::Cuda {}

/// The backends that the project knows, compiled in or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendKind {
    /// Pure Rust on the processor; the default.
    Flex,
    /// libtorch, on the processor or a CUDA device.
    Tch,
    /// WebGPU, on a Vulkan, Metal or DirectX adapter.
    Wgpu,
    /// CUDA through CubeCL.
    Cuda,
}

impl BackendKind {
    /// Every kind, in order of preference when a run names none.
    pub const ALL: [Self; 4] = [Self::Flex, Self::Tch, Self::Wgpu, Self::Cuda];

    /// The kinds that this build contains.
    pub fn compiled() -> Vec<Self> {
        Self::ALL.into_iter().filter(Self::is_compiled).collect()
    }

    fn is_compiled(&self) -> bool {
        match self {
            Self::Flex => cfg!(feature = "flex"),
            Self::Tch => cfg!(feature = "tch"),
            Self::Wgpu => cfg!(feature = "wgpu"),
            Self::Cuda => cfg!(feature = "cuda"),
        }
    }

    /// The name on the command line and of the cargo feature.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::Tch => "tch",
            Self::Wgpu => "wgpu",
            Self::Cuda => "cuda",
        }
    }
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for BackendKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(|kind| kind.name()).join(", ");
            format!("unknown backend `{name}`; known are {known}")
        })
    }
}

/// Work that is written once, generic over the backend, and run on the one that [`dispatch`] picks.
pub trait BackendTask {
    /// What the work returns.
    type Output;

    /// Runs on `B`; training wraps `B` in `Autodiff` itself.
    fn run<B: DocReBackend>(self, device: B::Device) -> Self::Output;
}

/// Runs `task` on the backend `kind` (the first compiled one if none is named) and its device number `device`.
///
/// # Errors
/// If the backend is not compiled in, or has no such device.
pub fn dispatch<T: BackendTask>(
    kind: Option<BackendKind>,
    device: usize,
    task: T,
) -> Result<T::Output> {
    let Some(kind) = kind.or_else(|| BackendKind::compiled().first().copied()) else {
        return Err(Error::Config(
            "this build has no backend; build with `--features flex`".into(),
        ));
    };
    match kind {
        #[cfg(feature = "flex")]
        BackendKind::Flex => {
            only_device_zero(kind, device)?;
            Ok(task.run::<burn_flex::Flex>(Default::default()))
        }
        #[cfg(feature = "tch")]
        BackendKind::Tch => {
            only_device_zero(kind, device)?;
            Ok(task.run::<burn_tch::LibTorch>(burn_tch::LibTorchDevice::Cpu))
        }
        #[cfg(feature = "wgpu")]
        BackendKind::Wgpu => {
            only_device_zero(kind, device)?;
            Ok(task.run::<burn_wgpu::Wgpu>(Default::default()))
        }
        #[cfg(feature = "cuda")]
        BackendKind::Cuda => Ok(task.run::<burn_cuda::Cuda>(burn_cuda::CudaDevice::new(device))),
        #[allow(unreachable_patterns, reason = "reachable unless every backend is compiled in")]
        missing => Err(Error::Backend {
            name: missing.to_string(),
            reason: format!(
                "not compiled in; build with `--features {missing}` (this build has: {})",
                BackendKind::compiled()
                    .iter()
                    .map(BackendKind::name)
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        }),
    }
}

#[cfg(any(feature = "flex", feature = "tch", feature = "wgpu"))]
fn only_device_zero(kind: BackendKind, device: usize) -> Result<()> {
    if device == 0 {
        return Ok(());
    }
    Err(Error::Backend {
        name: kind.to_string(),
        reason: format!("device {device} does not exist; this backend has device 0 only"),
    })
}

/// The backend of the unit tests: the first one compiled in.
#[cfg(all(test, feature = "flex"))]
pub(crate) type TestBackend = burn_flex::Flex;
/// The backend of the unit tests: the first one compiled in.
#[cfg(all(test, feature = "tch", not(feature = "flex")))]
pub(crate) type TestBackend = burn_tch::LibTorch;
/// The backend of the unit tests: the first one compiled in.
#[cfg(all(test, feature = "wgpu", not(any(feature = "flex", feature = "tch"))))]
pub(crate) type TestBackend = burn_wgpu::Wgpu;
/// The backend of the unit tests: the first one compiled in.
#[cfg(all(test, feature = "cuda", not(any(feature = "flex", feature = "tch", feature = "wgpu"))))]
pub(crate) type TestBackend = burn_cuda::Cuda;
