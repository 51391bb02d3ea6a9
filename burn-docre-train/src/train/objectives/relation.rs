//! The relation loss on labelled documents.

use std::{fmt, path::Path, sync::Arc};

use anyhow::Result;
use burn::{
    backend::Autodiff,
    data::dataloader::Progress,
    module::{Module, ModuleVisitor},
    tensor::{Tensor, backend::Backend},
};
use burn_docre::{
    DocReBackend, Error,
    batch::DocReBatch,
    inference::Inference,
    io::model_directory::ModelSpec,
    loss::RelationLoss,
    model::{DocReModel, ModelConfig},
    nn::{precision::Precision, rounding::with_precision},
    text::encoded::EncodedDocument,
};

use crate::train::{
    dev_set::DevSet,
    objective::{DevMetric, Loss, Objective, Step},
};

/// Minimises the relation loss of a [`DocReModel`].
#[derive(Clone)]
pub struct RelationObjective {
    /// The relation loss.
    pub loss: RelationLoss,
    /// The precision of the large matrix products.
    pub precision: Precision,
    /// The model directory without its weights: configuration, tokenizer and relations.
    pub spec: Arc<ModelSpec>,
    /// The dev documents.
    pub dev: Arc<DevSet>,
}

impl fmt::Debug for RelationObjective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelationObjective").field("loss", &self.loss).finish_non_exhaustive()
    }
}

/// Labelled documents.
pub struct RelationBatch<B: Backend> {
    /// The input of the model.
    pub inputs: DocReBatch<B>,
    /// The labels `[p, r]`.
    pub labels: Tensor<B, 2>,
}

impl RelationObjective {
    /// The name of the loss in metrics.
    pub(super) const LOSS: &str = "Relation Loss";

    /// The configuration of the model.
    pub fn model(&self) -> &ModelConfig {
        &self.spec.config
    }

    /// Builds the batch of labelled `documents` on `device`.
    pub fn labelled<B: DocReBackend>(
        &self,
        documents: &[&EncodedDocument],
        device: &B::Device,
    ) -> RelationBatch<Autodiff<B>> {
        let inputs = DocReBatch::new(documents, &self.model().encoder, device);
        let labels = inputs.labels(self.model().n_classes);
        RelationBatch { inputs, labels }
    }

    /// The logits `[p, r]` in the objective's precision.
    pub(super) fn logits<B: DocReBackend>(
        &self,
        model: &DocReModel<Autodiff<B>>,
        inputs: &DocReBatch<Autodiff<B>>,
    ) -> Tensor<Autodiff<B>, 2> {
        with_precision(model.clone(), self.precision).forward(inputs).logits
    }
}

/// The cause of logits that are not numbers in the dev evaluation: the weights of a loaded model are
/// finite.
const DIVERGED: &str =
    "dev evaluation: the training diverges; lower `encoder_lr` and `relation_lr`";

impl<B: DocReBackend> Objective<B> for RelationObjective {
    type Model = DocReModel<Autodiff<B>>;
    type InnerModel = DocReModel<B>;
    type Example = Arc<EncodedDocument>;
    type Batch = RelationBatch<Autodiff<B>>;

    fn batch(
        &self,
        examples: &[&Arc<EncodedDocument>],
        device: &B::Device,
    ) -> Result<RelationBatch<Autodiff<B>>> {
        let documents: Vec<&EncodedDocument> =
            examples.iter().map(|document| &***document).collect();
        Ok(self.labelled::<B>(&documents, device))
    }

    fn loss_parts(&self) -> Vec<&'static str> {
        vec![Self::LOSS]
    }

    fn loss(
        &self,
        model: &DocReModel<Autodiff<B>>,
        batch: RelationBatch<Autodiff<B>>,
        _: Step,
    ) -> Loss<Autodiff<B>> {
        let logits = self.logits::<B>(model, &batch.inputs);
        Loss::part(Self::LOSS, self.loss.forward(logits, batch.labels), 1.0)
    }

    fn visit_encoders<V>(&self, model: &DocReModel<Autodiff<B>>, visitor: &mut V)
    where
        V: ModuleVisitor<Autodiff<B>>,
    {
        model.encoder().visit(visitor);
    }

    fn dev_metrics(&self) -> Vec<DevMetric> {
        ["F1", "Ign F1", "Precision", "Recall"].map(DevMetric::percent).to_vec()
    }

    fn evaluate(
        &self,
        model: &DocReModel<B>,
        device: &B::Device,
        go_on: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<Option<Vec<f64>>> {
        let model = with_precision(model.clone(), self.precision);
        let inference = Inference::new(model, self.spec.config.clone(), device.clone());
        let scores = self.dev.score(&inference, go_on).map_err(|error| {
            let is_nan = matches!(error, Error::NotANumber { .. });
            anyhow::Error::from(error).context(if is_nan { DIVERGED } else { "dev evaluation" })
        })?;
        Ok(scores.map(|scores| vec![scores.f1, scores.ign_f1, scores.precision, scores.recall]))
    }

    fn save(&self, model: &DocReModel<B>, directory: &Path) -> Result<()> {
        Ok(self.spec.save(directory, model)?)
    }
}
