//! Vulkan, Metal and WebGPU through CubeCL.
//!
//! One runtime serves all three: the features decide which compilers it has, and on a Vulkan adapter it prefers SPIR-V.

use burn_wgpu::{
    Wgpu, WgpuDevice, WgpuRuntime,
    graphics::{AutoGraphicsApi, GraphicsApi},
};
use wgpu::{Adapter, DeviceType, Instance, InstanceDescriptor};

use super::DeviceInfo;
use crate::ops::DocReBackend;

// The names `Vulkan` and `Metal` mean the type with one byte a boolean, `Wgpu` the one with four.
impl DocReBackend for Wgpu<f32, i32, u32> {
    fn find_devices() -> Result<Vec<(WgpuDevice, DeviceInfo)>, String> {
        find_devices()
    }

    fn memory_held(device: &WgpuDevice) -> Option<u64> {
        super::pool_size::<WgpuRuntime>(device)
    }
}

impl DocReBackend for Wgpu<f32, i32, u8> {
    fn find_devices() -> Result<Vec<(WgpuDevice, DeviceInfo)>, String> {
        find_devices()
    }

    fn memory_held(device: &WgpuDevice) -> Option<u64> {
        super::pool_size::<WgpuRuntime>(device)
    }
}

/// The adapters of the system's graphics interface: discrete ones first, software last.
fn find_devices() -> Result<Vec<(WgpuDevice, DeviceInfo)>, String> {
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
        return Err(format!(
            "no {api:?} adapter on this machine; install a driver (on Debian the software adapter is in \
             mesa-vulkan-drivers)"
        ));
    }
    Ok(devices)
}

fn described(adapter: &Adapter) -> DeviceInfo {
    let info = adapter.get_info();
    let drivers = format!("{} {} {}", info.backend, info.driver, info.driver_info);
    DeviceInfo { name: info.name, drivers: drivers.trim().into(), memory: memory(adapter) }
}

/// The adapter's largest memory of its own.
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
