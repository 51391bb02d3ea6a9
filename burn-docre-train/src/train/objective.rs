//! The model as Burn's `Learner` sees it: what one batch contributes, and what a dev evaluation is.

use std::sync::Arc;

use burn::{
    backend::Autodiff,
    module::Module,
    tensor::{ElementConversion, Tensor, backend::Backend},
    train::{InferenceStep, LearningComponentsMarker, TrainOutput, TrainStep},
};
use burn_docre::{
    inference::Inference,
    loss::{Distillation, RelationLoss},
    model::{DocReModel, ModelConfig},
    nn::{
        dropout,
        precision::{Precision, with_precision},
    },
    ops::DocReBackend,
};

use crate::train::{
    loader::{DevRequest, TrainBatch},
    metrics::{DevFigures, StepFigures},
    optim::{GroupedAdamW, WarmupLinear},
};

/// What a stage minimises.
#[derive(Clone, Debug)]
pub struct Objective {
    /// The model's configuration.
    pub model: Arc<ModelConfig>,
    /// The relation loss.
    pub relation: RelationLoss,
    /// The distillation loss and the weights of both losses.
    pub distillation: Option<Distillation>,
    /// The precision of forward and backward passes.
    pub precision: Precision,
}

impl Objective {
    /// The objective that a stage's configuration describes.
    pub fn new(
        model: Arc<ModelConfig>,
        relation: RelationLoss,
        distillation: Option<Distillation>,
        precision: Precision,
    ) -> Self {
        Self { model, relation, distillation, precision }
    }

    /// The loss of a batch and its parts.
    fn loss<B: Backend>(
        &self,
        logits: Tensor<B, 2>,
        labels: Tensor<B, 2>,
        teacher_logits: Option<Tensor<B, 2>>,
    ) -> (Tensor<B, 1>, StepFigures) {
        let relation = self.relation.forward(logits.clone(), labels);
        let mut figures =
            StepFigures { relation_loss: scalar(relation.clone()), ..StepFigures::default() };
        let relation_weight = self.distillation.map_or(1.0, |d| d.relation_weight);
        let mut loss = relation.mul_scalar(relation_weight);
        figures.loss = relation_weight * figures.relation_loss;
        if let (Some(Distillation { loss: distillation, weight, .. }), Some(teacher_logits)) =
            (self.distillation, teacher_logits)
        {
            let distillation = distillation.forward(logits, teacher_logits);
            figures.distillation_loss = scalar(distillation.clone());
            figures.loss += weight * figures.distillation_loss;
            loss = loss + distillation.mul_scalar(weight);
        }
        (loss, figures)
    }
}

/// A model in training.
#[derive(Module, Debug)]
pub struct Trainee<B: Backend> {
    /// The model.
    pub model: DocReModel<B>,
    #[module(skip)]
    objective: Objective,
}

impl<B: Backend> Trainee<B> {
    /// Trains `model` towards `objective`.
    pub fn new(model: DocReModel<B>, objective: Objective) -> Self {
        Self { model, objective }
    }
}

impl<B: DocReBackend> TrainStep for Trainee<Autodiff<B>> {
    type Input = TrainBatch<Autodiff<B>>;
    type Output = StepFigures;

    fn step(&self, batch: TrainBatch<Autodiff<B>>) -> TrainOutput<StepFigures> {
        dropout::seed(batch.dropout_seed);
        let model = with_precision(self.model.clone(), self.objective.precision);
        let logits = model.forward(&batch.inputs).logits;
        let (loss, figures) = self.objective.loss(logits, batch.labels, batch.teacher_logits);
        let grads = loss.mul_scalar(batch.weight).backward();
        TrainOutput::new(self, grads, figures)
    }
}

impl<B: DocReBackend> InferenceStep for Trainee<B> {
    type Input = DevRequest<B>;
    type Output = DevFigures;

    fn step(&self, request: DevRequest<B>) -> DevFigures {
        let model = with_precision(self.model.clone(), self.objective.precision);
        let inference = Inference::new(model, self.objective.model.clone(), request.device);
        let scores = request.dev.score(&inference, request.go_on).unwrap_or_else(|error| {
            request.failure.set(format!("dev evaluation: {error}"));
            None
        });
        DevFigures(scores)
    }
}

/// A scalar tensor's value.
fn scalar<B: Backend>(tensor: Tensor<B, 1>) -> f64 {
    tensor.into_scalar().elem()
}

/// The types of a training run on `B`.
pub type Components<B> = LearningComponentsMarker<
    Autodiff<B>,
    WarmupLinear,
    Trainee<Autodiff<B>>,
    GroupedAdamW<Trainee<Autodiff<B>>, Autodiff<B>>,
>;
