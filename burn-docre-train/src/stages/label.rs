//! Soft labels: a teacher's logits for distantly labelled documents.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result, bail, ensure};
use burn_docre::{
    DocReBackend,
    inference::{DocumentLogits, Inference},
    io::{
        model_directory::{self, ModelDirectory, ModelId, ModelSpec},
        soft_labels::{Shard, SoftLabelStore, SoftLabelWriter},
    },
    nn::{precision::Precision, rounding::with_precision},
    text::encoded::EncodedDocument,
};

use super::context::{Context, finished_model, stage_config};
use crate::{
    config::Stage,
    ui::{Task, signals::StopFlag},
};

/// The most documents in a shard that a run writes. An interruption loses the shard in progress.
const DOCUMENTS_PER_SHARD: usize = 1_000;

/// Writes the logits of the teacher of `stage` for the run's distant documents, unless they exist.
///
/// `teacher` is the plan's teacher, which the configuration of `stage` can replace.
pub(super) fn make_labels<B: DocReBackend>(
    context: &Context,
    stage: &Stage,
    teacher: &str,
    device: &B::Device,
) -> Result<()> {
    let (output, documents) = (context.directory.labels(), &context.corpora.distant);
    let count = documents.len().div_ceil(DOCUMENTS_PER_SHARD).max(1);
    let all = (0..count).map(|index| Shard { index, count });
    let (done, missing): (Vec<_>, Vec<_>) = all.partition(|shard| shard.path(&output).exists());
    // Shards of another number are those of `docre label`, perhaps from several machines. They are
    // checked, never completed.
    let is_foreign = SoftLabelStore::n_shards(&output)?.is_some_and(|found| found != count);
    if is_foreign || missing.is_empty() {
        open_labels(context, stage, teacher)?;
        context.session.ui.note("label: already finished");
        return Ok(());
    }
    let model = teacher_model(context, stage, teacher)?;
    let teacher = Teacher::<B>::load(&model, context.precision, device)?;
    for shard in done {
        SoftLabelStore::open_shard(&output, shard, teacher.identity(), teacher.n_classes())?;
    }
    let of_shard = |shard: Shard| documents.iter().skip(shard.index).step_by(count).cloned();
    let n_documents = missing.iter().map(|&shard| of_shard(shard).len()).sum();
    let mut task = context.session.ui.task("labelling distant documents", Some(n_documents));
    for shard in missing {
        let documents = of_shard(shard).map(Ok);
        teacher.label(documents, &output, shard, &mut task, context.session.stop)?;
    }
    Ok(())
}

/// Opens the logits of the teacher of `stage` for the run's distant documents.
///
/// # Errors
/// If the teacher is not finished or does not fit the run, or a document with pairs has no logits.
pub(super) fn open_labels(
    context: &Context,
    stage: &Stage,
    teacher: &str,
) -> Result<SoftLabelStore> {
    let identity = model_directory::id_of(&teacher_model(context, stage, teacher)?)?;
    let n_classes = context.corpora.model_spec.config.n_classes;
    let path = context.directory.labels();
    let store = SoftLabelStore::open(&path, identity, n_classes)?;
    check_documents(&store, &path, context.corpora.distant.iter().cloned().map(Ok))?;
    Ok(store)
}

/// The model directory of the teacher of `stage`: the one that its configuration names, else that
/// of the stage `teacher` of this run, or of the run whose teacher this one shares.
fn teacher_model(context: &Context, stage: &Stage, teacher: &str) -> Result<PathBuf> {
    let Some(directory) = &stage_config(&context.config, stage)?.teacher else {
        return finished_model(context.directory.teacher_root(), teacher);
    };
    check_teacher(directory, &context.corpora.model_spec)
        .with_context(|| format!("the teacher of `stages.{}`", stage.name))?;
    Ok(directory.clone())
}

/// Checks that the model in `directory` can teach the models of a run. Its system and encoder may
/// be others.
fn check_teacher(directory: &Path, student: &ModelSpec) -> Result<()> {
    let model = ModelDirectory::open(directory)?;
    let ModelSpec { config, tokenizer, vocab, .. } = model.spec();
    ensure!(
        *vocab == student.vocab,
        "{}: its relations differ from those of the run; choose a model of the same relations",
        directory.display()
    );
    // Soft labels have a row for each classified pair.
    ensure!(
        config.pair_set == student.config.pair_set,
        "{}: its `self_relations` is {}, and that of the run is {}; choose a model with the same \
         `self_relations`, or change `data.self_relations`",
        directory.display(),
        bool::from(config.pair_set),
        bool::from(student.config.pair_set)
    );
    // Soft labels are stored by the tokens of their document.
    ensure!(
        tokenizer.to_json()? == student.tokenizer.to_json()?,
        "{}: its tokenizer differs from that of the run; choose a model with the same tokenizer",
        directory.display()
    );
    Ok(())
}

/// Checks that every document with pairs has logits in `store`, which was opened at `path`.
///
/// # Errors
/// If a document has no logits, or cannot be read.
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
            "{}: no teacher logits for {n_missing} documents, the first is {:?}; remove it and run \
             `docre label` again, or choose another directory",
            path.display(),
            first.title
        );
    }
    Ok(())
}

/// A model that labels documents.
pub struct Teacher<B: DocReBackend> {
    inference: Inference<B>,
    spec: ModelSpec,
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
        let spec = directory.into_spec();
        let inference = Inference::new(model, spec.config.clone(), device.clone());
        Ok(Self { inference, spec, identity })
    }

    /// The configuration, tokenizer and relations of the model directory.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// The id of the model, which soft labels store as that of their teacher.
    pub fn identity(&self) -> ModelId {
        self.identity
    }

    /// The number of classes, TH included.
    pub fn n_classes(&self) -> usize {
        self.inference.config().n_classes
    }

    /// Writes the logits of all documents that have pairs into `output`; returns the number of
    /// these documents.
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
