//! The predictions of the runs' models for their dev documents.

use std::{path::Path, sync::Arc};

use anyhow::{Result, ensure};
use burn_docre::{
    BackendTask, DocReBackend,
    data::{document::Document, relation::RelationVocab},
    eval::{FrequentRelations, PredictionSet, Report},
    inference::{Inference, decode::Prediction},
    io::model_directory::{ModelDirectory, ModelId},
    model::SystemConfig,
    text::encoded::EncodedDocument,
};

use super::{chart::Series, documents::Choice, run::ReportedRun, scored_model::ScoredModel};
use crate::{
    config::DataConfig,
    run::{corpora::DevCorpus, hub::Hub, manifest::Manifest},
    session::Session,
    ui::{percent, signals::Stopped},
};

/// The largest difference between the F1 of the report and that of the training run that passes
/// without a message.
const SAME_F1: f64 = 5e-4;

/// The models of all runs, and messages about models that are not among them.
#[derive(Default)]
pub(super) struct Evaluation {
    /// The models, in the order of the runs and their stages.
    pub(super) models: Vec<ScoredModel>,
    /// Sentences about missing models and scores.
    pub(super) missing: Vec<String>,
}

impl Evaluation {
    /// Predicts the dev documents with the best model of every stage. A model that cannot be
    /// opened and documents that cannot be read give a message.
    ///
    /// # Errors
    /// If the session's backend or device is missing, a document of `choice` does not exist in the
    /// corpus of the stage `shown`, or in none if that is `None`, or the stop flag is set.
    pub(super) fn of(
        session: &Session,
        runs: &[ReportedRun],
        choice: &Choice,
        shown: Option<&Series>,
    ) -> Result<Self> {
        session.backend_kind()?.device(session.device_number())?;
        let mut evaluation = Self { models: Vec::new(), missing: Vec::new() };
        let mut corpora = ReadCorpora::new();
        let mut readable = Vec::new();
        for run in runs {
            match dev_corpus(session, run, &mut corpora) {
                Ok(corpus) => readable.push((run, corpus)),
                Err(error) => {
                    let what = format!("{}: {}", run.key, run.name);
                    evaluation.miss(session, &what, error)?;
                }
            }
        }
        // Predictions take minutes, so a wrong title is an error before them.
        let may_be_shown = |run: &ReportedRun| {
            shown.is_none_or(|shown| {
                run.stages.iter().any(|stage| stage.series.index == shown.index)
            })
        };
        let corpora = readable.iter().filter(|(run, _)| may_be_shown(run));
        let corpora: Vec<_> = corpora.map(|(_, corpus)| &corpus.documents[..]).collect();
        choice.check(&corpora)?;
        for (run, corpus) in readable {
            evaluation.add(session, run, &corpus)?;
        }
        Ok(evaluation)
    }

    /// Adds the models of a run.
    fn add(&mut self, session: &Session, run: &ReportedRun, corpus: &Arc<DevCorpus>) -> Result<()> {
        for stage in &run.stages {
            let Series { index, key, name } = stage.series.clone();
            let Some(model) = stage.model.clone() else {
                self.missing.push(format!("{key}, {name}: the stage has no model."));
                continue;
            };
            let what = format!("{key}, {name}");
            let predicted =
                session.dispatch(Predict { session, what: &what, model: &model, corpus });
            let Predicted { predictions, id, system, vocab } = match predicted {
                Ok(predicted) => predicted,
                Err(error) => {
                    self.miss(session, &what, error)?;
                    continue;
                }
            };
            let report = report(corpus, &predictions);
            let recorded = stage.metrics().and_then(|metrics| metrics.get("f1"));
            if let Some(recorded) = recorded.filter(|f1| (*f1 - report.official.f1).abs() > SAME_F1)
            {
                self.missing.push(format!(
                    "{what}: F1 was {} in training and is {} here.",
                    percent(*recorded),
                    percent(report.official.f1)
                ));
            }
            let corpus = corpus.clone();
            self.models.push(ScoredModel {
                index,
                key,
                name,
                directory: model,
                id,
                system,
                vocab,
                corpus,
                predictions,
                report,
            });
        }
        Ok(())
    }

    /// Adds a message about `what`, which has no scores because of `error`.
    ///
    /// # Errors
    /// `error` if it is that of a stop.
    fn miss(&mut self, session: &Session, what: &str, error: anyhow::Error) -> Result<()> {
        if error.is::<Stopped>() {
            return Err(error);
        }
        let message = format!("{what}: no predictions: {error:#}");
        session.ui.note(&message);
        self.missing.push(message);
        Ok(())
    }
}

/// The dev documents that were read, by their section of the configuration with local paths.
type ReadCorpora = Vec<(DataConfig, Arc<DevCorpus>)>;

/// The dev documents of a run, which must be those that it was trained with. They are read unless
/// `read` has them, to which they are added.
fn dev_corpus(
    session: &Session,
    run: &ReportedRun,
    read: &mut ReadCorpora,
) -> Result<Arc<DevCorpus>> {
    let pinned = run.manifest.as_ref().map(Manifest::hub_commits).cloned().unwrap_or_default();
    // Distant documents and names of relations change no score; a model has the names.
    let data = DataConfig { distant: None, relation_names: None, ..run.config.data.clone() };
    let data = Hub::new(session.ui, pinned).data(&data)?;
    let paths = [&data.train, &data.dev, &data.relations].into_iter().flatten();
    for (path, manifest) in paths.filter_map(|path| Some((path, run.manifest.as_ref()?))) {
        manifest.check_file(path)?;
    }
    if let Some((_, corpus)) = read.iter().find(|(known, _)| *known == data) {
        return Ok(corpus.clone());
    }
    let corpus = Arc::new(DevCorpus::load(&data, session.ui, session.stop)?);
    read.push((data, corpus.clone()));
    Ok(corpus)
}

fn report(corpus: &DevCorpus, predictions: &[Vec<Prediction>]) -> Report {
    let facts = predictions.iter().enumerate().flat_map(|(document, predictions)| {
        predictions.iter().map(move |prediction| (document, &prediction.fact))
    });
    let predictions = PredictionSet::new(facts);
    Report::new(&corpus.scorer, &predictions, &corpus.vocab, FrequentRelations::Train)
}

/// The predictions of a model for each document, and the model.
struct Predicted {
    predictions: Vec<Vec<Prediction>>,
    id: ModelId,
    system: SystemConfig,
    vocab: RelationVocab,
}

/// Predicts the documents of a corpus with a model.
struct Predict<'a> {
    session: &'a Session<'a>,
    /// The name of the model in the progress.
    what: &'a str,
    model: &'a Path,
    corpus: &'a DevCorpus,
}

impl BackendTask for Predict<'_> {
    type Output = Result<Predicted>;

    fn run<B: DocReBackend>(self, device: B::Device) -> Self::Output {
        let Self { session, what, model, corpus } = self;
        let directory = ModelDirectory::open(model)?;
        let id = directory.id()?;
        let model = directory.model::<B>(&device)?;
        let spec = directory.into_spec();
        ensure!(
            has_same_classes(&spec.vocab, &corpus.vocab),
            "the model has other relations than the dev documents"
        );
        let inference = Inference::new(model, spec.config.clone(), device);
        let encode = |document: &Document| Ok(Arc::new(EncodedDocument::encode(document, &spec)?));
        let documents = &corpus.documents;
        let mut task = session.ui.task(&format!("{what}: predicting"), Some(documents.len()));
        let mut predictions = Vec::with_capacity(documents.len());
        for found in inference.run(documents.iter().map(encode)) {
            session.stop.check()?;
            let found: Result<_> = found;
            predictions.push(found?.predictions()?);
            task.advance(1);
        }
        Ok(Predicted { predictions, id, system: spec.config.system, vocab: spec.vocab })
    }
}

/// Reports whether equal identifiers of relations are equal classes.
fn has_same_classes(a: &RelationVocab, b: &RelationVocab) -> bool {
    a.iter().map(|relation| &relation.id).eq(b.iter().map(|relation| &relation.id))
}
