//! Burn's `Learner` around the training loop, and the workarounds that Burn 0.21 needs.
//!
//! | Burn 0.21 | Here |
//! |---|---|
//! | Its loop steps the schedule per batch, drops the tail of an accumulation and cannot stop within an epoch | `Strategy` replaces the loop; Burn still does metrics, checkpoints and interruption |
//! | It averages F1 over batches (upstream #5218) | The dev evaluation is one item of `DevLoader` |
//! | It numbers the epochs after a resume from 1 (#5116) | `StageLearner::restore` reports the end of the last epoch again |
//! | Its early stopping reads the metric store | `TrainingState::epochs_since_best` decides, also in a resumed run |
//! | Its metric store returns values before all metrics have arrived (#5320) | `StageLearner::settle` waits for them |
//! | Its checkpointer returns before a save is complete, and panics on a damaged file | `KeepTwo`, `checkpoint::load` |
//! | A strategy returns no result | `Strategy` stores the result of the loop |
//! | `MultiDevicesTrainStep` waits forever for a device that has panicked | `TrainStep::step` returns the panic as a `Failure`. `StageLearner::check_devices` tries the copies of the model before the first step |

use std::{
    any::Any,
    fmt::Debug,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result, anyhow};
use burn::{
    backend::Autodiff,
    data::dataloader::{DataLoaderIterator, Progress},
    module::{AutodiffModule, Module, ParamId},
    optim::{GradientsAccumulator, GradientsParams},
    tensor::backend::Backend,
    train::{
        EventProcessorTraining, InferenceStep, Interrupter, Learner, LearnerEvent,
        LearningCheckpointer, LearningComponentsMarker, SupervisedLearningStrategy,
        SupervisedTrainingEventProcessor, TrainLoader, TrainOutput, TrainStep, TrainingComponents,
        TrainingItem, TrainingModel, ValidLoader,
        metric::store::{Aggregate, EventStoreClient, Split},
        train::{MultiDevicesTrainStep, MultiTrainOutput},
    },
};
use burn_docre::{DocReBackend, nn::dropout};
use hashbrown::HashSet;

use super::{
    checkpoint,
    failure::Failure,
    loader::{DevRequest, StepBatch},
    metrics::{DevItem, StepMetrics},
    objective::{Objective, Step},
    optim::{
        GroupedAdamW, OptimizerConfig, ParameterGroups, ParameterIds, SkippedSteps, WarmupLinear,
        gradients_of,
    },
};

/// A model and its objective, in the form that Burn's `Learner` trains.
#[derive(Module, Debug)]
pub struct TrainingModule<B: Backend, M, O> {
    /// The model.
    pub model: M,
    #[module(skip)]
    objective: O,
    backend: PhantomData<B>,
}

/// The module that an objective trains.
pub type ModuleOf<B, O> = TrainingModule<Autodiff<B>, <O as Objective<B>>::Model, O>;

/// The types of Burn's training for an objective.
pub type Components<B, O> = LearningComponentsMarker<
    Autodiff<B>,
    WarmupLinear,
    ModuleOf<B, O>,
    GroupedAdamW<ModuleOf<B, O>, Autodiff<B>>,
>;

impl<B: DocReBackend, O: Objective<B>> ModuleOf<B, O> {
    /// Combines `model` with its `objective`.
    pub fn new(model: O::Model, objective: O) -> Self {
        Self { model, objective, backend: PhantomData }
    }

    /// The parameters that optimizer step `step` updates.
    pub fn updated_parameters(&self, step: Step) -> HashSet<ParamId> {
        let mut ids = ParameterIds::default();
        self.objective.visit_updated(&self.model, step, &mut ids);
        ids.0
    }
}

impl<B: DocReBackend, O: Objective<B>> ParameterGroups<Autodiff<B>> for ModuleOf<B, O> {
    fn encoder_parameters(&self) -> HashSet<ParamId> {
        let mut ids = ParameterIds::default();
        self.objective.visit_encoders(&self.model, &mut ids);
        ids.0
    }
}

impl<B: DocReBackend, O: Objective<B>> TrainStep for ModuleOf<B, O> {
    type Input = StepBatch<O::Batch>;
    type Output = StepMetrics;

    fn step(&self, input: StepBatch<O::Batch>) -> TrainOutput<StepMetrics> {
        let Some(failure) = input.panics.clone() else { return self.forward_backward(input) };
        catch_unwind(AssertUnwindSafe(|| self.forward_backward(input))).unwrap_or_else(|panic| {
            failure.set(anyhow!("a device failed in a training step: {}", message_of(&*panic)));
            let item = StepMetrics { loss: f64::NAN, ..StepMetrics::default() };
            TrainOutput { grads: GradientsParams::new(), item }
        })
    }
}

impl<B: DocReBackend, O: Objective<B>> ModuleOf<B, O> {
    /// The loss of a batch and the gradients of its parameters.
    fn forward_backward(&self, input: StepBatch<O::Batch>) -> TrainOutput<StepMetrics> {
        dropout::seed(input.dropout_seed);
        let loss = self.objective.loss(&self.model, input.batch, input.step);
        let grads = loss.tensor.mul_scalar(input.weight).backward();
        let metrics = StepMetrics {
            loss: loss.value,
            values: loss.values,
            phase: self.objective.phase(input.step),
            ..StepMetrics::default()
        };
        TrainOutput::new(self, grads, metrics)
    }
}

impl<B: DocReBackend, O: Objective<B>> InferenceStep for TrainingModule<B, O::InnerModel, O> {
    type Input = DevRequest<B>;
    type Output = DevItem;

    fn step(&self, mut request: DevRequest<B>) -> DevItem {
        let values = self.objective.evaluate(&self.model, &request.device, &mut request.go_on);
        DevItem(values.unwrap_or_else(|error| {
            request.failure.set(error);
            None
        }))
    }
}

/// The message of a panic.
fn message_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

/// Burn's learner for `model`, with AdamW and a learning rate schedule.
///
/// The optimizer counts its skipped steps in `skipped`.
pub fn learner<B: DocReBackend, O: Objective<B>>(
    model: O::Model,
    objective: O,
    optimizer: OptimizerConfig,
    schedule: WarmupLinear,
    skipped: &SkippedSteps,
) -> Learner<Components<B, O>> {
    let optimizer = GroupedAdamW::new(optimizer).counting(skipped.clone());
    Learner::new(ModuleOf::<B, O>::new(model, objective), optimizer, schedule)
}

/// A training loop with a result of type `R`.
type Loop<B, O, R> = Box<dyn Fn(&mut StageLearner<B, O>) -> R>;

/// A training loop as a strategy of Burn's training; `R` is its result.
pub(super) struct Strategy<B: DocReBackend, O: Objective<B>, R> {
    /// The loop.
    pub(super) train: Loop<B, O, R>,
    /// The devices; the optimizer runs on the first one.
    pub(super) devices: Vec<B::Device>,
    /// Receives the result of the loop, because a strategy of Burn returns none.
    pub(super) result: Arc<Mutex<Option<R>>>,
}

impl<B: DocReBackend, O: Objective<B>, R> SupervisedLearningStrategy<Components<B, O>>
    for Strategy<B, O, R>
{
    fn fit(
        &self,
        components: TrainingComponents<Components<B, O>>,
        learner: Learner<Components<B, O>>,
        _train: TrainLoader<Components<B, O>>,
        valid: ValidLoader<Components<B, O>>,
        _starting_epoch: usize,
    ) -> (TrainingModel<Components<B, O>>, SupervisedTrainingEventProcessor<Components<B, O>>) {
        let workers = (self.devices.len() > 1).then(|| MultiDevicesTrainStep::new(&self.devices));
        let mut learner = StageLearner {
            workers,
            devices: self.devices.clone(),
            learner,
            checkpointer: components.checkpointer,
            interrupter: components.interrupter,
            processor: components.event_processor,
            store: components.event_store,
            valid,
        };
        let result = (self.train)(&mut learner);
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        (learner.learner.model(), learner.processor)
    }
}

/// The batches of a device.
pub(super) type Batches<'a, T> = Box<dyn DataLoaderIterator<StepBatch<T>> + 'a>;

/// The gradients and metrics of the batches of one optimizer step.
pub(super) struct Accumulated {
    grads: GradientsParams,
    pub(super) batches: Vec<StepMetrics>,
}

/// The components of Burn's training, with the operations that the training loop calls.
pub(super) struct StageLearner<B: DocReBackend, O: Objective<B>> {
    /// Burn's data parallelism: a thread for each of several devices.
    workers: Option<MultiDevicesTrainStep<Components<B, O>>>,
    /// The devices; the optimizer runs on the first one.
    devices: Vec<B::Device>,
    learner: Learner<Components<B, O>>,
    checkpointer: Option<LearningCheckpointer<Components<B, O>>>,
    interrupter: Interrupter,
    processor: SupervisedTrainingEventProcessor<Components<B, O>>,
    store: Arc<EventStoreClient>,
    valid: ValidLoader<Components<B, O>>,
}

impl<B: DocReBackend, O: Objective<B>> StageLearner<B, O> {
    /// Copies the model to each further device, as every step does.
    pub(super) fn check_devices(&self) -> Result<()> {
        for device in &self.devices[1..] {
            let copy = AssertUnwindSafe(|| drop(self.learner.model().fork(device)));
            catch_unwind(copy).map_err(|panic| {
                anyhow!("{device:?}: the model cannot be copied to it: {}", message_of(&*panic))
            })?;
        }
        Ok(())
    }

    /// Loads a checkpoint of the stage in `directory`, after `epochs_done` epochs.
    pub(super) fn restore(
        &mut self,
        directory: &Path,
        checkpoint: usize,
        epochs_done: usize,
    ) -> Result<()> {
        let device = &self.devices[0];
        let record = checkpoint::load::<Autodiff<B>, _>(directory, "model", checkpoint, device)?;
        self.learner.load_model(record);
        let record = checkpoint::load::<Autodiff<B>, _>(directory, "optim", checkpoint, device)?;
        self.learner.load_optim(record);
        let record =
            checkpoint::load::<Autodiff<B>, _>(directory, "scheduler", checkpoint, device)?;
        self.learner.load_scheduler(record);
        self.processor.process_train(LearnerEvent::EndEpoch(epochs_done));
        self.processor.process_valid(LearnerEvent::EndEpoch(epochs_done));
        Ok(())
    }

    /// Runs up to `accumulation` batches on each device and sums their gradients.
    ///
    /// Fewer batches can be left at the end of an epoch.
    pub(super) fn accumulate(
        &self,
        batches: &mut [Batches<'_, O::Batch>],
        accumulation: usize,
    ) -> Accumulated {
        let model = self.learner.model();
        let mut accumulator = GradientsAccumulator::<ModuleOf<B, O>>::new();
        let mut metrics = Vec::new();
        for _ in 0..accumulation {
            let outputs = self.forward_backward(batches, &model);
            if outputs.is_empty() {
                break;
            }
            for output in outputs {
                metrics.push(output.item);
                accumulator.accumulate(&model, output.grads);
            }
        }
        Accumulated { grads: accumulator.grads(), batches: metrics }
    }

    /// Runs one batch on each device and moves the gradients to the optimizer's device.
    ///
    /// The result is empty at the end of an epoch.
    fn forward_backward(
        &self,
        batches: &mut [Batches<'_, O::Batch>],
        model: &ModuleOf<B, O>,
    ) -> Vec<TrainOutput<StepMetrics>> {
        let Some(workers) = &self.workers else {
            let batch = batches.first_mut().and_then(Iterator::next);
            return batch.map(|batch| self.learner.train_step(batch)).into_iter().collect();
        };
        let (mut outputs, _) = workers.step(batches, model);
        // Outputs arrive in the order of completion. Sorting makes the sums reproducible; the loss
        // orders two workers of one device.
        outputs.sort_by(|a, b| {
            let loss = |output: &MultiTrainOutput<StepMetrics>| output.output.item.loss;
            a.device.cmp(&b.device).then(loss(a).total_cmp(&loss(b)))
        });
        let on_optimizer_device = |output: MultiTrainOutput<StepMetrics>| TrainOutput {
            grads: output.output.grads.to_device(&self.devices[0], model),
            item: output.output.item,
        };
        outputs.into_iter().map(on_optimizer_device).collect()
    }

    /// Advances the learning rate schedule by one optimizer step.
    pub(super) fn schedule_step(&mut self) {
        self.learner.lr_step();
    }

    /// The schedule's current factor of the learning rates.
    pub(super) fn schedule_factor(&self) -> f64 {
        self.learner.lr_current()
    }

    /// Takes an optimizer step on the parameters that the objective selects for `step`.
    pub(super) fn optimizer_step(&mut self, accumulated: Accumulated, step: Step) {
        let grads = {
            let module = self.learner.model();
            gradients_of(&module.updated_parameters(step), &module, accumulated.grads)
        };
        self.learner.optimizer_step(grads);
    }

    /// Reports an optimizer step to the metrics and the renderer.
    pub(super) fn report_step(
        &mut self,
        metrics: StepMetrics,
        within: Progress,
        epoch: &Progress,
        step: usize,
    ) {
        let lr = Some(metrics.learning_rate);
        let item = TrainingItem::new(metrics, within, epoch.clone(), Some(step), lr);
        self.processor.process_train(LearnerEvent::ProcessedItem(item));
    }

    /// Reports the end of an epoch's training.
    pub(super) fn end_training_epoch(&mut self, epoch: usize) {
        self.processor.process_train(LearnerEvent::EndEpoch(epoch));
    }

    /// The model without autodiff.
    pub(super) fn model(&self) -> O::InnerModel {
        self.learner.model().valid().model
    }

    /// Evaluates the model on the dev set; returns `None` as soon as `go_on` returns false.
    pub(super) fn evaluate(
        &mut self,
        epoch: &Progress,
        failure: &Failure,
        mut go_on: Box<dyn FnMut(Progress) -> bool + Send>,
    ) -> Result<Option<Vec<f64>>> {
        let module = self.learner.model().valid();
        let request = self.valid.iter().next().context("the dev set is missing")?;
        let evaluated = Arc::new(Mutex::new(Progress::new(0, 0)));
        let reported = evaluated.clone();
        let go_on = Box::new(move |progress: Progress| {
            *reported.lock().unwrap_or_else(PoisonError::into_inner) = progress.clone();
            go_on(progress)
        });
        let item = module.step(DevRequest { go_on, ..request });
        failure.check()?;
        if item.0.is_some() {
            let evaluated = evaluated.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let done = TrainingItem::new(item.clone(), evaluated, epoch.clone(), None, None);
            self.processor.process_valid(LearnerEvent::ProcessedItem(done));
            self.processor.process_valid(LearnerEvent::EndEpoch(epoch.items_processed));
        }
        Ok(item.0)
    }

    /// Writes the checkpoint of optimizer step `step`.
    pub(super) fn save(&mut self, step: usize) -> Result<()> {
        let checkpointer = self.checkpointer.as_mut().context("no checkpointer is set up")?;
        checkpointer.checkpoint(&self.learner, step, &self.store);
        Ok(())
    }

    /// Waits until the store holds every reported metric.
    ///
    /// Burn's event processor handles one event and queues one more. It accepts the second of two
    /// events without effect only after it has handled all earlier ones. The store handles requests
    /// in order, so a query returns after all earlier writes.
    pub(super) fn settle(&mut self) {
        self.processor.process_valid(LearnerEvent::Start);
        self.processor.process_valid(LearnerEvent::Start);
        let _ = self.store.find_metric("", 0, Aggregate::Mean, &Split::Train);
    }

    /// The handle with which the terminal interface stops the training.
    pub(super) fn interrupter(&self) -> &Interrupter {
        &self.interrupter
    }
}
