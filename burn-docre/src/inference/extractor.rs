//! Extraction of relations with a model directory, on a backend and device chosen at run time.

use std::{fmt, path::Path, sync::Arc};

use crate::{
    BackendTask, DocReBackend, Error, Result,
    backend::BackendKind,
    data::{document::Document, pair::MentionPair, relation::RelationVocab},
    dispatch,
    inference::{decode::Prediction, logits::Inference},
    io::model_directory::{ModelBytes, ModelDirectory, ModelSpec},
    model::ModelConfig,
    nn::{
        precision::{Precision, PrecisionChoice},
        rounding::with_precision,
    },
    text::{
        encoded::{EncodedDocument, encode_all},
        tokenizer::DocumentTokenizer,
    },
};

/// A device of a backend.
///
/// The default is device 0 of the first backend of the build, which is flex unless its cargo
/// feature is disabled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// The backend; `None` for the first backend of the build.
    pub backend: Option<BackendKind>,
    /// The index of the device in [`BackendKind::devices`].
    pub number: usize,
}

impl From<BackendKind> for Device {
    /// Device 0 of the backend.
    fn from(kind: BackendKind) -> Self {
        Self { backend: Some(kind), number: 0 }
    }
}

/// A relation between two entities of a document.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ExtractedRelation {
    /// Index of the head, the subject of the relation, in [`Document::entities`].
    pub head: usize,
    /// Index of the tail, the object of the relation, in [`Document::entities`].
    pub tail: usize,
    /// The class index of the relation in [`Extractor::relations`].
    pub relation: usize,
    /// The relation's id, such as `P17`.
    pub id: String,
    /// The relation's name, such as `country`.
    pub name: String,
    /// The margin of the relation's logit over `threshold`, greater than 0. It ranks relations and
    /// is not a probability.
    pub score: f32,
    /// The logit of the threshold class for this pair.
    pub threshold: f32,
    /// Indices of the sentences that support the relation, in ascending order: those of the
    /// mentions in `key_mention_pairs`.
    pub evidence: Vec<usize>,
    /// The mention pairs that the system found the relation by. Empty for a system that names
    /// none.
    pub key_mention_pairs: Vec<MentionPair>,
}

/// Extracts the relations between the entities of documents.
///
/// An extractor owns a model on a device and its inference workers, which end when it is dropped.
/// Several threads can call [`extract`](Self::extract) at the same time. The results depend neither
/// on concurrent calls nor on the number of threads. An error or panic in one call does not affect
/// the others.
///
/// ```no_run
/// use std::path::Path;
///
/// use burn_docre::{Device, Document, Extractor};
///
/// fn print_relations(documents: &[Document]) -> burn_docre::Result<()> {
///     let extractor = Extractor::open(Path::new("model"), Device::default())?;
///     for (document, relations) in documents.iter().zip(extractor.extract(documents)?) {
///         for found in relations {
///             println!("{}: {} -> {}: {}", document.title, found.head, found.tail, found.name);
///         }
///     }
///     Ok(())
/// }
/// ```
pub struct Extractor {
    spec: ModelSpec,
    engine: Box<dyn Engine>,
}

/// The device and the precision of an [`Extractor`].
#[derive(Clone, Copy, Debug, Default)]
pub struct ExtractorBuilder {
    device: Device,
    precision: PrecisionChoice,
}

impl ExtractorBuilder {
    /// Sets the backend and device. The default is [`Device::default`].
    pub fn device(mut self, device: impl Into<Device>) -> Self {
        self.device = device.into();
        self
    }

    /// Sets the precision of the large matrix products. The default is [`Precision::F32`].
    pub fn precision(mut self, precision: impl Into<PrecisionChoice>) -> Self {
        self.precision = precision.into();
        self
    }

    /// Opens a model directory.
    ///
    /// # Errors
    /// The errors of [`ModelDirectory::open`] and [`ModelDirectory::model`], if a file is missing
    /// or malformed or the files contradict each other. [`Error::Backend`] if the backend is not
    /// compiled in, or lacks the device or the precision.
    pub fn open(self, directory: &Path) -> Result<Extractor> {
        self.start(ModelDirectory::open(directory)?)
    }

    /// Opens a model whose files are in memory.
    ///
    /// # Errors
    /// Under the conditions of [`open`](Self::open).
    pub fn from_bytes(self, files: &ModelBytes<'_>) -> Result<Extractor> {
        self.start(ModelDirectory::from_bytes(*files)?)
    }

    fn start(self, directory: ModelDirectory<'_>) -> Result<Extractor> {
        let Self { device, precision } = self;
        let kind = device.backend.map_or_else(BackendKind::first, Ok)?;
        let precision = precision.resolve(kind, &[device.number])?;
        let task = StartEngine { directory: &directory, kind, precision };
        let engine = dispatch(Some(kind), device.number, task)??;
        Ok(Extractor { spec: directory.into_spec(), engine })
    }
}

impl Extractor {
    /// Opens a model directory on a device, in single precision.
    ///
    /// # Errors
    /// As [`ExtractorBuilder::open`].
    pub fn open(directory: &Path, device: impl Into<Device>) -> Result<Self> {
        Self::builder().device(device).open(directory)
    }

    /// Opens a model whose files are in memory, on a device, in single precision.
    ///
    /// # Errors
    /// As [`ExtractorBuilder::from_bytes`].
    pub fn from_bytes(files: &ModelBytes<'_>, device: impl Into<Device>) -> Result<Self> {
        Self::builder().device(device).from_bytes(files)
    }

    /// A builder with the default device and single precision.
    pub fn builder() -> ExtractorBuilder {
        ExtractorBuilder::default()
    }

    /// Extracts the relations of each document, in the order of the documents.
    ///
    /// The relations of a document are sorted by head, then tail, then descending score. The facts
    /// of the documents are ignored. A document with fewer than two entities has no relations,
    /// unless the model finds relations of an entity with itself (`self_relations` in its
    /// `config.json`).
    ///
    /// The documents of a call are computed in batches. The last bits of a score depend on the
    /// other documents of its batch.
    ///
    /// # Errors
    /// - [`Error::Document`] with the index of the first document that is not
    ///   [valid](Document::validate_for), before any computation, or that cannot be tokenized.
    /// - [`Error::NotANumber`] if a logit is NaN.
    ///
    /// # Panics
    /// If the backend panics in the forward pass, for example out of memory.
    pub fn extract(&self, documents: &[Document]) -> Result<Vec<Vec<ExtractedRelation>>> {
        for (index, document) in documents.iter().enumerate() {
            document
                .validate_for(self.spec.config.pair_set)
                .map_err(|error| error.at_index(index))?;
        }
        let mut encoded = encode_all(documents, &self.spec).map(|document| document.map(Arc::new));
        let predictions = self.engine.predict(&mut encoded)?;
        let named = |found: Vec<Prediction>| found.into_iter().map(|p| self.named(p)).collect();
        Ok(predictions.into_iter().map(named).collect())
    }

    /// The relations of the model, in the order of its classes.
    pub fn relations(&self) -> &RelationVocab {
        &self.spec.vocab
    }

    /// The model's configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.spec.config
    }

    /// The model's tokenizer.
    pub fn tokenizer(&self) -> &DocumentTokenizer {
        &self.spec.tokenizer
    }

    fn named(&self, prediction: Prediction) -> ExtractedRelation {
        let Prediction { fact, score, threshold, key_mention_pairs } = prediction;
        let vocab = &self.spec.vocab;
        ExtractedRelation {
            head: fact.pair.head,
            tail: fact.pair.tail,
            relation: fact.relation,
            id: vocab.id(fact.relation).to_owned(),
            name: vocab.name(fact.relation).to_owned(),
            score,
            threshold,
            evidence: fact.evidence,
            key_mention_pairs,
        }
    }
}

impl fmt::Debug for Extractor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extractor").field("config", &self.spec.config).finish_non_exhaustive()
    }
}

/// [`Inference`] on any backend, without the type parameter.
trait Engine: Send + Sync {
    /// The predictions of each document, or the first error.
    fn predict(
        &self,
        documents: &mut dyn Iterator<Item = Result<Arc<EncodedDocument>>>,
    ) -> Result<Vec<Vec<Prediction>>>;
}

impl<B: DocReBackend> Engine for Inference<B> {
    fn predict(
        &self,
        documents: &mut dyn Iterator<Item = Result<Arc<EncodedDocument>>>,
    ) -> Result<Vec<Vec<Prediction>>> {
        self.run::<Error, _>(documents).map(|found| found?.predictions()).collect()
    }
}

struct StartEngine<'a> {
    directory: &'a ModelDirectory<'a>,
    kind: BackendKind,
    precision: Precision,
}

impl BackendTask for StartEngine<'_> {
    type Output = Result<Box<dyn Engine>>;

    fn run<B: DocReBackend>(self, device: B::Device) -> Self::Output {
        let Self { directory, kind, precision } = self;
        precision.check::<B>(kind, &device)?;
        let model = with_precision(directory.model::<B>(&device)?, precision);
        Ok(Box::new(Inference::new(model, directory.spec().config.clone(), device)))
    }
}
