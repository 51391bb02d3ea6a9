//! The logits of encoded documents.
//!
//! Batches have a limited size. On a CPU, inference workers compute several batches in parallel,
//! each on a part of the threads. Threads that share one batch would have to wait for each other at
//! the end of every operation; workers with separate batches rarely wait.

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
        evidence::{BatchEvidence, DocumentEvidence},
        workers::{Call, JobResult, Workers},
    },
    model::{DocReModel, ModelConfig},
    text::encoded::EncodedDocument,
};

/// The maximum number of inference workers, unless the caller chooses the number of documents at a
/// time. Each needs memory for one batch.
const MAX_WORKERS: usize = 4;
/// The number of queued batches per worker. The queue keeps workers busy while the caller waits for
/// the oldest batch.
const QUEUED_PER_WORKER: usize = 3;

/// Computes the logits of documents with a model.
///
/// The first call of [`run`](Self::run) starts the inference workers. All clones of a value share
/// its workers, which end when the last clone is dropped. Several threads may call `run` at the
/// same time.
#[derive(Clone)]
pub struct Inference<B: DocReBackend> {
    forward: Forward<B>,
    limits: Limits,
    max_workers: usize,
    /// Empty before the first run. `None` if one worker would do: the caller then computes.
    workers: Arc<OnceLock<Option<BatchWorkers>>>,
}

type BatchWorkers = Workers<Vec<Arc<EncodedDocument>>, Vec<DocumentLogits>>;

/// A document with its logits.
#[derive(Clone, Debug)]
pub struct DocumentLogits {
    /// The document.
    pub document: Arc<EncodedDocument>,
    /// The logits `[p, r]`, row-major; rows as in [`EncodedDocument::row`]. Empty if the document
    /// has no pairs.
    pub logits: Vec<f32>,
    /// The evidence behind the logits. `None` if the system names none, or the document has no
    /// pairs.
    pub evidence: Option<DocumentEvidence>,
    decoder: Decoder,
}

impl DocumentLogits {
    /// Decodes the logits with the configuration of their model. Predictions have the evidence of
    /// their pairs.
    ///
    /// # Errors
    /// [`Error::NotANumber`] if a logit is NaN.
    pub fn predictions(&self) -> Result<Vec<Prediction>> {
        let mut predictions = self.decoder.decode(&self.document, &self.logits)?;
        if let Some(evidence) = &self.evidence {
            evidence.add_to(&mut predictions, &self.document);
        }
        Ok(predictions)
    }
}

impl<B: DocReBackend> Inference<B> {
    /// Wraps a model, its configuration and the device of its weights.
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

    /// Limits the number of documents computed at a time to `n`, at least 1, divided among as many
    /// workers as the device has threads, but at most `n`.
    ///
    /// The limits on tokens and pairs no longer apply. The division into batches, and with it the
    /// last bits of the logits, then depends on the number of threads.
    pub fn with_documents_at_once(mut self, n: usize) -> Self {
        self.max_workers = n.clamp(1, B::n_threads(&self.forward.device));
        let documents = (n / self.max_workers).max(1);
        self.limits = Limits { documents, tokens: usize::MAX, cells: usize::MAX };
        self.workers = Arc::default();
        self
    }

    /// Computes the logits of each document, in the order of the documents.
    ///
    /// # Errors
    /// The first error is the last item of the iterator, after the logits of all earlier documents.
    /// It is an error of `documents`, or [`Error::Document`] for a document that is not
    /// [valid](EncodedDocument::validate), has a token id without an embedding, or has another pair
    /// set than the model.
    ///
    /// # Panics
    /// The iterator resumes a panic of the forward pass. Other runs are not affected.
    pub fn run<E, I>(&self, documents: I) -> Logits<B, I::IntoIter, E>
    where
        I: IntoIterator<Item = Result<Arc<EncodedDocument>, E>>,
        E: From<Error>,
    {
        self.workers.get_or_init(|| self.start_workers());
        let ModelConfig { encoder, pair_set, .. } = self.forward.config.as_ref();
        let documents = Checked::new(documents.into_iter(), encoder.vocab_size, *pair_set);
        Logits {
            inference: self.clone(),
            batches: Batches::new(documents, self.limits).peekable(),
            call: Call::default(),
            queued: VecDeque::new(),
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
        let run_worker = move |worker: usize, body: Box<dyn FnOnce() + Send>| {
            // The first workers get one thread more if the division has a remainder.
            let n = n_threads / n_workers + usize::from(worker < n_threads % n_workers);
            B::on_threads(n, body);
        };
        Workers::start(n_workers, move |batch| forward.compute(batch), run_worker)
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

/// A model with its configuration and device.
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
        let (mut values, mut evidence) = (Vec::new(), None);
        if !with_pairs.is_empty() {
            let batch = DocReBatch::new(&with_pairs, &self.config.encoder, &self.device);
            let output = self.model.forward(&batch);
            values = output.logits.into_data().iter::<f32>().collect();
            evidence = output.evidence.map(BatchEvidence::new);
        }
        let decoder = Decoder::of(&self.config);
        let mut rest = values.as_slice();
        let split = |document: Arc<EncodedDocument>| {
            let (own, others) = rest.split_at(document.n_pairs() * decoder.n_classes);
            rest = others;
            let evidence = evidence.as_mut().filter(|_| !own.is_empty());
            let evidence = evidence.map(|evidence| evidence.take(&document));
            DocumentLogits { document, logits: own.to_vec(), evidence, decoder }
        };
        documents.into_iter().map(split).collect()
    }
}

/// An iterator over the logits of documents, returned by [`Inference::run`].
pub struct Logits<B: DocReBackend, I, E>
where
    I: Iterator<Item = Result<Arc<EncodedDocument>, E>>,
    E: From<Error>,
{
    inference: Inference<B>,
    batches: Peekable<Batches<Checked<I>>>,
    call: Call,
    /// The receivers of the results of queued batches, oldest first.
    queued: VecDeque<Receiver<JobResult<Vec<DocumentLogits>>>>,
    /// The rest of the oldest computed batch.
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
            self.queue_batches();
            let documents = match self.queued.pop_front() {
                Some(result) => {
                    let result = result.recv().expect("a worker sends the result of every batch");
                    result.unwrap_or_else(|panic| resume_unwind(panic))
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
    /// Fills the queue of the workers. It stops at an error and at a document that exceeds the
    /// limits alone, which the caller computes with all threads after the queued batches.
    fn queue_batches(&mut self) {
        let Some(Some(workers)) = self.inference.workers.get() else { return };
        let limits = self.inference.limits;
        while self.queued.len() < workers.len() * (1 + QUEUED_PER_WORKER) {
            let fits = |batch: &Result<Vec<_>, E>| {
                batch.as_ref().is_ok_and(|batch| limits.allow(Size::of(batch)))
            };
            match self.batches.next_if(fits) {
                Some(Ok(batch)) => self.queued.push_back(workers.submit(&self.call, batch)),
                _ => return,
            }
        }
    }
}
