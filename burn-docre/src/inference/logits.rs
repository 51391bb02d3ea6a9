//! Encoded documents through a model, to their logits.
//!
//! Batches have a limited size, and on a processor several are computed side by side by inference workers. Threads that
//! share one matrix product wait for each other at its end and at the end of every later operation. Workers that compute
//! a batch each, on a part of the threads, hardly ever wait.

use std::{
    collections::VecDeque,
    fmt,
    iter::Peekable,
    panic::resume_unwind,
    sync::{Arc, OnceLock, mpsc::Receiver},
    vec,
};

use crate::{
    DocReBackend, Error, Result,
    batch::DocReBatch,
    inference::{
        batching::{BATCH, Batches, Checked, LARGE_BATCH, Limits, Size},
        decode::{Decoder, Prediction},
        workers::{Answer, Call, Workers},
    },
    model::{DocReModel, ModelConfig},
    text::encoded::EncodedDocument,
};

/// The largest number of inference workers; memory has to hold a batch for each.
const MAX_WORKERS: usize = 4;
/// Batches in the queue for each worker, so that none is idle while the caller waits for the oldest batch.
const QUEUED_PER_WORKER: usize = 3;

/// A model that computes the logits of documents.
///
/// Its inference workers start with the first [`run`](Self::run) and end with the last clone of this value. All clones
/// share them, and several threads may call `run` at the same time.
#[derive(Clone)]
pub struct Inference<B: DocReBackend> {
    forward: Forward<B>,
    limits: Limits,
    max_workers: usize,
    /// Empty before the first run; `None` where one thread at a time is best.
    workers: Arc<OnceLock<Option<BatchWorkers>>>,
}

type BatchWorkers = Workers<Vec<Arc<EncodedDocument>>, Vec<DocumentLogits>>;

/// A document with its logits.
#[derive(Clone, Debug)]
pub struct DocumentLogits {
    /// The document.
    pub document: Arc<EncodedDocument>,
    /// The logits of the off-diagonal pairs, `[p, r]`, row-major; empty where the document has no pairs.
    pub logits: Vec<f32>,
    decoder: Decoder,
}

impl DocumentLogits {
    /// Decodes the logits by the configuration of the model that computed them.
    ///
    /// # Errors
    /// [`Error::NotANumber`] on a logit that is NaN.
    pub fn predictions(&self) -> Result<Vec<Prediction>> {
        self.decoder.decode(&self.document, &self.logits)
    }
}

impl<B: DocReBackend> Inference<B> {
    /// Wraps a model and its configuration.
    pub fn new(
        model: DocReModel<B>,
        config: impl Into<Arc<ModelConfig>>,
        device: B::Device,
    ) -> Self {
        let limits = if B::runs_on_processor(&device) { BATCH } else { LARGE_BATCH };
        let forward = Forward { model, config: config.into(), device };
        Self { forward, limits, max_workers: MAX_WORKERS, workers: Arc::default() }
    }

    /// The model's configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.forward.config
    }

    /// Limits the documents in work at a time to `n`, whatever their size.
    ///
    /// They are divided among the workers. Here the number of threads decides which documents share a batch, and so the
    /// last bits of their logits.
    pub fn with_documents_at_once(mut self, n: usize) -> Self {
        self.max_workers = n.clamp(1, B::n_threads(&self.forward.device));
        let documents = (n / self.max_workers).max(1);
        self.limits = Limits { documents, tokens: usize::MAX, cells: usize::MAX };
        self.workers = Arc::default();
        self
    }

    /// Computes the logits of each document, in the order of the documents.
    ///
    /// A panic of the computation is raised again by the iterator and leaves other runs as they are.
    ///
    /// # Errors
    /// An error of `documents` is an item of the iterator, after the documents before it, and the last one. So is
    /// [`Error::Document`] for a document that is not [valid](EncodedDocument::validate) or has a token id that the
    /// model has no embedding for.
    pub fn run<E, I>(&self, documents: I) -> Logits<B, I::IntoIter, E>
    where
        I: IntoIterator<Item = Result<Arc<EncodedDocument>, E>>,
        E: From<Error>,
    {
        self.workers.get_or_init(|| self.start_workers());
        let vocab_size = self.forward.config.encoder.vocab_size;
        let documents = Checked::new(documents.into_iter(), vocab_size);
        Logits {
            inference: self.clone(),
            batches: Batches::new(documents, self.limits).peekable(),
            call: Call::default(),
            in_work: VecDeque::new(),
            ready: Vec::new().into_iter(),
        }
    }

    fn start_workers(&self) -> Option<BatchWorkers> {
        let n_threads = B::n_threads(&self.forward.device);
        let n_workers = n_threads.min(self.max_workers);
        if n_workers < 2 {
            return None;
        }
        let forward = self.forward.clone();
        let surround = move |worker: usize, work: Box<dyn FnOnce() + Send>| {
            // The first workers share the threads that are left over.
            let n = n_threads / n_workers + usize::from(worker < n_threads % n_workers);
            B::on_threads(n, work);
        };
        Workers::start(n_workers, move |batch| forward.compute(batch), surround)
    }
}

impl<B: DocReBackend> fmt::Debug for Inference<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inference")
            .field("config", &self.forward.config)
            .field("device", &self.forward.device)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// A model with all that a forward pass needs.
#[derive(Clone)]
struct Forward<B: DocReBackend> {
    model: DocReModel<B>,
    config: Arc<ModelConfig>,
    device: B::Device,
}

impl<B: DocReBackend> Forward<B> {
    fn compute(&self, documents: Vec<Arc<EncodedDocument>>) -> Vec<DocumentLogits> {
        let with_pairs: Vec<&EncodedDocument> =
            documents.iter().filter(|document| document.n_pairs() > 0).map(AsRef::as_ref).collect();
        let mut values = Vec::new();
        if !with_pairs.is_empty() {
            let batch = DocReBatch::new(&with_pairs, &self.config.encoder, &self.device);
            let logits = self.model.forward(&batch).logits;
            values = logits.into_data().iter::<f32>().collect();
        }
        let decoder = Decoder::of(&self.config);
        let mut rest = values.as_slice();
        let split = |document: Arc<EncodedDocument>| {
            let (own, others) = rest.split_at(document.n_pairs() * decoder.n_classes);
            rest = others;
            DocumentLogits { document, logits: own.to_vec(), decoder }
        };
        documents.into_iter().map(split).collect()
    }
}

/// The iterator of [`Inference::run`].
pub struct Logits<B: DocReBackend, I, E>
where
    I: Iterator<Item = Result<Arc<EncodedDocument>, E>>,
    E: From<Error>,
{
    inference: Inference<B>,
    batches: Peekable<Batches<Checked<I>>>,
    call: Call,
    /// The answers to the batches given to the workers, oldest first.
    in_work: VecDeque<Receiver<Answer<Vec<DocumentLogits>>>>,
    ready: vec::IntoIter<DocumentLogits>,
}

impl<B: DocReBackend, I, E> Iterator for Logits<B, I, E>
where
    I: Iterator<Item = Result<Arc<EncodedDocument>, E>>,
    E: From<Error>,
{
    type Item = Result<DocumentLogits, E>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(document) = self.ready.next() {
                return Some(Ok(document));
            }
            self.feed_the_workers();
            let documents = match self.in_work.pop_front() {
                Some(answer) => {
                    let answer = answer.recv().expect("a worker answers every batch");
                    answer.unwrap_or_else(|panic| resume_unwind(panic))
                }
                None => match self.batches.next()? {
                    Ok(batch) => self.inference.forward.compute(batch),
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
    E: From<Error>,
{
    /// Gives batches to the workers, up to the next one that is to be computed alone, with all threads.
    fn feed_the_workers(&mut self) {
        let Some(Some(workers)) = self.inference.workers.get() else { return };
        let limits = self.inference.limits;
        while self.in_work.len() < workers.len() * (1 + QUEUED_PER_WORKER) {
            let fits = |batch: &Result<Vec<_>, E>| {
                batch.as_ref().is_ok_and(|batch| limits.hold(Size::of(batch)))
            };
            match self.batches.next_if(fits) {
                Some(Ok(batch)) => self.in_work.push_back(workers.give(&self.call, batch)),
                _ => return,
            }
        }
    }
}
