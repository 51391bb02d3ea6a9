//! The data loaders of a stage: shuffled training batches, and the dev evaluation as one item.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use burn::{
    backend::Autodiff,
    data::dataloader::{DataLoader, DataLoaderIterator, Progress},
    tensor::backend::Backend,
};
use burn_docre::DocReBackend;
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use crate::{
    config::StageConfig,
    train::{
        failure::Failure,
        objective::{Objective, Step},
    },
};

/// The input of one forward and backward pass.
pub struct StepBatch<T> {
    /// The objective's batch.
    pub batch: T,
    /// The weight of the loss: one over the number of batches of the optimizer step.
    pub weight: f64,
    /// The optimizer step that the batch belongs to.
    pub step: Step,
    /// The seed of the dropout masks, equal in a resumed and in an uninterrupted run.
    pub dropout_seed: u64,
    /// Receives a panic of the step as an error. `None` lets it unwind.
    pub panics: Option<Failure>,
}

/// The batch from which the next iteration starts.
#[derive(Debug, Default)]
pub struct Position {
    epoch: AtomicUsize,
    batch: AtomicUsize,
}

impl Position {
    /// Starts the next iteration at batch `batch`, from 0, of epoch `epoch`, from 1.
    pub fn set(&self, epoch: usize, batch: usize) {
        self.epoch.store(epoch, Ordering::Relaxed);
        self.batch.store(batch, Ordering::Relaxed);
    }
}

/// The sizes of a batch and of an optimizer step.
#[derive(Clone, Copy, Debug)]
pub struct BatchSizes {
    /// Examples of a batch.
    pub examples_per_batch: usize,
    /// Batches of an optimizer step, over all devices.
    pub batches_per_step: usize,
}

impl BatchSizes {
    /// The sizes of a stage on `n_devices` devices.
    pub fn of(stage: &StageConfig, n_devices: usize) -> Self {
        Self {
            examples_per_batch: stage.batch_size,
            batches_per_step: stage.accumulation * n_devices,
        }
    }

    /// Batches of an epoch.
    pub fn batches_per_epoch(&self, n_examples: usize) -> usize {
        n_examples.div_ceil(self.examples_per_batch)
    }

    /// Optimizer steps of an epoch.
    pub fn steps_per_epoch(&self, n_examples: usize) -> usize {
        self.batches_per_epoch(n_examples).div_ceil(self.batches_per_step)
    }
}

/// The batches that a loader reads: `index`, `index + count`, `index + 2 count`, …
#[derive(Clone, Copy, Debug)]
struct Worker {
    index: usize,
    count: usize,
}

/// A loader of shuffled training batches. Their order depends only on the seed and the epoch.
pub struct TrainLoader<B: DocReBackend, O: Objective<B>> {
    objective: O,
    examples: Arc<[O::Example]>,
    sizes: BatchSizes,
    seed: u64,
    position: Arc<Position>,
    failure: Failure,
    device: B::Device,
    worker: Worker,
}

impl<B: DocReBackend, O: Objective<B>> Clone for TrainLoader<B, O> {
    fn clone(&self) -> Self {
        Self {
            objective: self.objective.clone(),
            examples: self.examples.clone(),
            position: self.position.clone(),
            failure: self.failure.clone(),
            device: self.device.clone(),
            ..*self
        }
    }
}

impl<B: DocReBackend, O: Objective<B>> TrainLoader<B, O> {
    /// A loader of all batches of `examples` on `device`.
    pub fn new(
        objective: O,
        examples: Arc<[O::Example]>,
        sizes: BatchSizes,
        seed: u64,
        device: B::Device,
    ) -> Self {
        Self {
            objective,
            examples,
            sizes,
            seed,
            position: Arc::default(),
            failure: Failure::default(),
            device,
            worker: Worker { index: 0, count: 1 },
        }
    }

    /// Reads the start of each iteration from `position` and stores errors in `failure`.
    pub fn with_handles(self, position: &Arc<Position>, failure: &Failure) -> Self {
        Self { position: position.clone(), failure: failure.clone(), ..self }
    }

    /// One loader for each of `devices`. Together they read every batch once.
    pub fn split(&self, devices: &[B::Device]) -> Vec<Self> {
        let count = devices.len();
        let workers = devices.iter().cloned().enumerate();
        workers
            .map(|(index, device)| Self { device, worker: Worker { index, count }, ..self.clone() })
            .collect()
    }

    /// The batch of the examples at `indices`.
    ///
    /// # Errors
    /// As [`Objective::batch`].
    pub fn batch(&self, indices: &[usize]) -> anyhow::Result<O::Batch> {
        let examples: Vec<&O::Example> =
            indices.iter().map(|&index| &self.examples[index]).collect();
        self.objective.batch(&examples, &self.device)
    }
}

/// The order of the examples in an epoch with this seed.
fn order(n_examples: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n_examples).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    order
}

/// The weight of a batch in its optimizer step; the last step of an epoch can have fewer batches.
fn batch_weight(batch: usize, n_batches: usize, batches_per_step: usize) -> f64 {
    let first = batch - batch % batches_per_step;
    1.0 / batches_per_step.min(n_batches - first) as f64
}

/// A hash of two numbers (SplitMix64's finaliser). Each bit depends on all bits of both.
pub fn mix(a: u64, b: u64) -> u64 {
    let mut x = a.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ b.wrapping_add(0xD1B5_4A32_D192_ED03);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

struct TrainIterator<'a, B: DocReBackend, O: Objective<B>> {
    loader: &'a TrainLoader<B, O>,
    epoch: usize,
    /// The epoch's seed.
    seed: u64,
    order: Vec<usize>,
    next: usize,
}

impl<B: DocReBackend, O: Objective<B>> Iterator for TrainIterator<'_, B, O> {
    type Item = StepBatch<O::Batch>;

    /// The next batch. If it cannot be built, the iteration ends and [`Failure`] holds the error.
    fn next(&mut self) -> Option<StepBatch<O::Batch>> {
        let TrainLoader { sizes, worker, failure, .. } = self.loader;
        let indices = self.order.chunks(sizes.examples_per_batch).nth(self.next)?;
        let batch = match self.loader.batch(indices) {
            Ok(batch) => batch,
            Err(error) => {
                failure.set(error);
                return None;
            }
        };
        let n_batches = sizes.batches_per_epoch(self.order.len());
        let steps_before = self.epoch.saturating_sub(1) * sizes.steps_per_epoch(self.order.len());
        let step_in_epoch = self.next / sizes.batches_per_step;
        let index = self.next;
        self.next += worker.count;
        Some(StepBatch {
            batch,
            weight: batch_weight(index, n_batches, sizes.batches_per_step),
            step: Step { number: steps_before + step_in_epoch + 1, epoch: self.epoch },
            dropout_seed: mix(self.seed, index as u64),
            panics: (worker.count > 1).then(|| failure.clone()),
        })
    }
}

impl<B: DocReBackend, O: Objective<B>> DataLoaderIterator<StepBatch<O::Batch>>
    for TrainIterator<'_, B, O>
{
    fn progress(&self) -> Progress {
        let n_examples = self.order.len();
        let n_done = self.next * self.loader.sizes.examples_per_batch;
        Progress::new(n_done.min(n_examples), n_examples)
    }
}

impl<B: DocReBackend, O: Objective<B>> DataLoader<Autodiff<B>, StepBatch<O::Batch>>
    for TrainLoader<B, O>
{
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<StepBatch<O::Batch>> + 'a> {
        let epoch = self.position.epoch.load(Ordering::Relaxed);
        let seed = mix(self.seed, epoch as u64);
        let order = order(self.examples.len(), seed);
        let next = self.position.batch.load(Ordering::Relaxed) + self.worker.index;
        Box::new(TrainIterator { loader: self, epoch, seed, order, next })
    }

    fn num_items(&self) -> usize {
        self.examples.len()
    }

    fn to_device(
        &self,
        device: &B::Device,
    ) -> Arc<dyn DataLoader<Autodiff<B>, StepBatch<O::Batch>>> {
        Arc::new(Self { device: device.clone(), ..self.clone() })
    }

    /// Returns the whole loader: the training loop splits it with [`split`](Self::split).
    fn slice(&self, _: usize, _: usize) -> Arc<dyn DataLoader<Autodiff<B>, StepBatch<O::Batch>>> {
        Arc::new(self.clone())
    }
}

/// A request for a dev evaluation.
pub struct DevRequest<B: Backend> {
    /// The device.
    pub device: B::Device,
    /// Receives the progress; the evaluation stops when it returns false.
    pub go_on: Box<dyn FnMut(Progress) -> bool + Send>,
    /// Receives the error of a failed evaluation.
    pub failure: Failure,
}

/// A loader with one item, the evaluation of the whole dev set.
///
/// The F1 of a corpus is not the mean of the F1 of its batches.
#[derive(Clone)]
pub struct DevLoader<B: Backend> {
    /// The device.
    pub device: B::Device,
    /// Receives the error of a failed evaluation.
    pub failure: Failure,
}

struct Once<B: Backend>(Option<DevRequest<B>>);

impl<B: Backend> Iterator for Once<B> {
    type Item = DevRequest<B>;

    fn next(&mut self) -> Option<DevRequest<B>> {
        self.0.take()
    }
}

impl<B: Backend> DataLoaderIterator<DevRequest<B>> for Once<B> {
    fn progress(&self) -> Progress {
        Progress::new(usize::from(self.0.is_none()), 1)
    }
}

impl<B: Backend> DataLoader<B, DevRequest<B>> for DevLoader<B> {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<DevRequest<B>> + 'a> {
        Box::new(Once(Some(DevRequest {
            device: self.device.clone(),
            go_on: Box::new(|_| true),
            failure: self.failure.clone(),
        })))
    }

    fn num_items(&self) -> usize {
        1
    }

    fn to_device(&self, device: &B::Device) -> Arc<dyn DataLoader<B, DevRequest<B>>> {
        Arc::new(Self { device: device.clone(), ..self.clone() })
    }

    fn slice(&self, _: usize, _: usize) -> Arc<dyn DataLoader<B, DevRequest<B>>> {
        Arc::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_epoch_has_its_own_order_that_depends_on_seed_and_epoch_only() {
        let mut sorted = order(50, mix(1, 1));
        assert_eq!(sorted, order(50, mix(1, 1)));
        assert_ne!(sorted, order(50, mix(1, 2)));
        assert_ne!(sorted, order(50, mix(2, 1)));
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn batches_of_an_optimizer_step_have_equal_weights_also_in_an_incomplete_last_step() {
        let weights: Vec<f64> = (0..5).map(|batch| batch_weight(batch, 5, 2)).collect();
        assert_eq!(weights, [0.5, 0.5, 0.5, 0.5, 1.0]);
        assert_eq!(batch_weight(2, 5, 1), 1.0);
        assert_eq!(batch_weight(3, 5, 8), 0.2);
    }

    #[test]
    fn an_incomplete_last_group_of_batches_is_an_optimizer_step() {
        let sizes = BatchSizes { examples_per_batch: 2, batches_per_step: 2 };
        assert_eq!(sizes.batches_per_epoch(9), 5);
        assert_eq!(sizes.steps_per_epoch(9), 3);
    }
}
