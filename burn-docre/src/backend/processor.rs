//! The description of the processor.

use super::device::DeviceInfo;

/// Describes the processor, without instructions for bf16. Its model and memory are unknown on systems without `/proc`.
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
        native_bf16: false,
    }
}
