//! The libtorch backend, on the processor or a CUDA device.

use std::{fs, path::Path, sync::LazyLock};

use burn_tch::{LibTorch, LibTorchDevice};

use super::{
    device::{DeviceBackend, DeviceInfo, FoundDevices},
    nvidia,
    processor::processor,
    threads,
};

impl DeviceBackend for LibTorch {
    // CUDA devices come first, the processor last.
    fn find_devices() -> FoundDevices<Self> {
        let libtorch = libtorch();
        let n_cuda = usize::try_from(tch::Cuda::device_count()).unwrap_or(0);
        let mut known = nvidia::devices().unwrap_or_default().into_iter();
        let cuda = (0..n_cuda).map(|index| {
            let unknown =
                || DeviceInfo { name: format!("CUDA device {index}"), ..DeviceInfo::default() };
            let info = known.next().unwrap_or_else(unknown);
            let drivers = [libtorch.as_str(), &info.drivers].join(", ");
            (LibTorchDevice::Cuda(index), DeviceInfo { drivers, ..info })
        });
        let native_bf16 = has_bf16();
        let processor = DeviceInfo { drivers: libtorch.clone(), native_bf16, ..processor() };
        Ok(cuda.chain([(LibTorchDevice::Cpu, processor)]).collect())
    }

    fn runs_on_processor(device: &LibTorchDevice) -> bool {
        *device == LibTorchDevice::Cpu
    }

    fn n_threads(device: &LibTorchDevice) -> usize {
        match device {
            LibTorchDevice::Cpu => *N_THREADS as usize,
            _ => 1,
        }
    }

    fn on_threads<T: Send>(n_threads: usize, work: impl FnOnce() -> T + Send) -> T {
        threads::on_threads(n_threads, move || {
            let _limit = ThreadLimit::new(n_threads);
            work()
        })
    }
}

/// The number of libtorch's threads at the start of the process.
static N_THREADS: LazyLock<i32> = LazyLock::new(|| tch::get_num_threads().max(1));

/// A limit on libtorch's threads for the operations of this thread.
///
/// Threads that start later take the number that was set last, so `drop` restores the default.
struct ThreadLimit;

impl ThreadLimit {
    fn new(n_threads: usize) -> Self {
        LazyLock::force(&N_THREADS);
        tch::set_num_threads(n_threads as i32);
        Self
    }
}

impl Drop for ThreadLimit {
    fn drop(&mut self) {
        tch::set_num_threads(*N_THREADS);
    }
}

/// Returns true if the processor has AVX512-BF16. Every processor with AMX has it, too.
fn has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// The name and version of the loaded libtorch, which may not be the one at build time.
fn libtorch() -> String {
    loaded_version().map_or("libtorch of unknown version".into(), |v| format!("libtorch {v}"))
}

fn loaded_version() -> Option<String> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let library = maps.lines().find_map(|line| {
        let path = &line[line.find('/')?..];
        path.ends_with("/libtorch_cpu.so").then_some(Path::new(path))
    })?;
    let root = library.parent()?.parent()?;
    // Archives contain `build-version`, wheels `version.py`.
    if let Ok(version) = fs::read_to_string(root.join("build-version")) {
        return Some(version.trim().into());
    }
    let module = fs::read_to_string(root.join("version.py")).ok()?;
    let version = module.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
    Some(version.trim_matches(['\'', '"']).into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_the_loaded_libtorch_is_found() {
        let version = libtorch();
        assert!(version.starts_with("libtorch 2."), "{version}");
    }
}
