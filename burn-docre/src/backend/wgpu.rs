//! The backends Vulkan, Metal and WebGPU, through CubeCL.
//!
//! All three share one runtime, and the cargo features determine its kernel compilers. On a Vulkan
//! adapter, the runtime prefers SPIR-V.

use burn_wgpu::{
    Wgpu, WgpuDevice, WgpuRuntime,
    graphics::{AutoGraphicsApi, GraphicsApi},
};
use wgpu::{Adapter, DeviceType, Instance, InstanceDescriptor};

use super::{
    device::{DeviceBackend, DeviceInfo, FoundDevices, StartError},
    pool,
};

// `Vulkan` and `Metal` are aliases of the type with one-byte booleans, `Wgpu` of the other.
impl DeviceBackend for Wgpu<f32, i32, u32> {
    fn find_devices() -> FoundDevices<Self> {
        find_devices()
    }

    fn memory_held(device: &WgpuDevice) -> Option<u64> {
        pool::size::<WgpuRuntime>(device)
    }
}

impl DeviceBackend for Wgpu<f32, i32, u8> {
    fn find_devices() -> FoundDevices<Self> {
        find_devices()
    }

    fn memory_held(device: &WgpuDevice) -> Option<u64> {
        pool::size::<WgpuRuntime>(device)
    }
}

/// Finds the adapters of the system's graphics interface, from discrete GPUs to software.
fn find_devices() -> Result<Vec<(WgpuDevice, DeviceInfo)>, StartError> {
    let api = AutoGraphicsApi::backend();
    let instance = Instance::new(InstanceDescriptor {
        backends: api.into(),
        ..InstanceDescriptor::new_without_display_handle()
    });
    let adapters = cubecl::future::block_on(instance.enumerate_adapters(api.into()));
    let of_type = |wanted: DeviceType| {
        let has_type = move |adapter: &&Adapter| adapter.get_info().device_type == wanted;
        adapters.iter().filter(has_type).map(described).enumerate()
    };
    let devices: Vec<_> = of_type(DeviceType::DiscreteGpu)
        .map(|(i, info)| (WgpuDevice::DiscreteGpu(i), info))
        .chain(
            of_type(DeviceType::IntegratedGpu)
                .map(|(i, info)| (WgpuDevice::IntegratedGpu(i), info)),
        )
        .chain(of_type(DeviceType::VirtualGpu).map(|(i, info)| (WgpuDevice::VirtualGpu(i), info)))
        // CubeCL can address only the first software adapter.
        .chain(of_type(DeviceType::Cpu).take(1).map(|(_, info)| (WgpuDevice::Cpu, info)))
        .collect();
    if devices.is_empty() {
        return Err(StartError::new(format!(
            "no {api:?} adapter on this machine; install a driver (on Debian, mesa-vulkan-drivers \
             has a software adapter)"
        )));
    }
    Ok(devices)
}

fn described(adapter: &Adapter) -> DeviceInfo {
    let info = adapter.get_info();
    let drivers = format!("{} {} {}", info.backend, info.driver, info.driver_info);
    DeviceInfo {
        name: info.name,
        drivers: drivers.trim().into(),
        memory: memory(adapter),
        native_bf16: false,
    }
}

/// The size of the adapter's largest device-local memory.
#[cfg(not(target_vendor = "apple"))]
fn memory(adapter: &Adapter) -> Option<u64> {
    const DEVICE_LOCAL: u32 = 1;
    // SAFETY: the handles are only read, and live as long as the adapter does.
    let properties = unsafe {
        let vulkan = adapter.as_hal::<wgpu::hal::api::Vulkan>()?;
        let instance = vulkan.shared_instance().raw_instance();
        instance.get_physical_device_memory_properties(vulkan.raw_physical_device())
    };
    let heaps = properties.memory_heaps_as_slice().iter();
    heaps.filter(|heap| heap.flags.as_raw() & DEVICE_LOCAL != 0).map(|heap| heap.size).max()
}

/// Returns `None`, since Metal shares the processor's memory and WebGPU does not report its limit.
#[cfg(target_vendor = "apple")]
fn memory(_adapter: &Adapter) -> Option<u64> {
    None
}
