//! Vulkan, Metal and WebGPU through CubeCL.
//!
//! All three share one runtime. The features determine its compilers; on a Vulkan adapter it prefers
//! SPIR-V.

use burn_wgpu::{
    Wgpu, WgpuDevice, WgpuRuntime,
    graphics::{AutoGraphicsApi, GraphicsApi},
};
use wgpu::{Adapter, DeviceType, Instance, InstanceDescriptor};

use super::{
    device::{DeviceBackend, DeviceInfo, FoundDevices, StartError},
    pool,
};

// `Vulkan` and `Metal` are the type with booleans of one byte, `Wgpu` is the type with four bytes.
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

/// Finds the adapters of the system's graphics interface: discrete ones first, software last.
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
        // CubeCL can address one software adapter, the first.
        .chain(of_type(DeviceType::Cpu).take(1).map(|(_, info)| (WgpuDevice::Cpu, info)))
        .collect();
    if devices.is_empty() {
        return Err(StartError::new(format!(
            "no {api:?} adapter on this machine; install a driver (on Debian the software adapter is in \
             mesa-vulkan-drivers)"
        )));
    }
    Ok(devices)
}

fn described(adapter: &Adapter) -> DeviceInfo {
    let info = adapter.get_info();
    let drivers = format!("{} {} {}", info.backend, info.driver, info.driver_info);
    DeviceInfo { name: info.name, drivers: drivers.trim().into(), memory: memory(adapter) }
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

/// Metal shares the processor's memory, and WebGPU does not say how much of it.
#[cfg(target_vendor = "apple")]
fn memory(_adapter: &Adapter) -> Option<u64> {
    None
}
