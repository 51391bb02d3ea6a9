//! CUDA through CubeCL.

use burn_cuda::{Cuda, CudaDevice};
use cudarc::driver::{DriverError, result};

use super::DeviceInfo;
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
        if cubecl_cuda::install::cuda_path().is_none() {
            return Err(
                "CUDA's headers are not found; install the CUDA toolkit, or set CUDA_PATH to the \
                        folder that has them in `include`"
                    .into(),
            );
        }
        let devices = result::init().and_then(|()| {
            let count = result::device::get_count()?;
            (0..count).map(device).collect()
        });
        devices.map_err(|error: DriverError| format!("the NVIDIA driver does not start: {error}"))
    }
}

fn device(ordinal: i32) -> Result<(CudaDevice, DeviceInfo), DriverError> {
    let handle = result::device::get(ordinal)?;
    // SAFETY: the handle comes from the driver.
    let memory = unsafe { result::device::total_mem(handle)? };
    let info = DeviceInfo { name: result::device::get_name(handle)?, memory: Some(memory as u64) };
    Ok((CudaDevice::new(ordinal as usize), info))
}
