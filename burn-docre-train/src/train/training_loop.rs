//! The training loop, as a strategy of Burn's `Learner`.
//!
//! Burn 0.21's own loop steps the schedule per batch, drops the tail of an accumulation, cannot stop within an epoch and
//! averages F1 over batches. This one replaces the loop alone: metrics, checkpoints, early stopping and interruption go
//! through Burn's event processor, checkpointer, early stopping strategy and interrupter.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result, ensure};
use burn::{
    backend::Autodiff,
    data::dataloader::{DataLoader, DataLoaderIterator, Progress},
    module::AutodiffModule,
    optim::GradientsAccumulator,
    train::{
        CloneEarlyStoppingStrategy, EarlyStoppingStrategy, EventProcessorTraining, InferenceStep,
        Interrupter, Learner, LearnerEvent, LearningCheckpointer, SupervisedLearningStrategy,
        SupervisedTrainingEventProcessor, TrainLoader, TrainOutput, TrainingComponents,
        TrainingItem, TrainingModel, ValidLoader,
        metric::store::{Aggregate, EventStoreClient, Split},
        train::{MultiDevicesTrainStep, MultiTrainOutput},
    },
};
use burn_docre::{model::DocReModel, ops::DocReBackend};

use crate::{
    config::StageConfig,
    train::{
        checkpoint,
        dev_set::DevScores,
        failure::Failure,
        loader::{Position, TrainBatch},
        metrics::{DEV_F1, DevFigures, StepFigures},
        objective::{Components, Trainee},
        optim::LeftOut,
        state::{EpochRecord, TrainingState, waiting_model},
    },
    ui::{renderer::StageRenderer, signals::StopFlag},
};

/// Steps in a row whose gradients are not finite until the training is given up: a few such steps do no harm.
const MAX_LEFT_OUT: usize = 10;

/// How a stage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageEnd {
    /// All epochs are done, or patience ran out.
    Finished,
    /// Somebody asked it to stop; a checkpoint is written.
    Interrupted,
}

/// Writes a model directory.
pub type SaveModel<B> = Box<dyn Fn(&DocReModel<B>, &Path) -> Result<()>>;

/// Everything the loop needs that Burn does not hand it.
pub struct StageStrategy<B: DocReBackend> {
    /// The stage's directory.
    pub directory: PathBuf,
    /// The stage's schedule.
    pub config: StageConfig,
    /// Batches of an epoch.
    pub n_batches: usize,
    /// Where it runs; the first device has the optimizer.
    pub devices: Vec<B::Device>,
    /// The batches of each device.
    pub loaders: Vec<crate::train::loader::TrainLoader<Autodiff<B>>>,
    /// Where the stage stands at the start.
    pub state: TrainingState,
    /// Tells the data loader where an epoch starts.
    pub position: Arc<Position>,
    /// Shows dev evaluations.
    pub renderer: StageRenderer,
    /// Saves a model.
    pub save_model: SaveModel<B>,
    /// Where the best model so far is published.
    pub model: PathBuf,
    /// What the optimizer leaves out.
    pub left_out: LeftOut,
    /// Set by signals.
    pub stop: StopFlag,
    /// Set by Burn's threads when they cannot write.
    pub failure: Failure,
    /// Bytes of the curves written.
    pub curve_bytes: Arc<AtomicU64>,
    /// How the stage ended.
    pub end: Arc<Mutex<Option<Result<StageEnd>>>>,
}

/// Stops when the dev F1 has not improved for some epochs; knows about the epochs before a resume.
#[derive(Clone, Debug)]
pub struct Patience {
    n_epochs: usize,
    best: Option<f64>,
    since: usize,
}

impl Patience {
    /// Patience of `n_epochs` after these epochs.
    pub fn after(history: &[EpochRecord], n_epochs: usize) -> Self {
        let mut patience = Self { n_epochs, best: None, since: 0 };
        for record in history {
            patience.observe(100.0 * record.dev.f1);
        }
        patience
    }

    /// Whether the training should stop.
    pub fn is_exhausted(&self) -> bool {
        self.since >= self.n_epochs
    }

    fn observe(&mut self, f1: f64) {
        if self.best.is_none_or(|best| f1 > best) {
            self.best = Some(f1);
            self.since = 0;
        } else {
            self.since += 1;
        }
    }
}

impl EarlyStoppingStrategy for Patience {
    fn should_stop(&mut self, epoch: usize, store: &EventStoreClient) -> bool {
        if let Some(f1) = store.find_metric(DEV_F1, epoch, Aggregate::Mean, &Split::Valid) {
            self.observe(f1);
        }
        self.is_exhausted()
    }
}

impl<B: DocReBackend> SupervisedLearningStrategy<Components<B>> for StageStrategy<B> {
    fn fit(
        &self,
        components: TrainingComponents<Components<B>>,
        learner: Learner<Components<B>>,
        _train: TrainLoader<Components<B>>,
        valid: ValidLoader<Components<B>>,
        _starting_epoch: usize,
    ) -> (TrainingModel<Components<B>>, SupervisedTrainingEventProcessor<Components<B>>) {
        let workers = (self.devices.len() > 1).then(|| MultiDevicesTrainStep::new(&self.devices));
        let mut run = Run {
            plan: self,
            workers,
            learner,
            checkpointer: components.checkpointer,
            early_stopping: components.early_stopping,
            interrupter: components.interrupter,
            processor: components.event_processor,
            store: components.event_store,
            state: self.state.clone(),
        };
        let end = run.train(&valid);
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
        (run.learner.model(), run.processor)
    }
}

/// One run of the loop.
struct Run<'a, B: DocReBackend> {
    plan: &'a StageStrategy<B>,
    /// Burn's data parallelism: a thread for each of several devices.
    workers: Option<MultiDevicesTrainStep<Components<B>>>,
    learner: Learner<Components<B>>,
    checkpointer: Option<LearningCheckpointer<Components<B>>>,
    early_stopping: Option<Box<dyn CloneEarlyStoppingStrategy>>,
    interrupter: Interrupter,
    processor: SupervisedTrainingEventProcessor<Components<B>>,
    store: Arc<EventStoreClient>,
    state: TrainingState,
}

type Batches<'a, B> = Box<dyn DataLoaderIterator<TrainBatch<Autodiff<B>>> + 'a>;

impl<B: DocReBackend> Run<'_, B> {
    fn train(&mut self, valid: &ValidLoader<Components<B>>) -> Result<StageEnd> {
        self.restore()?;
        let n_epochs = self.plan.config.epochs_to_run();
        let mut is_done =
            self.plan.config.patience.is_some_and(|patience| {
                Patience::after(&self.state.history, patience).is_exhausted()
            });
        while !is_done && self.state.epochs_done < n_epochs {
            let epoch = Progress::new(self.state.epochs_done + 1, n_epochs);
            if self.train_epoch(&epoch)? == StageEnd::Interrupted {
                return Ok(StageEnd::Interrupted);
            }
            let Some(scores) = self.evaluate(valid, &epoch)? else {
                self.save()?;
                return Ok(StageEnd::Interrupted);
            };
            is_done = self.end_epoch(epoch.items_processed, scores)?;
            if self.should_stop() && !is_done && self.state.epochs_done < n_epochs {
                return Ok(StageEnd::Interrupted);
            }
        }
        self.state.finished = true;
        self.state.checkpoint = None;
        self.state.commit(&self.plan.directory)?;
        Ok(StageEnd::Finished)
    }

    /// Loads the checkpoint that the state names, and publishes its best model.
    fn restore(&mut self) -> Result<()> {
        self.state.publish(&self.plan.directory, &self.plan.model)?;
        let Some(checkpoint) = self.state.checkpoint else { return Ok(()) };
        // Not by Burn's checkpointer, which panics where a file is missing or damaged.
        let (directory, device) = (&self.plan.directory, &self.plan.devices[0]);
        let record = checkpoint::load::<Autodiff<B>, _>(directory, "model", checkpoint, device)?;
        self.learner.load_model(record);
        let record = checkpoint::load::<Autodiff<B>, _>(directory, "optim", checkpoint, device)?;
        self.learner.load_optim(record);
        let record =
            checkpoint::load::<Autodiff<B>, _>(directory, "scheduler", checkpoint, device)?;
        self.learner.load_scheduler(record);
        // Without this Burn numbers the epochs after a resume from 1.
        let before = self.state.epochs_done;
        self.processor.process_train(LearnerEvent::EndEpoch(before));
        self.processor.process_valid(LearnerEvent::EndEpoch(before));
        Ok(())
    }

    /// The rest of the epoch in progress.
    fn train_epoch(&mut self, epoch: &Progress) -> Result<StageEnd> {
        let plan = self.plan;
        plan.position.set(epoch.items_processed, self.state.batches_done);
        let mut batches: Vec<_> = plan.loaders.iter().map(DataLoader::iter).collect();
        let n_documents = plan.loaders.first().map_or(0, DataLoader::num_items);
        while self.state.batches_done < plan.n_batches {
            let figures = self.optimizer_step(&mut batches)?;
            let n_done = self.state.batches_done * plan.config.batch_size;
            let progress = Progress::new(n_done.min(n_documents), n_documents);
            self.report(figures, progress, epoch);
            if self.should_stop() {
                self.save()?;
                return Ok(StageEnd::Interrupted);
            }
            let is_due = plan
                .config
                .checkpoint_every_steps
                .is_some_and(|steps| self.state.step.is_multiple_of(steps));
            if is_due && self.state.batches_done < plan.n_batches {
                self.save()?;
            }
        }
        self.processor.process_train(LearnerEvent::EndEpoch(epoch.items_processed));
        Ok(StageEnd::Finished)
    }

    /// One step of the optimizer, over as many batches as it accumulates on each device.
    fn optimizer_step(&mut self, batches: &mut [Batches<'_, B>]) -> Result<StepFigures> {
        let plan = self.plan;
        self.learner.lr_step();
        let mut accumulator = GradientsAccumulator::<Trainee<Autodiff<B>>>::new();
        let model = self.learner.model();
        let mut parts = Vec::new();
        for _ in 0..plan.config.accumulation {
            let outputs = self.forward_backward(batches, &model);
            if outputs.is_empty() {
                break;
            }
            for output in outputs {
                parts.push(output.item);
                accumulator.accumulate(&model, output.grads);
            }
        }
        drop(model);
        self.state.batches_done += parts.len();
        plan.failure.check()?;
        let mut figures = StepFigures::mean(&parts);
        ensure!(
            figures.loss.is_finite(),
            "the loss is not finite at step {}; lower the learning rates",
            self.state.step + 1
        );
        self.learner.optimizer_step(accumulator.grads());
        ensure!(
            plan.left_out.in_a_row() < MAX_LEFT_OUT,
            "the gradients of {MAX_LEFT_OUT} steps in a row were not finite, the last at step {}; \
             lower the learning rates, or train in f32",
            self.state.step + 1
        );
        figures.learning_rate = self.learner.lr_current() * plan.config.encoder_lr;
        self.state.step += 1;
        self.state.loss_sum += figures.loss;
        self.state.loss_count += 1;
        Ok(figures)
    }

    /// A batch on each device; the gradients lie on the first device. Empty when the epoch is over.
    fn forward_backward(
        &self,
        batches: &mut [Batches<'_, B>],
        model: &Trainee<Autodiff<B>>,
    ) -> Vec<TrainOutput<StepFigures>> {
        let Some(workers) = &self.workers else {
            let batch = batches.first_mut().and_then(Iterator::next);
            return batch.map(|batch| self.learner.train_step(batch)).into_iter().collect();
        };
        let (mut outputs, _) = workers.step(batches, model);
        // They arrive as they finish; sums must not depend on that, nor on which of two workers of one device was first.
        outputs.sort_by(|a, b| {
            let loss = |output: &MultiTrainOutput<StepFigures>| output.output.item.loss;
            a.device.cmp(&b.device).then(loss(a).total_cmp(&loss(b)))
        });
        let main = &self.plan.devices[0];
        let on_main = |output: MultiTrainOutput<StepFigures>| TrainOutput {
            grads: output.output.grads.to_device(main, model),
            item: output.output.item,
        };
        outputs.into_iter().map(on_main).collect()
    }

    fn report(&mut self, figures: StepFigures, progress: Progress, epoch: &Progress) {
        let lr = Some(figures.learning_rate);
        let item = TrainingItem::new(figures, progress, epoch.clone(), Some(self.state.step), lr);
        self.processor.process_train(LearnerEvent::ProcessedItem(item));
    }

    /// The dev scores of the model as it is; `None` when somebody asked to stop.
    fn evaluate(
        &mut self,
        valid: &ValidLoader<Components<B>>,
        epoch: &Progress,
    ) -> Result<Option<DevScores>> {
        let model = self.learner.model().valid();
        let mut requests = valid.iter();
        let mut request = requests.next().context("the dev set is missing")?;
        let (stop, interrupter) = (self.plan.stop.clone(), self.interrupter.clone());
        let (renderer, epoch_shown) = (self.plan.renderer.clone(), epoch.clone());
        let total = request.dev.len();
        request.go_on = Box::new(move |done| {
            renderer.evaluating(done, total, &epoch_shown);
            done == total || !(stop.is_set() || interrupter.should_stop())
        });
        let figures = model.step(request);
        self.plan.failure.check()?;
        if let DevFigures(Some(_)) = figures {
            let item = TrainingItem::new(figures, requests.progress(), epoch.clone(), None, None);
            self.processor.process_valid(LearnerEvent::ProcessedItem(item));
            self.processor.process_valid(LearnerEvent::EndEpoch(epoch.items_processed));
        }
        Ok(figures.0)
    }

    /// Keeps the best model, writes the checkpoint, and says whether patience has run out.
    fn end_epoch(&mut self, epoch: usize, dev: DevScores) -> Result<bool> {
        let loss = self.state.loss_sum / self.state.loss_count.max(1) as f64;
        let before = self.state.best();
        if before.is_none_or(|best| dev.f1 > best.dev.f1) {
            let waiting = waiting_model(&self.plan.directory, epoch);
            (self.plan.save_model)(&self.learner.model().valid().model, &waiting)?;
        }
        self.state.history.push(EpochRecord { epoch, loss, dev });
        self.state.epochs_done = epoch;
        self.state.batches_done = 0;
        (self.state.loss_sum, self.state.loss_count) = (0.0, 0);
        self.save()?;
        self.state.publish(&self.plan.directory, &self.plan.model)?;
        let store = &self.store;
        Ok(self.early_stopping.as_mut().is_some_and(|strategy| strategy.should_stop(epoch, store)))
    }

    /// Writes a checkpoint and commits it.
    fn save(&mut self) -> Result<()> {
        self.settle();
        let checkpointer = self.checkpointer.as_mut().context("no checkpointer is set up")?;
        checkpointer.checkpoint(&self.learner, self.state.step, &self.store);
        self.plan.failure.check()?;
        self.state.checkpoint = Some(self.state.step);
        self.state.metrics_bytes = self.plan.curve_bytes.load(Ordering::Relaxed);
        self.state.commit(&self.plan.directory)
    }

    /// Waits until every figure sent has arrived in the store.
    ///
    /// Burn's event processor takes one event at a time and holds one more, so the second of two events without effect
    /// is accepted only when all before are done; and the store answers a question after everything before it.
    fn settle(&mut self) {
        self.processor.process_valid(LearnerEvent::Start);
        self.processor.process_valid(LearnerEvent::Start);
        let _ = self.store.find_metric("", 0, Aggregate::Mean, &Split::Train);
    }

    fn should_stop(&self) -> bool {
        self.plan.stop.is_set() || self.interrupter.should_stop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::state::tests::record;

    #[test]
    fn patience_counts_epochs_without_improvement_and_survives_a_resume() {
        let history = [record(1, 0.5), record(2, 0.5), record(3, 0.4)];
        assert!(!Patience::after(&history[..2], 2).is_exhausted());
        assert!(Patience::after(&history, 2).is_exhausted());
        let mut better = history.to_vec();
        better.push(record(4, 0.6));
        assert!(!Patience::after(&better, 2).is_exhausted());
    }
}
