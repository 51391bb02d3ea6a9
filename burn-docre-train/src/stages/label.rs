//! Soft labels: a teacher's logits for documents without reliable labels.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result, bail};
use burn_docre::{
    inference::{DocumentLogits, Inference},
    io::{
        model_directory::{self, ModelDirectory, ModelId, ModelSpec},
        soft_labels::{Shard, SoftLabelStore, SoftLabelWriter},
    },
    nn::precision::{Precision, with_precision},
    ops::DocReBackend,
    text::{encoded::EncodedDocument, tokenizer::DocumentTokenizer},
};

use super::Run;
use crate::ui::{Task, signals::StopFlag};

/// Writes the logits of the stage `teacher` for the run's distant documents, unless they exist.
pub(super) fn make_labels<B: DocReBackend>(
    run: &Run,
    teacher: &str,
    device: &B::Device,
) -> Result<()> {
    let output = run.directory.labels();
    // Its shards may have been made on several machines.
    if SoftLabelStore::has_begun(&output)? {
        open_labels(run, teacher)?;
        run.session.ui.note("label: already finished");
        return Ok(());
    }
    let model = run.finished_model(teacher)?;
    let teacher = Teacher::<B>::load(&model, run.config.compute.precision, device)?;
    let documents = run.corpora.distant.iter().cloned().map(Ok);
    let n_documents = run.corpora.distant.len();
    let mut task = run.session.ui.task("labelling distant documents", Some(n_documents));
    teacher.label(documents, &output, Shard::WHOLE, &mut task, run.session.stop)?;
    Ok(())
}

/// Opens the logits of the stage `teacher` for the run's distant documents.
///
/// # Errors
/// If the teacher is not finished, or a document with pairs has no logits.
pub(super) fn open_labels(run: &Run, teacher: &str) -> Result<SoftLabelStore> {
    let identity = model_directory::id_of(&run.finished_model(teacher)?)?;
    let n_classes = run.corpora.parts.config.n_classes;
    let path = run.directory.labels();
    let store = SoftLabelStore::open(&path, identity, n_classes)?;
    check_documents(&store, &path, run.corpora.distant.iter().cloned().map(Ok))?;
    Ok(store)
}

/// Checks that every document with pairs has logits in `store`, which lies at `path`.
///
/// # Errors
/// If one has none.
pub fn check_documents(
    store: &SoftLabelStore,
    path: &Path,
    documents: impl Iterator<Item = Result<Arc<EncodedDocument>>>,
) -> Result<()> {
    let (mut n_missing, mut first) = (0, None);
    for document in documents {
        let document = document?;
        if document.n_pairs() > 0 && !store.contains(document.key()) {
            n_missing += 1;
            first.get_or_insert(document);
        }
    }
    if let Some(first) = first {
        bail!(
            "{}: no teacher logits for {n_missing} documents, the first is {:?}; remove what is there \
             and make it anew by `docre label`, or choose another place",
            path.display(),
            first.title
        );
    }
    Ok(())
}

/// A model that labels documents.
pub struct Teacher<B: DocReBackend> {
    inference: Inference<B>,
    tokenizer: DocumentTokenizer,
    identity: ModelId,
}

impl<B: DocReBackend> Teacher<B> {
    /// Loads the teacher from a model directory.
    ///
    /// # Errors
    /// If a file of the directory is missing or damaged.
    pub fn load(directory: &Path, precision: Precision, device: &B::Device) -> Result<Self> {
        let directory = ModelDirectory::open(directory)?;
        let model = with_precision(directory.model(device)?, precision);
        let identity = directory.id()?;
        let ModelSpec { config, tokenizer, .. } = directory.into_spec();
        let inference = Inference::new(model, config, device.clone());
        Ok(Self { inference, tokenizer, identity })
    }

    /// The tokenizer of the model directory.
    pub fn tokenizer(&self) -> &DocumentTokenizer {
        &self.tokenizer
    }

    /// The id of the model, by which soft labels name their teacher.
    pub fn identity(&self) -> ModelId {
        self.identity
    }

    /// The number of classes, TH included.
    pub fn n_classes(&self) -> usize {
        self.inference.config().n_classes
    }

    /// Writes the logits of all documents that have pairs into `output`; returns their number.
    ///
    /// # Errors
    /// If a document cannot be read, the logits cannot be written, or `stop` is set.
    pub fn label(
        &self,
        documents: impl Iterator<Item = Result<Arc<EncodedDocument>>>,
        output: &Path,
        shard: Shard,
        task: &mut Task,
        stop: &StopFlag,
    ) -> Result<usize> {
        let mut writer = SoftLabelWriter::create(output, shard, self.identity, self.n_classes())?;
        for found in self.inference.run(documents) {
            let DocumentLogits { document, logits, .. } = found?;
            if document.n_pairs() > 0 {
                writer
                    .push(document.key(), document.n_pairs(), &logits)
                    .with_context(|| format!("document {:?}", document.title))?;
            }
            task.advance(1);
            stop.check()?;
        }
        let n_labelled = writer.len();
        writer.finish()?;
        Ok(n_labelled)
    }
}
