//! The devices that NVIDIA's driver lists.

use cudarc::driver::{DriverError, result, sys};

use super::device::DeviceInfo;

/// The first major compute capability whose tensor cores have bf16: Ampere.
const FIRST_WITH_BF16: i32 = 8;

/// Lists the devices in the order of `CUDA_VISIBLE_DEVICES`. The list is empty without a driver.
///
/// # Errors
/// If the driver does not start.
pub(super) fn devices() -> Result<Vec<DeviceInfo>, DriverError> {
    // SAFETY: this loads the library as any use of CUDA does.
    if !unsafe { sys::is_culib_present() } {
        return Ok(Vec::new());
    }
    result::init()?;
    let drivers = format!("CUDA driver {}", driver_version()?);
    (0..result::device::get_count()?).map(|ordinal| device(ordinal, &drivers)).collect()
}

fn device(ordinal: i32, drivers: &str) -> Result<DeviceInfo, DriverError> {
    let handle = result::device::get(ordinal)?;
    // SAFETY: the handle comes from the driver.
    let memory = unsafe { result::device::total_mem(handle)? };
    let capability = sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR;
    // SAFETY: as above.
    let capability = unsafe { result::device::get_attribute(handle, capability)? };
    Ok(DeviceInfo {
        name: result::device::get_name(handle)?,
        drivers: drivers.into(),
        memory: Some(memory as u64),
        native_bf16: capability >= FIRST_WITH_BF16,
    })
}

/// The newest CUDA version that the driver supports.
fn driver_version() -> Result<String, DriverError> {
    let mut version = 0;
    // SAFETY: the driver writes one integer through the pointer.
    unsafe { sys::cuDriverGetVersion(&mut version) }.result()?;
    Ok(format!("{}.{}", version / 1000, version % 1000 / 10))
}
