//! The random number generator of a backend.

use std::sync::{Mutex, PoisonError};

use burn::tensor::backend::Backend;

/// Seeds the generator of the backend and returns what `draw` draws from it.
///
/// All threads share a generator. Calls of this function take turns, so that no other call seeds it
/// or draws from it in between. `draw` must read the drawn values if it initialises modules, because
/// Burn draws a parameter when it is first read; `ModelConfig::init` does. It must not call this function.
pub fn seeded<B: Backend, T>(seed: u64, device: &B::Device, draw: impl FnOnce() -> T) -> T {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    B::seed(device, seed);
    draw()
}

#[cfg(all(test, any(feature = "flex", feature = "tch")))]
mod tests {
    use burn::tensor::{Distribution, Tensor};

    use super::*;
    use crate::backend::TestBackend;

    #[test]
    fn threads_that_draw_at_the_same_time_get_the_values_of_their_seeds() {
        let device = Default::default();
        let row = || Tensor::<TestBackend, 1>::random([64], Distribution::Default, &device);
        // Two draws for each seed: those of another thread could come in between.
        let draw = |seed| seeded::<TestBackend, _>(seed, &device, || [row(), row()]);
        let values = |rows: [Tensor<TestBackend, 1>; 2]| {
            rows.map(|row| row.into_data().to_vec::<f32>().unwrap()).concat()
        };
        let alone = [1, 2].map(|seed| values(draw(seed)));
        std::thread::scope(|scope| {
            for (seed, alone) in [(1, &alone[0]), (2, &alone[1])] {
                scope.spawn(move || (0..50).for_each(|_| assert_eq!(&values(draw(seed)), alone)));
            }
        });
    }
}
