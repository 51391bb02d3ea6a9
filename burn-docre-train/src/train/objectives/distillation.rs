//! The relation loss on distant documents, with a teacher's logits as a second target.

use std::{fmt, path::Path, sync::Arc};

use anyhow::{Context, Result};
use burn::{
    backend::Autodiff,
    data::dataloader::Progress,
    module::ModuleVisitor,
    tensor::{Tensor, TensorData, backend::Backend},
};
use burn_docre::{
    DocReBackend, io::soft_labels::SoftLabelStore, loss::Distillation, model::DocReModel,
    text::encoded::EncodedDocument,
};

use super::relation::{RelationBatch, RelationObjective};
use crate::train::objective::{DevMetric, Loss, Objective, Step};

/// Minimises `relation_weight · relation loss + weight · distillation loss`.
#[derive(Clone)]
pub struct DistillationObjective {
    /// The relation loss, the model and the dev documents.
    pub relation: RelationObjective,
    /// The distillation loss and the weights of both losses.
    pub distillation: Distillation,
    /// The teacher's logits of every training document.
    pub teacher: Arc<SoftLabelStore>,
}

impl fmt::Debug for DistillationObjective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DistillationObjective")
            .field("relation", &self.relation)
            .field("distillation", &self.distillation)
            .finish_non_exhaustive()
    }
}

/// Labelled documents with the teacher's logits.
pub struct DistillationBatch<B: Backend> {
    /// The documents and their labels.
    pub relation: RelationBatch<B>,
    /// The teacher's logits `[p, r]`.
    pub teacher_logits: Tensor<B, 2>,
}

impl DistillationObjective {
    const LOSS: &str = "Distillation Loss";
}

impl<B: DocReBackend> Objective<B> for DistillationObjective {
    type Model = DocReModel<Autodiff<B>>;
    type InnerModel = DocReModel<B>;
    type Example = Arc<EncodedDocument>;
    type Batch = DistillationBatch<Autodiff<B>>;

    fn batch(
        &self,
        examples: &[&Arc<EncodedDocument>],
        device: &B::Device,
    ) -> Result<DistillationBatch<Autodiff<B>>> {
        let documents: Vec<&EncodedDocument> =
            examples.iter().map(|document| &***document).collect();
        let relation = self.relation.labelled::<B>(&documents, device);
        let mut logits = Vec::new();
        for document in documents {
            let of_document = self.teacher.get(document.key(), document.n_pairs());
            logits.extend(of_document.with_context(|| format!("document {:?}", document.title))?);
        }
        let n_classes = self.relation.model().n_classes;
        let shape = [logits.len() / n_classes, n_classes];
        let teacher_logits = Tensor::from_data(TensorData::new(logits, shape), device);
        Ok(DistillationBatch { relation, teacher_logits })
    }

    fn loss_parts(&self) -> Vec<&'static str> {
        vec![RelationObjective::LOSS, Self::LOSS]
    }

    fn loss(
        &self,
        model: &DocReModel<Autodiff<B>>,
        batch: DistillationBatch<Autodiff<B>>,
        _: Step,
    ) -> Loss<Autodiff<B>> {
        let RelationBatch { inputs, labels } = batch.relation;
        let logits = self.relation.logits::<B>(model, &inputs);
        let relation = self.relation.loss.forward(logits.clone(), labels);
        let relation =
            Loss::part(RelationObjective::LOSS, relation, self.distillation.relation_weight);
        let distillation = self.distillation.loss.forward(logits, batch.teacher_logits);
        relation.plus(Loss::part(Self::LOSS, distillation, self.distillation.weight))
    }

    fn visit_encoders<V>(&self, model: &DocReModel<Autodiff<B>>, visitor: &mut V)
    where
        V: ModuleVisitor<Autodiff<B>>,
    {
        Objective::<B>::visit_encoders(&self.relation, model, visitor);
    }

    fn dev_metrics(&self) -> Vec<DevMetric> {
        Objective::<B>::dev_metrics(&self.relation)
    }

    fn evaluate(
        &self,
        model: &DocReModel<B>,
        device: &B::Device,
        go_on: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<Option<Vec<f64>>> {
        self.relation.evaluate(model, device, go_on)
    }

    fn save(&self, model: &DocReModel<B>, directory: &Path) -> Result<()> {
        Objective::<B>::save(&self.relation, model, directory)
    }
}
