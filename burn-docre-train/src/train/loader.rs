//! The data loaders of a stage: shuffled training batches, and the dev set as one item.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use burn::{
    data::dataloader::{DataLoader, DataLoaderIterator, Progress},
    tensor::{Tensor, TensorData, backend::Backend},
};
use burn_docre::{
    batch::DocReBatch, io::soft_labels::SoftLabelStore, model::ModelConfig,
    text::encoded::EncodedDocument,
};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use crate::train::{dev_set::DevSet, failure::Failure};

/// What a stage trains on: documents with pairs and, for the student, the teacher's logits.
#[derive(Clone)]
pub struct TrainSet {
    /// The documents; each has at least one pair.
    pub documents: Vec<Arc<EncodedDocument>>,
    /// The teacher's logits; that every document has some was checked before.
    pub teacher: Option<Arc<SoftLabelStore>>,
    /// Told when the logits on disk turn out to be damaged.
    pub failure: Failure,
}

impl TrainSet {
    fn teacher_logits(
        &self,
        store: &SoftLabelStore,
        documents: &[&EncodedDocument],
        n_classes: usize,
    ) -> Vec<f32> {
        let logits = |document: &&EncodedDocument| {
            let n_pairs = document.n_pairs();
            store.get(&document.key().0, n_pairs).unwrap_or_else(|error| {
                self.failure.set(error.to_string());
                vec![0.0; n_pairs * n_classes]
            })
        };
        documents.iter().flat_map(logits).collect()
    }
}

/// One forward and backward pass.
pub struct TrainBatch<B: Backend> {
    /// The model's input.
    pub inputs: DocReBatch<B>,
    /// The labels `[p, r]`.
    pub labels: Tensor<B, 2>,
    /// The teacher's logits `[p, r]`.
    pub teacher_logits: Option<Tensor<B, 2>>,
    /// One over the number of batches of the optimizer step.
    pub weight: f64,
    /// Seeds dropout: a resumed run drops what an uninterrupted one does.
    pub dropout_seed: u64,
}

/// The point of the epoch that the next iteration starts from.
#[derive(Debug, Default)]
pub struct Position {
    epoch: AtomicUsize,
    batch: AtomicUsize,
}

impl Position {
    /// Starts the next iteration at this batch of this epoch.
    pub fn set(&self, epoch: usize, batch: usize) {
        self.epoch.store(epoch, Ordering::Relaxed);
        self.batch.store(batch, Ordering::Relaxed);
    }
}

/// Training batches, shuffled anew each epoch by a generator that depends on the seed and the epoch alone.
#[derive(Clone)]
pub struct TrainLoader<B: Backend> {
    set: Arc<TrainSet>,
    config: Arc<ModelConfig>,
    batch_size: usize,
    /// Batches of an optimizer step, over all devices.
    batches_per_step: usize,
    seed: u64,
    position: Arc<Position>,
    device: B::Device,
    /// Which of how many workers this loader feeds; each takes every so manieth batch.
    worker: (usize, usize),
}

impl<B: Backend> TrainLoader<B> {
    /// A loader of all batches, on `device`; `position` says where each iteration starts.
    pub fn new(
        set: Arc<TrainSet>,
        config: Arc<ModelConfig>,
        (batch_size, batches_per_step): (usize, usize),
        seed: u64,
        position: Arc<Position>,
        device: B::Device,
    ) -> Self {
        let worker = (0, 1);
        Self { set, config, batch_size, batches_per_step, seed, position, device, worker }
    }

    /// One loader for each of `devices`, which take the batches in turn.
    pub fn split(&self, devices: &[B::Device]) -> Vec<Self> {
        let n_workers = devices.len();
        let workers = devices.iter().cloned().enumerate();
        workers.map(|(i, device)| Self { device, worker: (i, n_workers), ..self.clone() }).collect()
    }

    /// The batch of these documents.
    pub fn batch(&self, indices: &[usize], weight: f64, dropout_seed: u64) -> TrainBatch<B> {
        let documents: Vec<&EncodedDocument> =
            indices.iter().map(|&index| self.set.documents[index].as_ref()).collect();
        let inputs = DocReBatch::new(&documents, &self.config.encoder, &self.device);
        let labels = inputs.labels(self.config.n_classes);
        let n_classes = self.config.n_classes;
        let teacher_logits = self.set.teacher.as_ref().map(|store| {
            let logits = self.set.teacher_logits(store, &documents, n_classes);
            let shape = [logits.len() / n_classes, n_classes];
            Tensor::from_data(TensorData::new(logits, shape), &self.device)
        });
        TrainBatch { inputs, labels, teacher_logits, weight, dropout_seed }
    }
}

/// The order of the documents in an epoch with this seed.
fn order(n_documents: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n_documents).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    order
}

/// The share of a batch in its optimizer step; the last step of an epoch may have fewer batches.
fn share(batch: usize, n_batches: usize, accumulation: usize) -> f64 {
    let first = batch - batch % accumulation;
    1.0 / accumulation.min(n_batches - first) as f64
}

/// Batches of an epoch.
pub fn n_batches(n_documents: usize, batch_size: usize) -> usize {
    n_documents.div_ceil(batch_size)
}

/// A hash of two numbers whose bits all depend on all of theirs (SplitMix64's finaliser).
pub fn mix(a: u64, b: u64) -> u64 {
    let mut x = a.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ b.wrapping_add(0xD1B5_4A32_D192_ED03);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

struct TrainIterator<'a, B: Backend> {
    loader: &'a TrainLoader<B>,
    /// The epoch's.
    seed: u64,
    order: Vec<usize>,
    next: usize,
}

impl<B: Backend> Iterator for TrainIterator<'_, B> {
    type Item = TrainBatch<B>;

    fn next(&mut self) -> Option<TrainBatch<B>> {
        let loader = self.loader;
        let batch = self.order.chunks(loader.batch_size).nth(self.next)?;
        let n_batches = n_batches(self.order.len(), loader.batch_size);
        let weight = share(self.next, n_batches, loader.batches_per_step);
        let dropout_seed = mix(self.seed, self.next as u64);
        self.next += loader.worker.1;
        Some(loader.batch(batch, weight, dropout_seed))
    }
}

impl<B: Backend> DataLoaderIterator<TrainBatch<B>> for TrainIterator<'_, B> {
    fn progress(&self) -> Progress {
        let n_documents = self.order.len();
        Progress::new((self.next * self.loader.batch_size).min(n_documents), n_documents)
    }
}

impl<B: Backend> DataLoader<B, TrainBatch<B>> for TrainLoader<B> {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<TrainBatch<B>> + 'a> {
        let epoch = self.position.epoch.load(Ordering::Relaxed);
        let seed = mix(self.seed, epoch as u64);
        let order = order(self.set.documents.len(), seed);
        let next = self.position.batch.load(Ordering::Relaxed) + self.worker.0;
        Box::new(TrainIterator { loader: self, seed, order, next })
    }

    fn num_items(&self) -> usize {
        self.set.documents.len()
    }

    fn to_device(&self, device: &B::Device) -> Arc<dyn DataLoader<B, TrainBatch<B>>> {
        Arc::new(Self { device: device.clone(), ..self.clone() })
    }

    fn slice(&self, start: usize, end: usize) -> Arc<dyn DataLoader<B, TrainBatch<B>>> {
        let set =
            TrainSet { documents: self.set.documents[start..end].to_vec(), ..(*self.set).clone() };
        Arc::new(Self { set: Arc::new(set), ..self.clone() })
    }
}

/// The dev set and where to evaluate it.
pub struct DevRequest<B: Backend> {
    /// The documents.
    pub dev: Arc<DevSet>,
    /// The device.
    pub device: B::Device,
    /// Told the number of documents done; the evaluation stops when it says no.
    pub go_on: Box<dyn FnMut(usize) -> bool + Send>,
    /// Told what goes wrong.
    pub failure: Failure,
}

/// Gives the dev set as one item: the scores of a corpus are not the mean of its batches' scores.
#[derive(Clone)]
pub struct DevLoader<B: Backend> {
    /// The documents.
    pub dev: Arc<DevSet>,
    /// The device.
    pub device: B::Device,
    /// Told what goes wrong.
    pub failure: Failure,
}

struct Once<B: Backend> {
    item: Option<DevRequest<B>>,
    n_documents: usize,
}

impl<B: Backend> Iterator for Once<B> {
    type Item = DevRequest<B>;

    fn next(&mut self) -> Option<DevRequest<B>> {
        self.item.take()
    }
}

impl<B: Backend> DataLoaderIterator<DevRequest<B>> for Once<B> {
    fn progress(&self) -> Progress {
        let done = if self.item.is_none() { self.n_documents } else { 0 };
        Progress::new(done, self.n_documents)
    }
}

impl<B: Backend> DataLoader<B, DevRequest<B>> for DevLoader<B> {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<DevRequest<B>> + 'a> {
        let item = DevRequest {
            dev: self.dev.clone(),
            device: self.device.clone(),
            go_on: Box::new(|_| true),
            failure: self.failure.clone(),
        };
        Box::new(Once { item: Some(item), n_documents: self.dev.len() })
    }

    fn num_items(&self) -> usize {
        self.dev.len()
    }

    fn to_device(&self, device: &B::Device) -> Arc<dyn DataLoader<B, DevRequest<B>>> {
        Arc::new(Self { device: device.clone(), ..self.clone() })
    }

    /// The dev set is scored as a whole, so a part of it is the whole.
    fn slice(&self, _: usize, _: usize) -> Arc<dyn DataLoader<B, DevRequest<B>>> {
        Arc::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_has_an_order_of_its_own_that_depends_on_the_seed_alone() {
        let mut sorted = order(50, mix(1, 1));
        assert_eq!(sorted, order(50, mix(1, 1)));
        assert_ne!(sorted, order(50, mix(1, 2)));
        assert_ne!(sorted, order(50, mix(2, 1)));
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn the_batches_of_each_optimizer_step_share_it_equally_the_short_last_one_too() {
        let shares: Vec<f64> = (0..5).map(|batch| share(batch, 5, 2)).collect();
        assert_eq!(shares, [0.5, 0.5, 0.5, 0.5, 1.0]);
        assert_eq!(share(2, 5, 1), 1.0);
        assert_eq!(share(3, 5, 8), 0.2);
    }
}
