//! The objective of a stage: its model, batches, loss and dev evaluation.
//!
//! The training loop, optimizer, checkpoints, metrics and terminal interface are generic over it.
//! [`objectives`](super::objectives) has those of the built-in plans.

use std::{fmt::Debug, path::Path};

use anyhow::Result;
use burn::{
    backend::Autodiff,
    data::dataloader::Progress,
    module::{AutodiffModule, Module, ModuleDisplay, ModuleVisitor},
    tensor::{ElementConversion, Tensor, backend::Backend},
};
use burn_docre::DocReBackend;

/// The model, batches, loss and dev evaluation of a stage.
///
/// An objective can hold data, such as documents or soft labels. Clones should share the data.
pub trait Objective<B: DocReBackend>: Clone + Debug + Send + Sync + 'static {
    /// The trained module. It can hold several models that are updated in turn.
    type Model: AutodiffModule<Autodiff<B>, InnerModule = Self::InnerModel>
        + ModuleDisplay
        + 'static;
    /// The same module without autodiff.
    type InnerModel: Module<B> + ModuleDisplay + 'static;
    /// An item of the training set, such as a document.
    type Example: Send + Sync + 'static;
    /// The tensors of one forward and backward pass.
    type Batch: Send + 'static;

    /// Builds the batch of `examples` on `device`.
    ///
    /// # Errors
    /// If data that belongs to the examples cannot be read.
    fn batch(&self, examples: &[&Self::Example], device: &B::Device) -> Result<Self::Batch>;

    /// The names of all loss parts, such as `Relation Loss`.
    fn loss_parts(&self) -> Vec<&'static str>;

    /// The names of all measures that steps report beside the loss; higher is better. By default
    /// there are none.
    fn measures(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// The name of the phase of optimizer step `step`, such as `E step`. By default a training has
    /// no phases.
    fn phase(&self, _step: Step) -> Option<&'static str> {
        None
    }

    /// The loss of a batch in optimizer step `step`.
    ///
    /// It has some or all of [`loss_parts`](Self::loss_parts) and [`measures`](Self::measures).
    fn loss(&self, model: &Self::Model, batch: Self::Batch, step: Step) -> Loss<Autodiff<B>>;

    /// Visits the modules that optimizer step `step` updates; by default all of them.
    ///
    /// The step leaves other parameters and their AdamW moments unchanged, even if the loss depends
    /// on them.
    fn visit_updated<V>(&self, model: &Self::Model, _step: Step, visitor: &mut V)
    where
        V: ModuleVisitor<Autodiff<B>>,
    {
        model.visit(visitor);
    }

    /// Visits the encoders of the model. Their parameters use `encoder_lr` and
    /// `encoder_weight_decay`.
    fn visit_encoders<V>(&self, model: &Self::Model, visitor: &mut V)
    where
        V: ModuleVisitor<Autodiff<B>>;

    /// The metrics of a dev evaluation. The best epoch has the highest value of the first one.
    fn dev_metrics(&self) -> Vec<DevMetric>;

    /// The dev metrics of `model`, in the order of [`dev_metrics`](Self::dev_metrics).
    ///
    /// Reports the number of evaluated documents to `go_on`; returns `None` as soon as `go_on`
    /// returns false.
    ///
    /// # Errors
    /// If a logit is NaN.
    fn evaluate(
        &self,
        model: &Self::InnerModel,
        device: &B::Device,
        go_on: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<Option<Vec<f64>>>;

    /// Writes `model` to `directory`.
    ///
    /// # Errors
    /// If a file cannot be written.
    fn save(&self, model: &Self::InnerModel, directory: &Path) -> Result<()>;
}

/// The position of an optimizer step in its stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The number of the step in the stage, from 1.
    pub number: usize,
    /// The number of its epoch, from 1.
    pub epoch: usize,
}

/// A metric of the dev evaluation; higher is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DevMetric {
    /// The name, such as `Ign F1`.
    pub name: &'static str,
    /// The factor of the displayed value; 100 for a percentage.
    pub scale: f64,
}

impl DevMetric {
    /// A fraction that is displayed as a percentage.
    pub const fn percent(name: &'static str) -> Self {
        Self { name, scale: 100.0 }
    }
}

/// The loss of a batch: a weighted sum of named parts. Measures stand beside it.
pub struct Loss<B: Backend> {
    /// The weighted sum, `[1]`.
    pub(super) tensor: Tensor<B, 1>,
    /// The value of `tensor`.
    pub(super) value: f64,
    /// The unweighted parts and the measures, by name.
    pub(super) values: Vec<(&'static str, f64)>,
}

impl<B: Backend> Loss<B> {
    /// A loss of one part, `weight · part`; `part` has the shape `[1]`.
    pub fn part(name: &'static str, part: Tensor<B, 1>, weight: f64) -> Self {
        let value: f64 = part.clone().into_scalar().elem();
        Self { tensor: part.mul_scalar(weight), value: weight * value, values: vec![(name, value)] }
    }

    /// The sum of both losses.
    pub fn plus(mut self, other: Self) -> Self {
        self.values.extend(other.values);
        Self {
            tensor: self.tensor + other.tensor,
            value: self.value + other.value,
            values: self.values,
        }
    }

    /// Adds a measure of the batch, which does not change the loss.
    pub fn with_measure(mut self, name: &'static str, value: f64) -> Self {
        self.values.push((name, value));
        self
    }
}
