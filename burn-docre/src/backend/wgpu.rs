//! Vulkan, Metal and WebGPU through CubeCL.
//!
//! One runtime serves all three: the features decide which compilers it has, and on a Vulkan adapter it prefers SPIR-V.

use burn_wgpu::{
    Wgpu, WgpuDevice,
    graphics::{AutoGraphicsApi, GraphicsApi},
};
use wgpu::{AdapterInfo, DeviceType, Instance, InstanceDescriptor};

use super::DeviceInfo;
use crate::ops::DocReBackend;

// The names `Vulkan` and `Metal` mean the type with one byte a boolean, `Wgpu` the one with four.
impl DocReBackend for Wgpu<f32, i32, u32> {
    fn find_devices() -> Result<Vec<(WgpuDevice, DeviceInfo)>, String> {
        find_devices()
    }
}

impl DocReBackend for Wgpu<f32, i32, u8> {
    fn find_devices() -> Result<Vec<(WgpuDevice, DeviceInfo)>, String> {
        find_devices()
    }
}

/// The adapters of the system's graphics interface: discrete ones first, software last.
fn find_devices() -> Result<Vec<(WgpuDevice, DeviceInfo)>, String> {
    let api = AutoGraphicsApi::backend();
    let instance = Instance::new(InstanceDescriptor {
        backends: api.into(),
        ..InstanceDescriptor::new_without_display_handle()
    });
    let adapters = cubecl_common::future::block_on(instance.enumerate_adapters(api.into()));
    let infos: Vec<AdapterInfo> = adapters.iter().map(wgpu::Adapter::get_info).collect();
    let of_type = |wanted: DeviceType| {
        infos.iter().filter(move |info| info.device_type == wanted).map(described).enumerate()
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

fn described(info: &AdapterInfo) -> DeviceInfo {
    let driver = [info.driver.as_str(), info.driver_info.as_str()].join(" ");
    let name = match driver.trim() {
        "" => format!("{}, {}", info.name, info.backend),
        driver => format!("{}, {}, {driver}", info.name, info.backend),
    };
    DeviceInfo { name, memory: None }
}
