//! The training of a stage: epochs of optimizer steps, a dev evaluation and a checkpoint at the end
//! of each.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result, bail, ensure};
use burn::{
    data::dataloader::{DataLoader, Progress},
    train::{Interrupter, SupervisedTraining, TrainingStrategy},
};
use burn_docre::DocReBackend;

use super::{
    checkpoint::{AtomicRecorder, KeepTwo},
    failure::Failure,
    learner::{self, Accumulated, Batches, Components, StageLearner, Strategy},
    loader::{BatchSizes, DevLoader, Position, TrainLoader},
    metric_log::MetricLog,
    metrics::{LOSS, PhaseMetric, StepMetrics, by_key, dev_metrics, step_metrics},
    objective::{DevMetric, Objective, Step},
    optim::{SkippedSteps, WarmupLinear},
    state::{Sum, TrainingState, pending_model},
};
use crate::{
    config::StageConfig,
    ui::{
        Ui, metric_key,
        renderer::{Done, Losses, Screen, StageRenderer},
        signals::StopFlag,
    },
};

/// The number of successive skipped steps at which a training fails; fewer do no harm.
const MAX_SKIPPED: usize = 10;

/// The outcome of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageEnd {
    /// All epochs are done, or patience has run out.
    Finished,
    /// The stop flag was set, and a checkpoint was written.
    Interrupted,
}

/// The training of a stage: its objective, training set, configuration and directories.
pub struct Training<'a, B: DocReBackend, O: Objective<B>> {
    /// The name of the stage in messages.
    pub name: &'a str,
    /// The progress display.
    pub ui: &'a Ui,
    /// The flag that stops the training after the current optimizer step.
    pub stop: &'a StopFlag,
    /// The directory of the training state, the metrics and the checkpoints; it exists.
    pub directory: PathBuf,
    /// The directory of the best model.
    pub model_directory: PathBuf,
    /// The configuration of the stage: epochs, batch sizes, optimizer and schedule.
    pub config: StageConfig,
    /// The seed of the order of examples and of dropout.
    pub seed: u64,
    /// The id of the model that a new training starts from, which the training state records;
    /// `None` for a fresh model.
    pub start_model: Option<String>,
    /// The devices that train together, at least one. The optimizer runs on the first one.
    pub devices: Vec<B::Device>,
    /// The objective.
    pub objective: O,
    /// The training set, not empty.
    pub examples: Arc<[O::Example]>,
}

/// The handles that the parts of a training share.
#[derive(Clone, Default)]
struct Shared {
    failure: Failure,
    skipped: SkippedSteps,
    position: Arc<Position>,
    metrics_bytes: Arc<AtomicU64>,
}

impl<B: DocReBackend, O: Objective<B>> Training<'_, B, O> {
    /// Trains `model`, or resumes from the checkpoint in the directory.
    ///
    /// # Errors
    /// If a loss is not finite, too many successive steps are skipped, or a file cannot be read or
    /// written.
    pub fn run(self, model: O::Model) -> Result<StageEnd> {
        let device = self.devices[0].clone();
        B::on_all_threads(&device, move || self.train(model))
    }

    fn train(self, model: O::Model) -> Result<StageEnd> {
        let mut state = TrainingState::load(&self.directory)?;
        if state.checkpoint.is_none() {
            state.start_model = self.start_model.clone();
        }
        let shared = Shared {
            metrics_bytes: Arc::new(AtomicU64::new(state.metrics_bytes)),
            ..Shared::default()
        };
        let interrupter = Interrupter::new();
        let log = MetricLog::open(&self.directory, &shared.metrics_bytes, &shared.failure)?;
        let screen = Screen::start(self.ui, self.name, &interrupter, done(&state));
        let Some(renderer) = screen.renderer() else { bail!("the screen is closed") };
        let result = Arc::<Mutex<_>>::default();
        let start = self.training_loop(&state, &shared, &renderer);
        let strategy = Strategy {
            train: Box::new(move |learner| start.clone().run(learner)),
            devices: self.devices.clone(),
            result: result.clone(),
        };
        let training = self
            .burn_training(&shared)
            .with_metric_logger(log)
            .with_checkpointing_strategy(KeepTwo::after(state.checkpoint))
            .with_file_checkpointer(AtomicRecorder::new(&shared.failure))
            .with_interrupter(interrupter)
            .renderer(renderer)
            .with_training_strategy(TrainingStrategy::Custom(Arc::new(strategy)));
        let learner = learner::learner::<B, O>(
            model,
            self.objective.clone(),
            (&self.config).into(),
            self.schedule(),
            &shared.skipped,
        );
        drop(training.launch(learner));
        drop(screen);
        let result = result.lock().unwrap_or_else(PoisonError::into_inner).take();
        result.context("the training ended without a result")?
    }

    /// Sets up Burn's training with its loaders and metrics.
    fn burn_training(&self, shared: &Shared) -> SupervisedTraining<Components<B, O>> {
        let dev =
            DevLoader::<B> { device: self.devices[0].clone(), failure: shared.failure.clone() };
        let train = Arc::new(self.loader(shared));
        let mut training = SupervisedTraining::new(&self.directory, train, Arc::new(dev))
            .num_epochs(self.config.epochs_to_run())
            .with_application_logger(None);
        let (parts, measures) = (self.objective.loss_parts(), self.objective.measures());
        for metric in step_metrics(&parts, &measures) {
            training = training.metric_train_numeric(metric);
        }
        if self.objective.phase(Step { number: 1, epoch: 1 }).is_some() {
            training = training.metric_train(PhaseMetric::default());
        }
        for metric in dev_metrics(&self.objective.dev_metrics()) {
            training = training.metric_valid_numeric(metric);
        }
        training
    }

    fn training_loop(
        &self,
        state: &TrainingState,
        shared: &Shared,
        renderer: &StageRenderer,
    ) -> TrainingLoop<B, O> {
        TrainingLoop {
            objective: self.objective.clone(),
            directory: self.directory.clone(),
            model_directory: self.model_directory.clone(),
            config: self.config.clone(),
            sizes: self.sizes(),
            loaders: self.loader(shared).split(&self.devices),
            state: state.clone(),
            renderer: renderer.clone(),
            stop: self.stop.clone(),
            shared: shared.clone(),
        }
    }

    fn loader(&self, shared: &Shared) -> TrainLoader<B, O> {
        let (objective, examples) = (self.objective.clone(), self.examples.clone());
        TrainLoader::new(objective, examples, self.sizes(), self.seed, self.devices[0].clone())
            .with_handles(&shared.position, &shared.failure)
    }

    fn sizes(&self) -> BatchSizes {
        BatchSizes::of(&self.config, self.devices.len())
    }

    fn schedule(&self) -> WarmupLinear {
        let n_steps = self.config.epochs * self.sizes().steps_per_epoch(self.examples.len());
        WarmupLinear::new(n_steps, self.config.warmup_ratio)
    }
}

/// The dev metric whose highest value marks the best epoch.
fn deciding_metric<B: DocReBackend, O: Objective<B>>(objective: &O) -> Result<DevMetric> {
    objective.dev_metrics().first().copied().context("the objective has no dev metric")
}

/// The training loop of a stage.
struct TrainingLoop<B: DocReBackend, O: Objective<B>> {
    objective: O,
    directory: PathBuf,
    model_directory: PathBuf,
    config: StageConfig,
    sizes: BatchSizes,
    /// The batches of each device.
    loaders: Vec<TrainLoader<B, O>>,
    /// The progress so far.
    state: TrainingState,
    renderer: StageRenderer,
    stop: StopFlag,
    shared: Shared,
}

impl<B: DocReBackend, O: Objective<B>> Clone for TrainingLoop<B, O> {
    fn clone(&self) -> Self {
        Self {
            objective: self.objective.clone(),
            directory: self.directory.clone(),
            model_directory: self.model_directory.clone(),
            config: self.config.clone(),
            sizes: self.sizes,
            loaders: self.loaders.clone(),
            state: self.state.clone(),
            renderer: self.renderer.clone(),
            stop: self.stop.clone(),
            shared: self.shared.clone(),
        }
    }
}

impl<B: DocReBackend, O: Objective<B>> TrainingLoop<B, O> {
    /// Trains until the schedule ends, patience runs out, or the stop flag is set.
    fn run(mut self, learner: &mut StageLearner<B, O>) -> Result<StageEnd> {
        learner.check_devices()?;
        self.state.publish(&self.directory, &self.model_directory)?;
        if let Some(checkpoint) = self.state.checkpoint {
            learner.restore(&self.directory, checkpoint, self.state.epochs_done)?;
        }
        let n_epochs = self.config.epochs_to_run();
        let mut is_done = self.is_out_of_patience();
        while !is_done && self.state.epochs_done < n_epochs {
            let epoch = Progress::new(self.state.epochs_done + 1, n_epochs);
            if self.train_epoch(learner, &epoch)? == StageEnd::Interrupted {
                return Ok(StageEnd::Interrupted);
            }
            // A failure of the evaluation does not lose the epoch.
            if self.state.checkpoint != Some(self.state.step) {
                self.save(learner)?;
            }
            let Some(values) = self.evaluate(learner, &epoch)? else {
                return Ok(StageEnd::Interrupted);
            };
            is_done = self.end_epoch(learner, epoch.items_processed, &values)?;
            if self.should_stop(learner) && !is_done && self.state.epochs_done < n_epochs {
                return Ok(StageEnd::Interrupted);
            }
        }
        self.state.finished = true;
        self.state.checkpoint = None;
        self.state.commit(&self.directory)?;
        Ok(StageEnd::Finished)
    }

    /// Trains the rest of the epoch in progress.
    fn train_epoch(
        &mut self,
        learner: &mut StageLearner<B, O>,
        epoch: &Progress,
    ) -> Result<StageEnd> {
        self.shared.position.set(epoch.items_processed, self.state.batches_done);
        let loaders = self.loaders.clone();
        let mut batches: Vec<_> = loaders.iter().map(DataLoader::iter).collect();
        let n_examples = loaders.first().map_or(0, DataLoader::num_items);
        let n_batches = self.sizes.batches_per_epoch(n_examples);
        while self.state.batches_done < n_batches {
            let metrics = self.optimizer_step(learner, &mut batches, epoch)?;
            let n_done = self.state.batches_done * self.sizes.examples_per_batch;
            let within = Progress::new(n_done.min(n_examples), n_examples);
            learner.report_step(metrics, within, epoch, self.state.step);
            if self.should_stop(learner) {
                self.save(learner)?;
                return Ok(StageEnd::Interrupted);
            }
            let every = self.config.checkpoint_every_steps;
            let is_due = every.is_some_and(|steps| self.state.step.is_multiple_of(steps));
            if is_due && self.state.batches_done < n_batches {
                self.save(learner)?;
            }
        }
        learner.end_training_epoch(epoch.items_processed);
        Ok(StageEnd::Finished)
    }

    /// Takes one optimizer step, over the accumulated batches of each device.
    fn optimizer_step(
        &mut self,
        learner: &mut StageLearner<B, O>,
        batches: &mut [Batches<'_, O::Batch>],
        epoch: &Progress,
    ) -> Result<StepMetrics> {
        learner.schedule_step();
        let step = Step { number: self.state.step + 1, epoch: epoch.items_processed };
        let accumulated: Accumulated = learner.accumulate(batches, self.config.accumulation);
        self.shared.failure.check()?;
        self.state.batches_done += accumulated.batches.len();
        let mut metrics = StepMetrics::mean(&accumulated.batches);
        ensure!(metrics.loss.is_finite(), "{}", not_finite(step));
        learner.optimizer_step(accumulated, step);
        ensure!(
            self.shared.skipped.in_a_row() < MAX_SKIPPED,
            "the training diverges: the gradients of {MAX_SKIPPED} steps in a row were not finite, \
             the last at step {}; lower `encoder_lr` and `relation_lr`, or train in f32",
            step.number
        );
        metrics.learning_rate = learner.schedule_factor() * self.config.encoder_lr;
        self.state.add_step(&metrics);
        Ok(metrics)
    }

    /// Evaluates the model on the dev set; returns `None` if the stop flag is set meanwhile.
    fn evaluate(
        &self,
        learner: &mut StageLearner<B, O>,
        epoch: &Progress,
    ) -> Result<Option<Vec<f64>>> {
        let (stop, interrupter) = (self.stop.clone(), learner.interrupter().clone());
        let (renderer, epoch_shown) = (self.renderer.clone(), epoch.clone());
        let go_on = move |done: Progress| {
            let is_last = done.items_processed == done.items_total;
            renderer.evaluating(done, &epoch_shown);
            is_last || !(stop.is_set() || interrupter.should_stop())
        };
        learner.evaluate(epoch, &self.shared.failure, Box::new(go_on))
    }

    /// Saves the model if it is the best so far and commits the epoch. Its checkpoint is on disk.
    /// Returns true if patience has run out.
    fn end_epoch(
        &mut self,
        learner: &mut StageLearner<B, O>,
        epoch: usize,
        values: &[f64],
    ) -> Result<bool> {
        let dev = by_key(&self.objective.dev_metrics(), values);
        let deciding = metric_key(deciding_metric::<B, O>(&self.objective)?.name);
        if self.state.is_best(&dev, &deciding) {
            let pending = pending_model(&self.directory, epoch);
            self.objective.save(&learner.model(), &pending)?;
        }
        self.state.end_epoch(epoch, dev, &deciding);
        self.commit(learner)?;
        self.state.publish(&self.directory, &self.model_directory)?;
        Ok(self.is_out_of_patience())
    }

    /// Writes a checkpoint and commits it.
    fn save(&mut self, learner: &mut StageLearner<B, O>) -> Result<()> {
        learner.save(self.state.step)?;
        self.state.checkpoint = Some(self.state.step);
        self.commit(learner)
    }

    /// Commits the progress after everything that it refers to is on disk.
    fn commit(&mut self, learner: &mut StageLearner<B, O>) -> Result<()> {
        learner.settle();
        self.shared.failure.check()?;
        self.state.metrics_bytes = self.shared.metrics_bytes.load(Ordering::Relaxed);
        self.state.commit(&self.directory)
    }

    fn should_stop(&self, learner: &StageLearner<B, O>) -> bool {
        self.stop.is_set() || learner.interrupter().should_stop()
    }

    /// Returns true if the last epochs brought no improvement, those before a resume included.
    fn is_out_of_patience(&self) -> bool {
        self.config.patience.is_some_and(|epochs| self.state.epochs_since_best() >= epochs)
    }
}

/// The progress that the display starts from.
fn done(state: &TrainingState) -> Done {
    let Sum { total, count } = state.sums.get(&metric_key(LOSS)).copied().unwrap_or_default();
    Done { epochs: state.epochs_done, losses: Losses { sum: total, count } }
}

/// The message about a loss that is infinite or not a number.
///
/// At the first step no weight has changed, so that the learning rates are not the cause.
fn not_finite(step: Step) -> String {
    match step.number {
        1 => "the loss of the first step is not finite, before any weight has changed; check the \
              initial model, or train in f32"
            .into(),
        number => format!(
            "the training diverges: the loss is not finite at step {number}; lower `encoder_lr` and \
             `relation_lr`"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_that_is_not_finite_is_blamed_on_the_learning_rates_from_the_second_step_on() {
        let message = |number| not_finite(Step { number, epoch: 1 });
        assert!(!message(1).contains("_lr") && message(1).contains("initial model"));
        assert!(message(2).contains("diverges") && message(2).contains("at step 2; lower `enc"));
    }
}
