//! CUDA through CubeCL.

use burn_cuda::{Cuda, CudaDevice};

use super::{DeviceInfo, nvidia};
use crate::ops::DocReBackend;

impl DocReBackend for Cuda {
    fn find_devices() -> Result<Vec<(CudaDevice, DeviceInfo)>, String> {
        // Burn panics where the libraries or the driver are missing, so they are looked for first.
        // SAFETY: these load the libraries as any use of CUDA does.
        let (has_driver, has_compiler) = unsafe {
            (cudarc::driver::sys::is_culib_present(), cudarc::nvrtc::sys::is_culib_present())
        };
        if !has_driver {
            return Err("no NVIDIA driver: libcuda.so.1 is not found on this machine".into());
        }
        if !has_compiler {
            return Err(
                "CUDA's run-time compiler libnvrtc is not found; install the CUDA toolkit \
                        or put the library's folder into LD_LIBRARY_PATH"
                    .into(),
            );
        }
        // A path that a variable names is not looked at by CubeCL until it compiles.
        let toolkit = cubecl::cuda::install::cuda_path();
        if !toolkit.is_some_and(|path| path.join("include/cuda_fp16.h").exists()) {
            return Err(
                "CUDA's headers are not found; install the CUDA toolkit, or set CUDA_PATH to the \
                        folder that has them in `include`"
                    .into(),
            );
        }
        let devices = nvidia::devices();
        let devices = devices.map_err(|error| format!("the NVIDIA driver does not start: {error}"));
        let compiler = compiler_version();
        let with_compiler = |(ordinal, info): (usize, DeviceInfo)| {
            let drivers = format!("{}, {compiler}", info.drivers);
            (CudaDevice::new(ordinal), DeviceInfo { drivers, ..info })
        };
        Ok(devices?.into_iter().enumerate().map(with_compiler).collect())
    }

    fn memory_held(device: &CudaDevice) -> Option<u64> {
        super::pool_size::<cubecl::cuda::CudaRuntime>(device)
    }
}

fn compiler_version() -> String {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: the library writes one number to where each pointer points.
    let outcome = unsafe { cudarc::nvrtc::sys::nvrtcVersion(&mut major, &mut minor) };
    match outcome.result() {
        Ok(()) => format!("NVRTC {major}.{minor}"),
        Err(_) => "NVRTC of unknown version".into(),
    }
}
