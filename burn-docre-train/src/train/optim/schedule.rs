//! Linear warm-up and decay of the learning rates.

use burn::{lr_scheduler::LrScheduler, tensor::backend::Backend};

/// A factor of the learning rates: linear warm-up from 0 to 1, then linear decay to 0.
///
/// The factor of step `k` (from 0) of `n` is `k / w` in the `w` warm-up steps and
/// `(n − k) / (n − w)` after them. This is the authors' scheduler.
#[derive(Clone, Debug)]
pub struct WarmupLinear {
    step: usize,
    n_warmup: usize,
    n_steps: usize,
}

impl WarmupLinear {
    /// A schedule of `n_steps` optimizer steps, with the fraction `warmup_ratio` as warm-up.
    pub fn new(n_steps: usize, warmup_ratio: f64) -> Self {
        Self { step: 0, n_warmup: (n_steps as f64 * warmup_ratio) as usize, n_steps }
    }

    fn factor(&self) -> f64 {
        if self.step < self.n_warmup {
            return self.step as f64 / self.n_warmup as f64;
        }
        let remaining = self.n_steps.saturating_sub(self.step);
        remaining as f64 / self.n_steps.saturating_sub(self.n_warmup).max(1) as f64
    }
}

impl LrScheduler for WarmupLinear {
    type Record<B: Backend> = usize;

    fn step(&mut self) -> f64 {
        let factor = self.factor();
        self.step += 1;
        factor
    }

    fn to_record<B: Backend>(&self) -> usize {
        self.step
    }

    fn load_record<B: Backend>(self, record: usize) -> Self {
        Self { step: record, ..self }
    }
}

#[cfg(test)]
mod tests {
    use burn_docre::{BackendTask, DocReBackend, dispatch};

    use super::*;

    #[test]
    fn the_schedule_rises_from_zero_and_falls_to_zero() {
        let mut schedule = WarmupLinear::new(10, 0.25);
        let factors: Vec<f64> = (0..11).map(|_| schedule.step()).collect();
        assert_eq!(&factors[..4], [0.0, 0.5, 1.0, 7.0 / 8.0]);
        assert_eq!(&factors[9..], [1.0 / 8.0, 0.0]);
    }

    #[test]
    fn a_restored_schedule_continues_from_its_step() {
        struct Restore;
        impl BackendTask for Restore {
            type Output = ();
            fn run<B: DocReBackend>(self, _: B::Device) {
                let mut schedule = WarmupLinear::new(10, 0.2);
                schedule.step();
                schedule.step();
                let record = schedule.to_record::<B>();
                let mut restored = WarmupLinear::new(10, 0.2).load_record::<B>(record);
                assert_eq!(schedule.step(), restored.step());
            }
        }
        dispatch(None, 0, Restore).unwrap();
    }
}
