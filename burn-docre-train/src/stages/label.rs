//! The soft labels: a teacher's logits for documents without reliable labels.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result, bail};
use burn_docre::{
    backend::BackendTask,
    data::docred::{DocRedReader, Labels},
    inference::{DocumentLogits, Inference},
    io::{
        model_directory::{self, ModelParts},
        soft_labels::{Digest, Shard, SoftLabelStore, SoftLabelWriter},
    },
    nn::precision::{Precision, with_precision},
    ops::DocReBackend,
    text::{encoded::EncodedDocument, tokenizer::DocumentTokenizer},
};

use super::{Pipeline, Session};
use crate::cli::{LabelArgs, StageName};

/// `docre label`.
pub fn run(session: &Session, args: &LabelArgs) -> Result<()> {
    session.dispatch(Label { session, args })
}

struct Label<'a> {
    session: &'a Session<'a>,
    args: &'a LabelArgs,
}

impl BackendTask for Label<'_> {
    type Output = Result<()>;

    fn run<B: DocReBackend>(self, device: B::Device) -> Result<()> {
        let Self { session, args } = self;
        session.check_precision::<B>(args.precision, &device)?;
        let teacher = Teacher::<B>::load(&args.model, args.precision, &device)?;
        let n_classes = teacher.inference.config().n_classes;
        let tokenizer = &teacher.tokenizer;
        let Shard { index, count } = args.shard;
        let documents = DocRedReader::open(&args.input, Labels::Ignore)?
            .enumerate()
            .filter(|(position, document)| document.is_err() || position % count == index)
            .map(|(_, document)| Ok(Arc::new(EncodedDocument::encode(&document?, tokenizer)?)));
        let (output, identity) = (&args.output, &teacher.identity);
        if let Some(store) = SoftLabelStore::open_shard(output, args.shard, identity, n_classes)? {
            check_documents(&store, &args.shard.path(output), documents)?;
            session.ui.note("these documents are labelled already; nothing to do");
            return Ok(());
        }
        let n_labelled = teacher.label(session, documents, None, &args.output, args.shard)?;
        session.ui.note(&format!("{n_labelled} documents labelled in {}", args.output.display()));
        Ok(())
    }
}

/// The label stage of a run, unless it is finished.
pub fn run_stage<B: DocReBackend>(pipeline: &Pipeline, device: &B::Device) -> Result<()> {
    let (session, output) = (&pipeline.session, pipeline.run.labels());
    let directory = pipeline.finished_model(StageName::Teacher)?;
    let identity = model_directory::identity(&directory)?;
    let n_classes = pipeline.corpora.parts.config.n_classes;
    // Its parts may have been made on several machines.
    if SoftLabelStore::has_begun(&output)? {
        let store = SoftLabelStore::open(&output, &identity, n_classes)?;
        check_documents(&store, &output, pipeline.corpora.distant.iter().cloned().map(Ok))?;
        session.ui.note("label: already finished");
        return Ok(());
    }
    let teacher = Teacher::<B>::load(&directory, pipeline.config.compute.precision, device)?;
    let documents = &pipeline.corpora.distant;
    let total = Some(documents.len());
    let documents = documents.iter().cloned().map(Ok);
    teacher.label(session, documents, total, &output, Shard::WHOLE)?;
    Ok(())
}

/// An error if a document with pairs has no logits in the store, which lies at `path`.
pub fn check_documents(
    store: &SoftLabelStore,
    path: &Path,
    documents: impl Iterator<Item = Result<Arc<EncodedDocument>>>,
) -> Result<()> {
    let (mut n_missing, mut first) = (0, None);
    for document in documents {
        let document = document?;
        if document.n_pairs() > 0 && !store.contains(&document.key().0) {
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

struct Teacher<B: DocReBackend> {
    inference: Inference<B>,
    tokenizer: DocumentTokenizer,
    identity: Digest,
}

impl<B: DocReBackend> Teacher<B> {
    fn load(directory: &Path, precision: Precision, device: &B::Device) -> Result<Self> {
        let parts = ModelParts::load(directory)?;
        let model = with_precision(parts.load_model(directory, device)?, precision);
        let identity = model_directory::identity(directory)?;
        let inference = Inference::new(model, parts.config, device.clone());
        Ok(Self { inference, tokenizer: parts.tokenizer, identity })
    }

    /// Writes the logits of all documents that have pairs; says how many these are.
    fn label(
        &self,
        session: &Session,
        documents: impl Iterator<Item = Result<Arc<EncodedDocument>>>,
        total: Option<usize>,
        output: &Path,
        shard: Shard,
    ) -> Result<usize> {
        let n_classes = self.inference.config().n_classes;
        let mut writer = SoftLabelWriter::create(output, shard, self.identity, n_classes)?;
        let mut task = session.ui.task("labelling distant documents", total);
        for found in self.inference.run(documents) {
            let DocumentLogits { document, logits, .. } = found?;
            if document.n_pairs() > 0 {
                writer
                    .push(document.key().0, document.n_pairs(), &logits)
                    .with_context(|| format!("document {:?}", document.title))?;
            }
            task.advance(1);
            session.stop.check()?;
        }
        let n_labelled = writer.len();
        writer.finish()?;
        Ok(n_labelled)
    }
}
