//! All metrics of a stage's best model on the dev documents.

use anyhow::Result;
use burn::data::dataloader::Progress;
use burn_docre::{
    BackendTask, DocReBackend,
    eval::{FrequentRelations, Report},
    inference::Inference,
    io::model_directory::ModelDirectory,
    nn::rounding::with_precision,
};

use super::context::Context;
use crate::{train::dev_set::DevSet, ui::signals::Stopped};

/// Scores the best model of the finished stage of this name. The frequent relation types are those
/// of the training documents.
pub(super) struct DevReport<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) stage: &'a str,
}

impl BackendTask for DevReport<'_> {
    type Output = Result<Report>;

    fn run<B: DocReBackend>(self, device: B::Device) -> Result<Report> {
        let Self { context, stage } = self;
        let directory = ModelDirectory::open(&context.finished_model(stage)?)?;
        let model = with_precision(directory.model(&device)?, context.precision);
        let inference = Inference::<B>::new(model, directory.into_spec().config, device);
        let corpora = &context.corpora;
        let dev = DevSet::new(corpora.dev.clone(), corpora.scorer.clone());
        let mut task =
            context.session.ui.task(&format!("{stage}: dev metrics"), Some(corpora.dev.len()));
        let mut go_on = |_: Progress| {
            task.advance(1);
            !context.session.stop.is_set()
        };
        let predictions = dev.predict(&inference, &mut go_on)?.ok_or(Stopped)?;
        let vocab = &corpora.model_spec.vocab;
        Ok(Report::new(&corpora.scorer, &predictions, vocab, FrequentRelations::Train))
    }
}
