//! The process's memory: how much it took, and what the C library's allocator does with what is free again.

/// Lets the process keep freed memory instead of returning large buffers to the system at once.
///
/// By default glibc maps every buffer above some megabytes anew, and the system clears its pages at each operation: a sixth
/// of the time in a profile of training on libtorch, and a fifth on flex with mimalloc, which does the same.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: no requirements; `main` calls it before any other thread exists.
    unsafe {
        // Other arenas than the main one cannot hold large buffers.
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
        libc::mallopt(libc::M_TOP_PAD, 256 << 20);
    }
}

/// The most bytes that this process has held, where the system says.
pub fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}
