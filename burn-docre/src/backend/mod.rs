//! Which backends this build has, what they find on this machine, and how a run picks one. The only file that asks `cfg`
//! about a backend.

use std::{fmt, str::FromStr};

use crate::{Error, Result, ops::DocReBackend};

#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "flex")]
mod flex;
#[cfg(any(feature = "cuda", feature = "tch"))]
mod nvidia;
#[cfg(feature = "tch")]
mod tch;
#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal"))]
mod wgpu;

/// The backends that the project knows, compiled in or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendKind {
    /// Pure Rust on the processor; the default.
    Flex,
    /// libtorch, on the processor or a CUDA device.
    Tch,
    /// CUDA through CubeCL.
    Cuda,
    /// Vulkan with kernels compiled to SPIR-V.
    Vulkan,
    /// Metal with kernels compiled to MSL.
    Metal,
    /// WebGPU's kernels in WGSL, on a Vulkan or Metal adapter.
    Wgpu,
}

impl BackendKind {
    /// Every kind, in order of preference when a run names none.
    pub const ALL: [Self; 6] =
        [Self::Flex, Self::Tch, Self::Cuda, Self::Vulkan, Self::Metal, Self::Wgpu];

    /// The kinds that this build contains.
    pub fn compiled() -> Vec<Self> {
        Self::ALL.into_iter().filter(Self::is_compiled).collect()
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

    /// Whether this build fuses the backend's operations (feature `fusion`).
    pub fn is_fused(&self) -> bool {
        cfg!(feature = "fusion") && !matches!(self, Self::Flex | Self::Tch)
    }

    /// Whether this build compiles the kernels of [`Self::Wgpu`] to SPIR-V instead of WGSL (feature `vulkan`).
    pub fn is_spirv(&self) -> bool {
        cfg!(feature = "vulkan") && *self == Self::Wgpu
    }

    /// The devices found on this machine, in the order of their numbers.
    ///
    /// # Errors
    /// If the backend is not compiled in or cannot start here.
    pub fn devices(self) -> Result<Vec<DeviceInfo>> {
        on_backend(self, FindDevices(self))?
    }

    /// What is known of the device of this number.
    ///
    /// # Errors
    /// If the backend is not compiled in, cannot start here, or has no such device.
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
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(|kind| kind.name()).join(", ");
            format!("unknown backend `{name}`; known are {known}")
        })
    }
}

/// What is known of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceInfo {
    /// What it calls itself.
    pub name: String,
    /// What the backend reaches it through, each with its version: libraries, drivers. Empty where it is Burn's own code.
    pub drivers: String,
    /// Its memory in bytes, where the backend can say.
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
/// If the backend is not compiled in, cannot start here, or has no such device.
pub fn dispatch<T: BackendTask>(
    kind: Option<BackendKind>,
    device: usize,
    task: T,
) -> Result<T::Output> {
    let Some(kind) = kind.or_else(|| BackendKind::compiled().first().copied()) else {
        return Err(Error::config("this build has no backend; build with `--features flex`"));
    };
    on_backend(kind, OnDevice { kind, device, task })?
}

/// Device number `number` of the backend `B`, which errors call `kind`.
///
/// # Errors
/// If the backend cannot start here, or has no such device.
pub fn device<B: DocReBackend>(kind: BackendKind, number: usize) -> Result<B::Device> {
    numbered(kind, number, find_devices::<B>(kind)?).map(|(device, _)| device)
}

/// Number `number` of the devices found, at least one.
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

/// The processor, as far as the system describes it.
pub fn processor() -> DeviceInfo {
    let line = |file: &str, key: &str| {
        let text = std::fs::read_to_string(file).ok()?;
        text.lines().find_map(|line| {
            line.strip_prefix(key)?.trim().strip_prefix(':').map(str::trim).map(String::from)
        })
    };
    let n_threads = std::thread::available_parallelism().map_or(1, usize::from);
    let model = line("/proc/cpuinfo", "model name").unwrap_or_else(|| "processor".into());
    let kib = line("/proc/meminfo", "MemTotal")
        .and_then(|value| value.strip_suffix("kB")?.trim().parse::<u64>().ok());
    DeviceInfo {
        name: format!("{model}, {n_threads} threads"),
        drivers: String::new(),
        memory: kib.map(|kib| kib << 10),
    }
}

/// What CubeCL's memory pool of this thread has taken on a device. It grows as it must and keeps what it has, so after some
/// work it is the most that the work held.
#[cfg(any(feature = "cuda", feature = "wgpu", feature = "vulkan", feature = "metal"))]
fn pool_size<R: cubecl::Runtime>(device: &R::Device) -> Option<u64> {
    R::client(device).memory_usage().ok().map(|usage| usage.bytes_reserved)
}

/// At least one device.
fn find_devices<B: DocReBackend>(kind: BackendKind) -> Result<Vec<(B::Device, DeviceInfo)>> {
    let found = B::find_devices().and_then(|found| match found.is_empty() {
        true => Err("it found no device on this machine".into()),
        false => Ok(found),
    });
    found.map_err(|reason| Error::backend(kind, reason))
}

/// Work that needs the type of a backend but no device.
trait TypeTask {
    type Output;

    fn run<B: DocReBackend>(self) -> Self::Output;
}

struct OnDevice<T> {
    kind: BackendKind,
    device: usize,
    task: T,
}

impl<T: BackendTask> TypeTask for OnDevice<T> {
    type Output = Result<T::Output>;

    fn run<B: DocReBackend>(self) -> Result<T::Output> {
        Ok(self.task.run::<B>(device::<B>(self.kind, self.device)?))
    }
}

struct FindDevices(BackendKind);

impl TypeTask for FindDevices {
    type Output = Result<Vec<DeviceInfo>>;

    fn run<B: DocReBackend>(self) -> Self::Output {
        Ok(find_devices::<B>(self.0)?.into_iter().map(|(_, info)| info).collect())
    }
}

fn on_backend<T: TypeTask>(kind: BackendKind, task: T) -> Result<T::Output> {
    match kind {
        #[cfg(feature = "flex")]
        BackendKind::Flex => Ok(task.run::<burn_flex::Flex>()),
        #[cfg(feature = "tch")]
        BackendKind::Tch => Ok(task.run::<burn_tch::LibTorch>()),
        #[cfg(feature = "cuda")]
        BackendKind::Cuda => Ok(task.run::<burn_cuda::Cuda>()),
        #[cfg(feature = "vulkan")]
        BackendKind::Vulkan => Ok(task.run::<burn_wgpu::Vulkan>()),
        #[cfg(feature = "metal")]
        BackendKind::Metal => Ok(task.run::<burn_wgpu::Metal>()),
        #[cfg(feature = "wgpu")]
        BackendKind::Wgpu => Ok(task.run::<burn_wgpu::Wgpu>()),
        #[allow(unreachable_patterns, reason = "reachable unless every backend is compiled in")]
        missing => {
            let compiled = BackendKind::compiled();
            let compiled: Vec<_> = compiled.iter().map(BackendKind::name).collect();
            let reason = format!(
                "not compiled in; build with `--features {missing}` (this build has: {})",
                compiled.join(", ")
            );
            Err(Error::backend(missing, reason))
        }
    }
}

/// The backend of the unit tests: the first one compiled in.
#[cfg(all(test, feature = "flex"))]
pub(crate) type TestBackend = burn_flex::Flex;
/// The backend of the unit tests: the first one compiled in.
#[cfg(all(test, feature = "tch", not(feature = "flex")))]
pub(crate) type TestBackend = burn_tch::LibTorch;
/// The backend of the unit tests: the first one compiled in.
#[cfg(all(test, feature = "cuda", not(any(feature = "flex", feature = "tch"))))]
pub(crate) type TestBackend = burn_cuda::Cuda;
/// The backend of the unit tests: the first one compiled in.
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
    fn the_compiled_backends_find_devices_with_names() {
        for kind in BackendKind::compiled() {
            for device in kind.devices().expect("a backend that can start here") {
                assert!(!device.name.is_empty(), "{kind}");
                // Flex is Burn's own code; all others go through somebody's library.
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
    fn names_are_read_as_they_are_written() {
        for kind in BackendKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert!("cpu".parse::<BackendKind>().is_err());
    }
}
