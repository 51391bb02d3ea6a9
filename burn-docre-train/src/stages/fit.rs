//! One training stage: the wiring of Burn's `Learner`.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
};

use anyhow::{Context, Result, bail, ensure};
use burn::{
    backend::Autodiff,
    tensor::backend::Backend,
    train::{Interrupter, Learner, SupervisedTraining, TrainingStrategy},
};
use burn_docre::{
    encoder::pretrained::load_pretrained,
    io::{
        model_directory::{self, ModelParts},
        soft_labels::SoftLabelStore,
    },
    model::DocReModel,
    ops::DocReBackend,
    text::encoded::EncodedDocument,
};

use super::Pipeline;
use crate::{
    cli::StageName,
    config::{DistillationConfig, EncoderSource, RunConfig, StageConfig},
    train::{
        checkpoint::{self, AtomicRecorder, KeepTwo},
        failure::Failure,
        loader::{DevLoader, Position, TrainLoader, TrainSet, mix, n_batches},
        metric_log::CurveLogger,
        metrics::{dev_figures, step_figures},
        objective::{Components, Objective, Trainee},
        optim::{GroupedAdamW, LeftOut, WarmupLinear},
        state::TrainingState,
        training_loop::{Patience, StageEnd, StageStrategy},
    },
    ui::{renderer::Screen, signals::Stopped},
};

/// What a stage starts from.
pub enum Start {
    /// A new model; its encoder is the pretrained one, where there is one.
    Fresh,
    /// The model in this directory.
    Model(PathBuf),
}

/// Trains `stage` on `documents`, or goes on with it, unless it is finished.
pub fn fit<B: DocReBackend>(
    pipeline: &Pipeline,
    stage: StageName,
    documents: &[Arc<EncodedDocument>],
    teacher: Option<Arc<SoftLabelStore>>,
    start: Start,
    device: &B::Device,
) -> Result<()> {
    let directory = pipeline.run.stage(stage);
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("{}: the directory cannot be made", directory.display()))?;
    let state = TrainingState::load(&directory)?;
    if state.finished {
        pipeline.session.ui.note(&format!("{}: already finished", stage.name()));
        return finish(pipeline, stage);
    }
    let documents = with_pairs(pipeline, stage, documents)?;
    let devices = pipeline.devices::<B>(device)?;
    let device = &devices[0];
    let model = initial_model::<Autodiff<B>>(pipeline, stage, &start, device)?;
    let end =
        Stage { pipeline, stage, directory, state, documents, teacher }.train(model, &devices)?;
    match end {
        StageEnd::Finished => finish(pipeline, stage),
        StageEnd::Interrupted => Err(Stopped.into()),
    }
}

/// Notes the scores of a finished stage and frees the space of its checkpoints.
fn finish(pipeline: &Pipeline, stage: StageName) -> Result<()> {
    let directory = pipeline.run.stage(stage);
    let model = pipeline.run.model(stage);
    ensure!(
        model_directory::is_complete(&model),
        "{}: the finished model is gone",
        model.display()
    );
    let state = TrainingState::load(&directory)?;
    let best =
        state.best().with_context(|| format!("{}: no epoch is recorded", directory.display()))?;
    pipeline.run.record(stage, best.dev)?;
    checkpoint::remove_all(&directory)
}

fn with_pairs(
    pipeline: &Pipeline,
    stage: StageName,
    documents: &[Arc<EncodedDocument>],
) -> Result<Vec<Arc<EncodedDocument>>> {
    let kept: Vec<_> =
        documents.iter().filter(|document| document.n_pairs() > 0).cloned().collect();
    let n_skipped = documents.len() - kept.len();
    if n_skipped > 0 {
        pipeline.session.ui.note(&format!(
            "{}: {n_skipped} documents with fewer than two entities are skipped",
            stage.name()
        ));
    }
    ensure!(!kept.is_empty(), "{}: no document has two entities", stage.name());
    Ok(kept)
}

/// The seed of everything random in a stage.
fn stage_seed(config: &RunConfig, stage: StageName) -> u64 {
    mix(config.seed, stage as u64)
}

fn initial_model<B: Backend>(
    pipeline: &Pipeline,
    stage: StageName,
    start: &Start,
    device: &B::Device,
) -> Result<DocReModel<B>> {
    match start {
        Start::Fresh => fresh_model(
            &pipeline.config,
            &pipeline.corpora.parts,
            stage_seed(&pipeline.config, stage),
            device,
        ),
        Start::Model(directory) => {
            let parts = ModelParts::load(directory)?;
            ensure!(
                parts.config == pipeline.corpora.parts.config,
                "{}: the model has another shape than the configuration says",
                directory.display()
            );
            Ok(parts.load_model(directory, device)?)
        }
    }
}

/// A new model whose weights are drawn from `seed`, but for a pretrained encoder.
pub fn fresh_model<B: Backend>(
    config: &RunConfig,
    parts: &ModelParts,
    seed: u64,
    device: &B::Device,
) -> Result<DocReModel<B>> {
    B::seed(device, seed);
    let model = parts.config.init::<B>(device);
    match &config.encoder {
        EncoderSource::Pretrained(directory) => {
            Ok(model.try_map_encoder(|encoder| load_pretrained(encoder, directory))?)
        }
        EncoderSource::Scratch(_) => Ok(model),
    }
}

/// Burn's learner for a stage whose schedule has `n_steps` steps.
pub fn learner<B: DocReBackend>(
    run: &RunConfig,
    parts: &ModelParts,
    config: &StageConfig,
    n_steps: usize,
    model: DocReModel<Autodiff<B>>,
    left_out: &LeftOut,
) -> Learner<Components<B>> {
    let precision = run.compute.precision;
    let distillation = config.distillation.and_then(DistillationConfig::distillation);
    let objective =
        Objective::new(Arc::new(parts.config.clone()), run.loss, distillation, precision);
    let schedule = WarmupLinear::new(n_steps, config.warmup_ratio);
    let optimizer = GroupedAdamW::new(config.into()).counting(left_out.clone());
    Learner::new(Trainee::new(model, objective), optimizer, schedule)
}

/// A stage about to train.
struct Stage<'a> {
    pipeline: &'a Pipeline<'a>,
    stage: StageName,
    directory: PathBuf,
    state: TrainingState,
    documents: Vec<Arc<EncodedDocument>>,
    teacher: Option<Arc<SoftLabelStore>>,
}

/// What the parts of a training share.
struct Shared {
    failure: Failure,
    left_out: LeftOut,
    position: Arc<Position>,
    curve_bytes: Arc<AtomicU64>,
    end: Arc<Mutex<Option<Result<StageEnd>>>>,
}

impl Stage<'_> {
    fn train<B: DocReBackend>(
        self,
        model: DocReModel<Autodiff<B>>,
        devices: &[B::Device],
    ) -> Result<StageEnd> {
        let config = self.pipeline.stage_config(self.stage)?.clone();
        let interrupter = Interrupter::new();
        let shared = Shared {
            failure: Failure::default(),
            left_out: LeftOut::default(),
            position: Arc::default(),
            curve_bytes: Arc::new(AtomicU64::new(self.state.metrics_bytes)),
            end: Arc::default(),
        };
        let batches_per_step = config.accumulation * devices.len();
        let n_steps = config.epochs * self.n_batches(&config).div_ceil(batches_per_step);
        let parts = &self.pipeline.corpora.parts;
        let learner =
            learner(&self.pipeline.config, parts, &config, n_steps, model, &shared.left_out);
        let curves = CurveLogger::open(&self.directory, &shared.curve_bytes, &shared.failure)?;
        let (ui, epochs_done) = (self.pipeline.session.ui, self.state.epochs_done);
        let screen = Screen::start(ui, self.stage.name(), &interrupter, epochs_done);
        let Some(renderer) = screen.renderer() else { bail!("the screen is closed") };
        let loader = self.loader::<B>(&config, &shared, devices);
        let strategy = self.strategy::<B>(&config, &shared, renderer.clone(), devices, &loader);
        let mut training = self
            .training::<B>(&config, loader, &shared, &devices[0])
            .with_metric_logger(curves)
            .with_checkpointing_strategy(KeepTwo::after(self.state.checkpoint))
            .with_file_checkpointer(AtomicRecorder::new(&shared.failure))
            .with_interrupter(interrupter)
            .renderer(renderer)
            .with_training_strategy(TrainingStrategy::Custom(Arc::new(strategy)));
        if let Some(n_epochs) = config.patience {
            training = training.early_stopping(Patience::after(&self.state.history, n_epochs));
        }
        drop(training.launch(learner));
        drop(screen);
        let end = shared.end.lock().unwrap_or_else(PoisonError::into_inner).take();
        end.context("the training ended without a result")?
    }

    fn loader<B: DocReBackend>(
        &self,
        config: &StageConfig,
        shared: &Shared,
        devices: &[B::Device],
    ) -> TrainLoader<Autodiff<B>> {
        let set = TrainSet {
            documents: self.documents.clone(),
            teacher: self.teacher.clone(),
            failure: shared.failure.clone(),
        };
        TrainLoader::new(
            Arc::new(set),
            Arc::new(self.pipeline.corpora.parts.config.clone()),
            (config.batch_size, config.accumulation * devices.len()),
            self.seed(),
            shared.position.clone(),
            devices[0].clone(),
        )
    }

    /// Burn's training with its data and metrics.
    fn training<B: DocReBackend>(
        &self,
        config: &StageConfig,
        train: TrainLoader<Autodiff<B>>,
        shared: &Shared,
        device: &B::Device,
    ) -> SupervisedTraining<Components<B>> {
        let dev = DevLoader::<B> {
            dev: self.pipeline.corpora.dev.clone(),
            device: device.clone(),
            failure: shared.failure.clone(),
        };
        let mut training = SupervisedTraining::new(&self.directory, Arc::new(train), Arc::new(dev))
            .num_epochs(config.epochs_to_run())
            .with_application_logger(None);
        for figure in step_figures(self.teacher.is_some()) {
            training = training.metric_train_numeric(figure);
        }
        for figure in dev_figures() {
            training = training.metric_valid_numeric(figure);
        }
        training
    }

    fn strategy<B: DocReBackend>(
        &self,
        config: &StageConfig,
        shared: &Shared,
        renderer: crate::ui::renderer::StageRenderer,
        devices: &[B::Device],
        loader: &TrainLoader<Autodiff<B>>,
    ) -> StageStrategy<B> {
        let parts = self.pipeline.corpora.parts.clone();
        StageStrategy {
            directory: self.directory.clone(),
            config: config.clone(),
            n_batches: self.n_batches(config),
            devices: devices.to_vec(),
            loaders: loader.split(devices),
            state: self.state.clone(),
            position: shared.position.clone(),
            renderer,
            save_model: Box::new(move |model, directory| Ok(parts.save(directory, model)?)),
            model: self.pipeline.run.model(self.stage),
            stop: self.pipeline.session.stop.clone(),
            failure: shared.failure.clone(),
            left_out: shared.left_out.clone(),
            curve_bytes: shared.curve_bytes.clone(),
            end: shared.end.clone(),
        }
    }

    fn n_batches(&self, config: &StageConfig) -> usize {
        n_batches(self.documents.len(), config.batch_size)
    }

    fn seed(&self) -> u64 {
        stage_seed(&self.pipeline.config, self.stage)
    }
}
