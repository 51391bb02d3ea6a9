//! The CUDA backend, through CubeCL.

use burn_cuda::{Cuda, CudaDevice};

use super::{
    device::{DeviceBackend, DeviceInfo, FoundDevices, StartError},
    nvidia, pool,
};

impl DeviceBackend for Cuda {
    fn find_devices() -> FoundDevices<Self> {
        // Burn panics if the driver or a library is missing, so they are checked first.
        // SAFETY: this loads the libraries as any use of CUDA does.
        let (has_driver, has_compiler) = unsafe {
            (cudarc::driver::sys::is_culib_present(), cudarc::nvrtc::sys::is_culib_present())
        };
        if !has_driver {
            return Err(StartError::new(
                "libcuda.so.1 is not found on this machine; install the NVIDIA driver",
            ));
        }
        if !has_compiler {
            return Err(StartError::new(
                "CUDA's run-time compiler libnvrtc is not found; install the CUDA toolkit \
                        or put the library's folder into LD_LIBRARY_PATH",
            ));
        }
        // CubeCL does not check a path from the environment before it compiles a kernel.
        let toolkit = cubecl::cuda::install::cuda_path();
        if !toolkit.is_some_and(|path| path.join("include/cuda_fp16.h").exists()) {
            return Err(StartError::new(
                "CUDA's headers are not found; install the CUDA toolkit, or set CUDA_PATH to the \
                        folder that has them in `include`",
            ));
        }
        let devices = nvidia::devices().map_err(|error| {
            StartError::new("the NVIDIA driver does not start").with_source(error)
        });
        let compiler = compiler_version();
        let with_compiler = |(ordinal, info): (usize, DeviceInfo)| {
            let drivers = format!("{}, {compiler}", info.drivers);
            (CudaDevice::new(ordinal), DeviceInfo { drivers, ..info })
        };
        Ok(devices?.into_iter().enumerate().map(with_compiler).collect())
    }

    fn memory_held(device: &CudaDevice) -> Option<u64> {
        pool::size::<cubecl::cuda::CudaRuntime>(device)
    }
}

fn compiler_version() -> String {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: the library writes one integer through each pointer.
    let outcome = unsafe { cudarc::nvrtc::sys::nvrtcVersion(&mut major, &mut minor) };
    match outcome.result() {
        Ok(()) => format!("NVRTC {major}.{minor}"),
        Err(_) => "NVRTC of unknown version".into(),
    }
}
