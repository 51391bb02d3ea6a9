//! The loss of pair logits on labelled documents.

use std::{fmt, path::Path, sync::Arc};

use anyhow::{Context, Result};
use burn::{
    backend::Autodiff, data::dataloader::Progress, module::ModuleVisitor, tensor::backend::Backend,
};
use burn_docre::{
    DocReBackend, Error,
    batch::DocReBatch,
    eval::Scores,
    inference::Inference,
    io::model_directory::ModelSpec,
    model::{DocReModel, ModelConfig},
    nn::{precision::Precision, rounding::with_precision},
    text::encoded::EncodedDocument,
};

use super::pair_loss::{PairLoss, PairTargets};
use crate::train::{
    dev_set::DevSet,
    objective::{DevMetric, Loss, Objective, Step},
};

/// Minimises the [`PairLoss`] of a [`DocReModel`].
#[derive(Clone)]
pub struct RelationObjective {
    /// The loss of pair logits.
    pub loss: PairLoss,
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

/// Documents with their targets.
pub struct RelationBatch<B: Backend> {
    /// The input of the model.
    pub inputs: DocReBatch<B>,
    /// The targets of the logits.
    pub targets: PairTargets<B>,
}

impl RelationObjective {
    /// The configuration of the model.
    pub fn model(&self) -> &ModelConfig {
        &self.spec.config
    }

    /// The scores of the dev metrics of the model's system.
    fn scores(&self) -> &'static [(&'static str, Score)] {
        let n_without_evidence = SCORES.len() - 1;
        let n =
            if self.model().system.names_evidence() { SCORES.len() } else { n_without_evidence };
        &SCORES[..n]
    }
}

/// The cause of logits that are not numbers in the dev evaluation: the weights of a loaded model
/// are finite.
const DIVERGED: &str =
    "dev evaluation: the training diverges; lower `encoder_lr` and `relation_lr`";

/// One of the official scores; `None` if the scorer does not compute it.
type Score = fn(&Scores) -> Option<f64>;

/// The scores of the dev metrics by name. The last one is for systems that name evidence.
static SCORES: [(&str, Score); 5] = [
    ("F1", |scores| Some(scores.f1)),
    ("Ign F1", |scores| scores.ign_f1),
    ("Precision", |scores| Some(scores.precision)),
    ("Recall", |scores| Some(scores.recall)),
    ("Evidence F1", |scores| Some(scores.evidence_f1)),
];

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
        let inputs = DocReBatch::new(&documents, &self.model().encoder, device);
        let targets = self.loss.targets(&documents, &inputs, self.model().n_classes, device)?;
        Ok(RelationBatch { inputs, targets })
    }

    fn loss_parts(&self) -> Vec<&'static str> {
        self.loss.parts()
    }

    fn loss(
        &self,
        model: &DocReModel<Autodiff<B>>,
        batch: RelationBatch<Autodiff<B>>,
        _: Step,
    ) -> Loss<Autodiff<B>> {
        let model = with_precision(model.clone(), self.precision);
        let logits = model.forward(&batch.inputs).logits;
        self.loss.forward(logits, batch.targets)
    }

    fn visit_encoders<V>(&self, model: &DocReModel<Autodiff<B>>, visitor: &mut V)
    where
        V: ModuleVisitor<Autodiff<B>>,
    {
        model.visit_encoders(visitor);
    }

    fn dev_metrics(&self) -> Vec<DevMetric> {
        self.scores().iter().map(|(name, _)| DevMetric::percent(name)).collect()
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
        let Some(scores) = scores else { return Ok(None) };
        let value = |(name, score): &(_, Score)| {
            score(&scores).with_context(|| format!("the scorer has no {name}"))
        };
        self.scores().iter().map(value).collect::<Result<_>>().map(Some)
    }

    fn save(&self, model: &DocReModel<B>, directory: &Path) -> Result<()> {
        Ok(self.spec.save(directory, model)?)
    }
}
