//! The random number generator of a backend.

use std::sync::{Mutex, PoisonError};

use burn::tensor::backend::Backend;

/// Seeds the generator of the backend and returns what `draw` draws from it.
///
/// All threads share a generator. Calls of this function take turns, so that no other call seeds it
/// or draws from it in between. A call within `draw` would wait for itself. If `draw` initialises a
/// module, it must also read the parameters, because Burn draws a parameter when it is first read;
/// `ModelConfig::init` reads them.
pub fn seeded<B: Backend, T>(seed: u64, device: &B::Device, draw: impl FnOnce() -> T) -> T {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    B::seed(device, seed);
    draw()
}
