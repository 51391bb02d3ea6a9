//! The loss of pair logits: the relation loss and, in distillation, the distance to a teacher's
//! logits.

use std::sync::Arc;

use anyhow::{Context, Result};
use burn::tensor::{Tensor, TensorData, backend::Backend};
use burn_docre::{
    batch::DocReBatch,
    io::soft_labels::SoftLabelStore,
    loss::{Distillation, RelationLoss},
    text::encoded::EncodedDocument,
};

use crate::train::objective::Loss;

/// The relation loss, or `relation_weight · relation loss + weight · distillation loss`.
#[derive(Clone, Debug)]
pub struct PairLoss {
    /// The loss on the labels.
    pub relation: RelationLoss,
    /// The loss on the teacher's logits; `None` without distillation.
    pub soft_labels: Option<SoftLabels>,
}

/// A teacher's logits, and the distillation loss on them.
#[derive(Clone, Debug)]
pub struct SoftLabels {
    /// The distillation loss and the weights of both losses.
    pub distillation: Distillation,
    /// The teacher's logits of every training document.
    pub store: Arc<SoftLabelStore>,
}

/// The targets of the logits of a batch.
#[derive(Clone, Debug)]
pub struct PairTargets<B: Backend> {
    /// The labels `[p, r]`.
    pub labels: Tensor<B, 2>,
    /// The teacher's logits `[p, r]`; `None` without distillation.
    pub teacher_logits: Option<Tensor<B, 2>>,
}

impl PairLoss {
    const RELATION: &str = "Relation Loss";
    const DISTILLATION: &str = "Distillation Loss";

    /// The relation loss alone.
    pub fn relation(relation: RelationLoss) -> Self {
        Self { relation, soft_labels: None }
    }

    /// The names of the parts of [`forward`](Self::forward).
    pub fn parts(&self) -> Vec<&'static str> {
        match self.soft_labels {
            None => vec![Self::RELATION],
            Some(_) => vec![Self::RELATION, Self::DISTILLATION],
        }
    }

    /// The targets of `documents`, from which `inputs` was built.
    ///
    /// # Errors
    /// If the teacher's logits of a document are missing or damaged.
    pub fn targets<B: Backend>(
        &self,
        documents: &[&EncodedDocument],
        inputs: &DocReBatch<B>,
        n_classes: usize,
        device: &B::Device,
    ) -> Result<PairTargets<B>> {
        let teacher_logits = match &self.soft_labels {
            None => None,
            Some(SoftLabels { store, .. }) => {
                Some(teacher_logits(store, documents, n_classes, device)?)
            }
        };
        Ok(PairTargets { labels: inputs.labels(n_classes), teacher_logits })
    }

    /// Computes the relation loss, and with a teacher's logits the weighted sum with the
    /// distillation loss.
    ///
    /// # Shapes
    /// - `logits`: `[p, r]`
    pub fn forward<B: Backend>(&self, logits: Tensor<B, 2>, targets: PairTargets<B>) -> Loss<B> {
        let PairTargets { labels, teacher_logits } = targets;
        let relation = self.relation.forward(logits.clone(), labels);
        match (&self.soft_labels, teacher_logits) {
            (Some(SoftLabels { distillation, .. }), Some(teacher_logits)) => {
                let relation = Loss::part(Self::RELATION, relation, distillation.relation_weight);
                let distance = distillation.loss.forward(logits, teacher_logits);
                relation.plus(Loss::part(Self::DISTILLATION, distance, distillation.weight))
            }
            _ => Loss::part(Self::RELATION, relation, 1.0),
        }
    }
}

/// The teacher's logits of `documents`, `[p, r]`.
fn teacher_logits<B: Backend>(
    store: &SoftLabelStore,
    documents: &[&EncodedDocument],
    n_classes: usize,
    device: &B::Device,
) -> Result<Tensor<B, 2>> {
    let mut logits = Vec::new();
    for document in documents {
        let of_document = store.get(document.key(), document.n_pairs());
        logits.extend(of_document.with_context(|| format!("document {:?}", document.title))?);
    }
    let shape = [logits.len() / n_classes, n_classes];
    Ok(Tensor::from_data(TensorData::new(logits, shape), device))
}
