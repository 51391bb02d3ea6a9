//! Documents through a model: in batches of limited size and, on a processor, several batches side by side.
//!
//! Threads that share one matrix product wait for each other at its end, and at the end of every operation after it. Lanes
//! that each compute a batch of their own on a part of the threads hardly ever do.

pub mod decode;

use std::{
    collections::VecDeque,
    iter::Peekable,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread::{self, JoinHandle},
    vec,
};

use crate::{
    Result,
    batch::DocReBatch,
    inference::decode::{Prediction, predict},
    model::{DocReModel, ModelConfig},
    ops::DocReBackend,
    text::encoded::EncodedDocument,
};

/// What a batch holds, whatever the number of threads: which documents share one changes the last bits of their logits.
const BATCH: Limits = Limits { documents: 4, tokens: 2048, cells: 8192 };
/// The same where large products pay more: on a GPU.
const LARGE_BATCH: Limits = Limits { documents: 16, tokens: 8192, cells: 32_768 };
/// Batches in work at a time, which is what memory has to hold.
const MAX_LANES: usize = 4;
/// Batches that wait for each lane, so that none stands idle while the oldest batch is waited for.
const WAITING_PER_LANE: usize = 3;

/// A model, ready for documents.
#[derive(Clone, Debug)]
pub struct Inference<B: DocReBackend> {
    model: DocReModel<B>,
    config: Arc<ModelConfig>,
    device: B::Device,
    limits: Limits,
    max_lanes: usize,
}

/// A document with its logits.
#[derive(Clone, Debug)]
pub struct DocumentLogits {
    /// The document.
    pub document: Arc<EncodedDocument>,
    /// `[pairs, classes]` in row order; empty where the document has no pairs.
    pub logits: Vec<f32>,
}

impl DocumentLogits {
    /// The relations that a model of this configuration predicts.
    ///
    /// # Errors
    /// [`Error::NotANumber`](crate::Error::NotANumber) on a logit that is NaN.
    pub fn predictions(&self, config: &ModelConfig) -> Result<Vec<Prediction>> {
        let max_relations_per_pair = config.decoding.max_relations_per_pair;
        predict(&self.document, &self.logits, config.n_classes, max_relations_per_pair)
    }
}

impl<B: DocReBackend> Inference<B> {
    /// A model with its configuration.
    pub fn new(
        model: DocReModel<B>,
        config: impl Into<Arc<ModelConfig>>,
        device: B::Device,
    ) -> Self {
        let config = config.into();
        let limits = if B::has_host_loops(&device) { BATCH } else { LARGE_BATCH };
        Self { model, config, device, limits, max_lanes: MAX_LANES }
    }

    /// The model's configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// At most `n` documents in work at a time, all lanes together, whatever their size.
    ///
    /// They are split over the lanes, so that here the number of threads says which documents share a batch, which
    /// changes the last bits of their logits.
    pub fn with_documents_at_once(mut self, n: usize) -> Self {
        self.max_lanes = n.clamp(1, B::n_threads(&self.device));
        let documents = (n / self.max_lanes).max(1);
        self.limits = Limits { documents, tokens: usize::MAX, cells: usize::MAX };
        self
    }

    /// The logits of each document, in the order of the documents.
    ///
    /// An error among the documents ends the iteration after the documents before it.
    pub fn run<E, I>(&self, documents: I) -> Logits<B, I::IntoIter, E>
    where
        I: IntoIterator<Item = Result<Arc<EncodedDocument>, E>>,
    {
        let documents = documents.into_iter().peekable();
        let batches = Batches { documents, limits: self.limits, has_failed: false };
        Logits {
            inference: self.clone(),
            lanes: Lanes::new(self),
            batches: batches.peekable(),
            in_work: VecDeque::new(),
            ready: Vec::new().into_iter(),
        }
    }

    fn forward(&self, documents: Vec<Arc<EncodedDocument>>) -> Vec<DocumentLogits> {
        let with_pairs: Vec<&EncodedDocument> =
            documents.iter().filter(|document| document.n_pairs() > 0).map(AsRef::as_ref).collect();
        let mut values = Vec::new();
        if !with_pairs.is_empty() {
            let batch = DocReBatch::new(&with_pairs, &self.config.encoder, &self.device);
            let logits = self.model.forward(&batch).logits;
            values = logits.into_data().iter::<f32>().collect();
        }
        let mut rest = values.as_slice();
        let split = |document: Arc<EncodedDocument>| {
            let (own, others) = rest.split_at(document.n_pairs() * self.config.n_classes);
            rest = others;
            DocumentLogits { document, logits: own.to_vec() }
        };
        documents.into_iter().map(split).collect()
    }
}

/// The iterator of [`Inference::run`].
pub struct Logits<B: DocReBackend, I, E>
where
    I: Iterator<Item = Result<Arc<EncodedDocument>, E>>,
{
    inference: Inference<B>,
    lanes: Option<Lanes>,
    batches: Peekable<Batches<I>>,
    /// The lanes' answers to the batches given to them, oldest first.
    in_work: VecDeque<Receiver<Answer>>,
    ready: vec::IntoIter<DocumentLogits>,
}

impl<B: DocReBackend, I, E> Iterator for Logits<B, I, E>
where
    I: Iterator<Item = Result<Arc<EncodedDocument>, E>>,
{
    type Item = Result<DocumentLogits, E>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(document) = self.ready.next() {
                return Some(Ok(document));
            }
            self.feed_the_lanes();
            let documents = match self.in_work.pop_front() {
                Some(answer) => {
                    let answer = answer.recv().expect("a lane answers every batch");
                    answer.unwrap_or_else(|panic| resume_unwind(panic))
                }
                None => match self.batches.next()? {
                    Ok(batch) => self.inference.forward(batch),
                    Err(error) => return Some(Err(error)),
                },
            };
            self.ready = documents.into_iter();
        }
    }
}

impl<B: DocReBackend, I, E> Logits<B, I, E>
where
    I: Iterator<Item = Result<Arc<EncodedDocument>, E>>,
{
    /// Gives batches to the lanes up to the next that is to be computed alone, with all threads.
    fn feed_the_lanes(&mut self) {
        let Some(lanes) = &self.lanes else { return };
        let limits = self.inference.limits;
        while self.in_work.len() < lanes.handles.len() * (1 + WAITING_PER_LANE) {
            let fits = |batch: &Result<Vec<_>, E>| {
                batch.as_ref().is_ok_and(|batch| limits.hold(Size::of(batch)))
            };
            match self.batches.next_if(fits) {
                Some(Ok(batch)) => self.in_work.push_back(lanes.give(batch)),
                _ => return,
            }
        }
    }
}

/// Threads that each compute batch after batch.
struct Lanes {
    /// `None` when the lanes are told to end.
    jobs: Option<Sender<Job>>,
    waiting: Arc<Mutex<Receiver<Job>>>,
    handles: Vec<JoinHandle<()>>,
}

struct Job {
    batch: Vec<Arc<EncodedDocument>>,
    answer: SyncSender<Answer>,
}

/// The logits of a batch, or what its computation panicked with.
type Answer = thread::Result<Vec<DocumentLogits>>;

impl Lanes {
    /// `None` where one thread at a time is best, or the system gives no second one.
    fn new<B: DocReBackend>(inference: &Inference<B>) -> Option<Self> {
        let n_threads = B::n_threads(&inference.device);
        let n_lanes = n_threads.min(inference.max_lanes);
        if n_lanes < 2 {
            return None;
        }
        let (jobs, waiting) = channel();
        let waiting = Arc::new(Mutex::new(waiting));
        let start = |lane| {
            let (inference, waiting) = (inference.clone(), waiting.clone());
            let work = move || work_through(&inference, &waiting);
            // The first lanes share what does not divide.
            let n = n_threads / n_lanes + usize::from(lane < n_threads % n_lanes);
            let thread = thread::Builder::new().name(format!("lane {lane}"));
            thread.spawn(move || B::on_threads(n, work)).ok()
        };
        let handles: Vec<_> = (0..n_lanes).map_while(start).collect();
        (!handles.is_empty()).then_some(Self { jobs: Some(jobs), waiting, handles })
    }

    fn give(&self, batch: Vec<Arc<EncodedDocument>>) -> Receiver<Answer> {
        let (answer, answers) = sync_channel(1);
        let jobs = self.jobs.as_ref().expect("the lanes were not told to end");
        jobs.send(Job { batch, answer }).expect("`self` holds the receiver");
        answers
    }
}

impl Drop for Lanes {
    /// Forgets the batches that wait, and lets those in work come to their end.
    fn drop(&mut self) {
        self.jobs = None;
        while next_job(&self.waiting).is_some() {}
        for lane in self.handles.drain(..) {
            // What a batch panicked with went into its answer.
            let _ = lane.join();
        }
    }
}

fn work_through<B: DocReBackend>(inference: &Inference<B>, waiting: &Mutex<Receiver<Job>>) {
    while let Some(Job { batch, answer }) = next_job(waiting) {
        let result = catch_unwind(AssertUnwindSafe(|| inference.forward(batch)));
        // Nobody waits any more if the iterator was dropped.
        let _ = answer.send(result);
    }
}

/// Waits for a job; `None` when there will be none.
fn next_job(waiting: &Mutex<Receiver<Job>>) -> Option<Job> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// Consecutive documents that go through the model together.
struct Batches<I: Iterator> {
    documents: Peekable<I>,
    limits: Limits,
    has_failed: bool,
}

impl<I, E> Iterator for Batches<I>
where
    I: Iterator<Item = Result<Arc<EncodedDocument>, E>>,
{
    type Item = Result<Vec<Arc<EncodedDocument>>, E>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed {
            return None;
        }
        let mut batch = match self.documents.next()? {
            Ok(document) => vec![document],
            Err(error) => {
                self.has_failed = true;
                return Some(Err(error));
            }
        };
        let mut size = Size::of(&batch);
        while let Some(Ok(document)) = self.documents.next_if(|next| {
            next.as_ref().is_ok_and(|document| self.limits.hold(size.with(document)))
        }) {
            size = size.with(&document);
            batch.push(document);
        }
        Some(Ok(batch))
    }
}

/// How large batches may be, unless one document alone is larger.
#[derive(Clone, Copy, Debug)]
struct Limits {
    documents: usize,
    /// Tokens, padding included.
    tokens: usize,
    /// Cells of the pair grids, padding included.
    cells: usize,
}

/// How large a batch is.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    documents: usize,
    longest: usize,
    most_entities: usize,
}

impl Size {
    fn of(batch: &[Arc<EncodedDocument>]) -> Self {
        batch.iter().fold(Self::default(), |size, document| size.with(document))
    }

    fn with(self, document: &EncodedDocument) -> Self {
        Self {
            documents: self.documents + 1,
            longest: self.longest.max(document.token_ids.len()),
            most_entities: self.most_entities.max(document.n_entities()),
        }
    }
}

impl Limits {
    fn hold(&self, size: Size) -> bool {
        let Size { documents, longest, most_entities } = size;
        documents <= self.documents
            && documents * longest <= self.tokens
            && documents * most_entities * most_entities <= self.cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document((n_tokens, n_entities): (usize, usize)) -> Arc<EncodedDocument> {
        Arc::new(EncodedDocument {
            title: String::new(),
            token_ids: vec![0; n_tokens],
            mentions: vec![vec![0]; n_entities],
            facts: Vec::new(),
        })
    }

    /// How many documents each batch has; an error counts as none.
    fn batch_sizes(documents: impl IntoIterator<Item = Result<(usize, usize), ()>>) -> Vec<usize> {
        let documents = documents.into_iter().map(|size| size.map(document)).peekable();
        let batches = Batches { documents, limits: BATCH, has_failed: false };
        batches.map(|batch| batch.map_or(0, |batch| batch.len())).collect()
    }

    #[test]
    fn batches_hold_every_document_once_and_keep_the_limits() {
        let sizes = [(100, 5), (600, 9), (700, 3), (5000, 2), (10, 200), (10, 3), (10, 3)];
        assert_eq!(batch_sizes(sizes.map(Ok)), [2, 1, 1, 1, 2]);
        assert_eq!(batch_sizes([(10, 2); BATCH.documents + 1].map(Ok)), [BATCH.documents, 1]);
        assert!(batch_sizes([]).is_empty());
    }

    #[test]
    fn an_error_comes_after_the_documents_before_it_and_ends_the_batches() {
        assert_eq!(batch_sizes([Ok((10, 2)), Ok((10, 2)), Err(()), Ok((10, 2))]), [2, 0]);
    }
}
