//! `docre label`: writes a teacher's logits for a corpus.

use std::sync::Arc;

use anyhow::Result;
use burn_docre::{
    BackendTask, DocReBackend,
    data::docred::{DocRedReader, Labels},
    io::soft_labels::{Shard, SoftLabelStore},
    text::encoded::EncodedDocument,
};

use super::inputs::fetch;
use crate::{
    cli::{LabelArgs, ReadingArgs},
    session::Session,
    stages::label::{Teacher, check_documents},
};

/// Labels the documents of one shard, unless their logits exist.
pub(super) fn run(session: &Session, args: &LabelArgs) -> Result<()> {
    let args = &fetch(session, args)?;
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
        let precision = session.precision::<B>(args.precision, &device)?;
        let teacher = Teacher::<B>::load(&args.model, precision, &device)?;
        let spec = teacher.spec();
        let Shard { index, count } = args.shard;
        let reader = DocRedReader::open(&args.input, Labels::Ignore)?;
        let ReadingArgs { on_invalid, hacred_view } = args.reading;
        let mut reader = reader.on_invalid(on_invalid).with_hacred_view(hacred_view);
        let documents = reader
            .by_ref()
            .enumerate()
            .filter(|(position, document)| document.is_err() || position % count == index)
            .map(|(_, document)| Ok(Arc::new(EncodedDocument::encode(&document?, spec)?)));
        let (identity, n_classes) = (teacher.identity(), teacher.n_classes());
        let store = SoftLabelStore::open_shard(&args.output, args.shard, identity, n_classes)?;
        if let Some(store) = store {
            check_documents(&store, &args.shard.path(&args.output), documents)?;
            session.ui.note("these documents are labelled already, there is nothing to do");
            return Ok(());
        }
        let mut task = session.ui.task("labelling documents", None);
        let n_labelled =
            teacher.label(documents, &args.output, args.shard, &mut task, session.stop)?;
        drop(task);
        session.ui.note_skipped(&args.input, reader.skipped());
        session.ui.note(&format!("{n_labelled} documents labelled in {}", args.output.display()));
        Ok(())
    }
}
