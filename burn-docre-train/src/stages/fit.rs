//! One stage of a run: its documents, initial model and objective.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, Result, ensure};
use burn::{backend::Autodiff, tensor::backend::Backend};
use burn_docre::{
    io::{
        model_directory::{self, ModelDirectory, ModelSpec},
        pretrained::load_pretrained,
        weights::Loaded,
    },
    model::DocReModel,
    ops::DocReBackend,
    text::encoded::EncodedDocument,
};

use super::{Run, label::open_labels, stage_config};
use crate::{
    config::{EncoderSource, Need, RunConfig, Stage, Start},
    run::corpora::Corpora,
    train::{
        checkpoint,
        dev_set::DevSet,
        loader::mix,
        objective::Objective,
        objectives::{DistillationObjective, RelationObjective},
        state::TrainingState,
        training_loop::{StageEnd, Training},
    },
    ui::signals::Stopped,
};

/// Trains `stage`, or continues it, unless it is finished.
pub(super) fn fit<B: DocReBackend>(run: &Run, stage: &Stage, device: &B::Device) -> Result<()> {
    let directory = run.directory.stage(stage.name);
    if TrainingState::load(&directory)?.finished {
        run.session.ui.note(&format!("{}: already finished", stage.name));
        return finish(run, stage);
    }
    let config = stage_config(&run.config, stage)?;
    let needs = Needs::check(run, stage)?;
    let relation = relation_objective(&run.config, &run.corpora);
    let fit = Fit { run, stage, directory };
    let end = match (config.distillation(), needs.teacher) {
        (Some(distillation), Some(teacher)) => {
            let objective =
                DistillationObjective { relation, distillation, teacher: Arc::new(teacher) };
            fit.train::<B, _>(objective, device)?
        }
        _ => fit.train::<B, _>(relation, device)?,
    };
    match end {
        StageEnd::Finished => finish(run, stage),
        StageEnd::Interrupted => Err(Stopped.into()),
    }
}

/// The relation objective of a run.
pub(super) fn relation_objective(config: &RunConfig, corpora: &Corpora) -> RelationObjective {
    RelationObjective {
        loss: config.loss,
        precision: config.compute.precision,
        parts: Arc::new(corpora.parts.clone()),
        dev: Arc::new(DevSet::new(corpora.dev.clone(), corpora.scorer.clone())),
    }
}

/// The results of earlier stages that a stage reads.
struct Needs {
    teacher: Option<burn_docre::io::soft_labels::SoftLabelStore>,
}

impl Needs {
    fn check(run: &Run, stage: &Stage) -> Result<Self> {
        let distils = stage_config(&run.config, stage)?.distillation().is_some();
        let mut teacher_labels = None;
        for need in stage.needs {
            match need {
                Need::Stage(name) => {
                    run.finished_model(name)?;
                }
                Need::SoftLabels { teacher } if distils => {
                    teacher_labels = Some(open_labels(run, teacher)?);
                }
                Need::SoftLabels { .. } => {}
            }
        }
        Ok(Self { teacher: teacher_labels })
    }
}

/// Records the dev metrics of a finished stage and removes its checkpoints.
fn finish(run: &Run, stage: &Stage) -> Result<()> {
    let directory = run.directory.stage(stage.name);
    let model = run.directory.model(stage.name);
    ensure!(
        model_directory::is_complete(&model),
        "{}: the finished model is gone",
        model.display()
    );
    let state = TrainingState::load(&directory)?;
    let best =
        state.best().with_context(|| format!("{}: no epoch is recorded", directory.display()))?;
    run.directory.record(stage.name, best.dev.clone())?;
    checkpoint::remove_all(&directory)
}

/// A stage that is not finished.
struct Fit<'a> {
    run: &'a Run<'a>,
    stage: &'a Stage,
    directory: PathBuf,
}

impl Fit<'_> {
    fn train<B, O>(self, objective: O, device: &B::Device) -> Result<StageEnd>
    where
        B: DocReBackend,
        O: Objective<B, Model = DocReModel<Autodiff<B>>, Example = Arc<EncodedDocument>>,
    {
        let Self { run, stage, directory } = self;
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("{}: the directory cannot be made", directory.display()))?;
        let examples: Arc<[_]> = documents(run, stage)?.into();
        let devices = run.devices::<B>(device)?;
        let model = initial_model::<Autodiff<B>>(run, stage, &devices[0])?;
        let training = Training::<B, O> {
            name: stage.name,
            ui: run.session.ui,
            stop: run.session.stop,
            directory,
            model_directory: run.directory.model(stage.name),
            config: stage_config(&run.config, stage)?.clone(),
            seed: stage_seed(&run.config, stage),
            devices,
            objective,
            examples,
        };
        training.run(model)
    }
}

/// The documents of a stage that have pairs.
fn documents(run: &Run, stage: &Stage) -> Result<Vec<Arc<EncodedDocument>>> {
    let all = run.corpora.documents(stage.documents);
    let kept = with_pairs(stage, all)?;
    let n_skipped = all.len() - kept.len();
    if n_skipped > 0 {
        run.session.ui.note(&format!(
            "{}: {n_skipped} documents with fewer than two entities are skipped",
            stage.name
        ));
    }
    Ok(kept)
}

/// The documents that have pairs, at least one.
pub(super) fn with_pairs(
    stage: &Stage,
    documents: &[Arc<EncodedDocument>],
) -> Result<Vec<Arc<EncodedDocument>>> {
    let kept: Vec<_> =
        documents.iter().filter(|document| document.n_pairs() > 0).cloned().collect();
    ensure!(!kept.is_empty(), "{}: no document has two entities", stage.name);
    Ok(kept)
}

/// The seed of everything random in a stage.
fn stage_seed(config: &RunConfig, stage: &Stage) -> u64 {
    mix(config.seed, config.plan.plan().position(stage) as u64)
}

fn initial_model<B: Backend>(
    run: &Run,
    stage: &Stage,
    device: &B::Device,
) -> Result<DocReModel<B>> {
    match stage.start {
        Start::Fresh => {
            let seed = stage_seed(&run.config, stage);
            let Loaded { module, unused } =
                fresh_model(&run.config, &run.corpora.parts, seed, device)?;
            if !unused.is_empty() {
                let names = unused.join(", ");
                run.session.ui.note(&format!(
                    "{}: the encoder's weight file has tensors without use: {names}",
                    stage.name
                ));
            }
            Ok(module)
        }
        Start::Stage(name) => {
            let directory = run.finished_model(name)?;
            let model = ModelDirectory::open(&directory)?;
            ensure!(
                model.spec().config == run.corpora.parts.config,
                "{}: the model has another shape than the configuration says",
                directory.display()
            );
            Ok(model.model(device)?)
        }
    }
}

/// A new model whose weights are drawn from `seed`; the encoder is the pretrained one, if the configuration names one.
/// The unused weights are those of the pretrained encoder.
pub(super) fn fresh_model<B: Backend>(
    config: &RunConfig,
    parts: &ModelSpec,
    seed: u64,
    device: &B::Device,
) -> Result<Loaded<DocReModel<B>>> {
    B::seed(device, seed);
    let model = parts.config.init::<B>(device);
    match &config.encoder {
        EncoderSource::Pretrained(directory) => {
            let mut unused = Vec::new();
            let module = model.try_map_encoder(|encoder| {
                load_pretrained(encoder, directory).map(|loaded| {
                    unused = loaded.unused;
                    loaded.module
                })
            })?;
            Ok(Loaded { module, unused })
        }
        EncoderSource::Scratch(_) => Ok(Loaded { module: model, unused: Vec::new() }),
    }
}
