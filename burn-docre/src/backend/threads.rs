//! Threads for the work on the processor.

/// Runs `work` in a pool of `n_threads` threads, which the parallel kernels of `work` share.
pub(super) fn on_threads<T: Send>(n_threads: usize, work: impl FnOnce() -> T + Send) -> T {
    match rayon::ThreadPoolBuilder::new().num_threads(n_threads).build() {
        Ok(threads) => threads.install(work),
        // The system refuses further threads. Rayon's global pool computes the same result.
        Err(_) => work(),
    }
}
