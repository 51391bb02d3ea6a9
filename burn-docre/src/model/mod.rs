//! Models: an encoder and a head, wired.

mod atlop;
mod flops;
mod kd_docre;

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Tensor, backend::Backend},
};
use serde::{Deserialize, Serialize};

pub use atlop::Atlop;
pub use kd_docre::KdDocre;

use crate::{
    batch::DocReBatch,
    encoder::{Encoder, EncoderConfig, pretrained::hugging_face_name},
    entity::DocumentEncoding,
    ops::DocReBackend,
    pair::PairAttentionKind,
};

/// The models that can be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelKind {
    /// Pair vectors, attention over the pair grid, classifier.
    KdDocre,
    /// The bilinear form straight to the classes.
    Atlop,
}

/// The sizes of what stands on the encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadConfig {
    /// Width of each side of a pair.
    pub emb_size: usize,
    /// Width of a group of the bilinear form; divides `emb_size`.
    pub group_size: usize,
    /// Attention over the pair grid; ATLOP has none.
    pub pair_attention: PairAttentionKind,
    /// Layers of the axial stack.
    pub axial_layers: usize,
    /// Attention heads of the axial stack; divides the encoder's width.
    pub axial_heads: usize,
}

/// All that is needed to build a model and to read its output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Which model.
    pub kind: ModelKind,
    /// The encoder.
    pub encoder: EncoderConfig,
    /// The head.
    pub head: HeadConfig,
    /// Classes, the threshold class included.
    pub n_classes: usize,
    /// At most so many relations are predicted for a pair.
    pub max_relations_per_pair: usize,
}

/// A document-level relation extraction model.
#[derive(Module, Debug)]
pub struct DocReModel<B: Backend> {
    encoder: Encoder<B>,
    head: Head<B>,
}

/// What stands on the encoder.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a model has one head, and is seldom moved")]
pub enum Head<B: Backend> {
    /// See [`KdDocre`].
    KdDocre(KdDocre<B>),
    /// See [`Atlop`].
    Atlop(Atlop<B>),
}

/// What a model returns.
pub struct DocReOutput<B: Backend> {
    /// One row for each classified pair, documents one after the other, `[p, r]`.
    pub logits: Tensor<B, 2>,
}

/// What a head computes on its way, by pair row, for parity checks and inspection.
pub struct PairIntermediates<B: Backend> {
    /// Localized context, `[pairs, d]`.
    pub context: Tensor<B, 2>,
    /// The head's side, `[pairs, emb]`.
    pub head: Tensor<B, 2>,
    /// The tail's side, `[pairs, emb]`.
    pub tail: Tensor<B, 2>,
    /// The pair vector before attention over the grid, `[pairs, d]`; ATLOP has none.
    pub pair: Option<Tensor<B, 2>>,
    /// The pair vector after it, `[pairs, d]`; ATLOP has none.
    pub pair_out: Option<Tensor<B, 2>>,
}

impl ModelConfig {
    /// Checks that the sizes fit together.
    ///
    /// # Errors
    /// A sentence that names the offending field.
    pub fn validate(&self) -> Result<(), String> {
        self.encoder.validate()?;
        let HeadConfig { emb_size, group_size, axial_heads, axial_layers, .. } = self.head;
        if group_size == 0 || emb_size == 0 || !emb_size.is_multiple_of(group_size) {
            return Err(format!(
                "model: group_size {group_size} does not divide emb_size {emb_size}"
            ));
        }
        let d = self.encoder.hidden_size;
        if self.head.pair_attention == PairAttentionKind::AxialStack {
            if axial_layers == 0 {
                return Err("model: axial_layers must be at least 1".into());
            }
            if axial_heads == 0 || !d.is_multiple_of(axial_heads) {
                return Err(format!(
                    "model: axial_heads {axial_heads} does not divide the encoder's width {d}"
                ));
            }
        }
        if self.kind == ModelKind::Atlop && self.head.pair_attention != PairAttentionKind::None {
            return Err(
                "model: atlop has no attention over pairs; set pair_attention = \"none\"".into()
            );
        }
        if self.n_classes < 2 || self.max_relations_per_pair == 0 {
            return Err("model: needs a relation besides the threshold class, and \
                        max_relations_per_pair of at least 1"
                .into());
        }
        Ok(())
    }

    /// A freshly initialised model; all its weights are drawn at once from the backend's generator.
    ///
    /// # Panics
    /// If the configuration is not [valid](Self::validate).
    pub fn init<B: Backend>(&self, device: &B::Device) -> DocReModel<B> {
        if let Err(reason) = self.validate() {
            panic!("{reason}");
        }
        let head = match self.kind {
            ModelKind::KdDocre => Head::KdDocre(KdDocre::new(self, device)),
            ModelKind::Atlop => Head::Atlop(Atlop::new(self, device)),
        };
        let model = DocReModel { encoder: self.encoder.init(device), head };
        // Burn draws a parameter when it is first read, and each clone for itself.
        model.visit(&mut Draw);
        model
    }
}

/// Reads every parameter, so that it is drawn.
struct Draw;

impl<B: Backend> ModuleVisitor<B> for Draw {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let _drawn = param.val();
    }
}

impl<B: Backend> DocReModel<B> {
    /// Replaces the encoder by `change(encoder)`.
    ///
    /// # Errors
    /// What `change` returns.
    pub fn try_map_encoder<E>(
        self,
        change: impl FnOnce(Encoder<B>) -> Result<Encoder<B>, E>,
    ) -> Result<Self, E> {
        Ok(Self { encoder: change(self.encoder)?, head: self.head })
    }
}

impl<B: DocReBackend> DocReModel<B> {
    /// Logits for every pair of different entities.
    ///
    /// # Panics
    /// If the batch has no pair.
    pub fn forward(&self, batch: &DocReBatch<B>) -> DocReOutput<B> {
        let encoding = self.encode(batch);
        let logits = match &self.head {
            Head::KdDocre(head) => head.forward(&encoding, &batch.pairs),
            Head::Atlop(head) => head.forward(&encoding, &batch.pairs),
        };
        DocReOutput { logits }
    }

    /// Documents encoded, entities pooled.
    pub fn encode(&self, batch: &DocReBatch<B>) -> DocumentEncoding<B> {
        DocumentEncoding::new(self.encoder.forward(&batch.tokens), batch)
    }

    /// What the head computes on its way to the logits.
    pub fn intermediates(&self, batch: &DocReBatch<B>) -> PairIntermediates<B> {
        let encoding = self.encode(batch);
        match &self.head {
            Head::KdDocre(head) => head.intermediates(&encoding, &batch.pairs),
            Head::Atlop(head) => head.intermediates(&encoding, &batch.pairs),
        }
    }
}

/// The name in `model.safetensors` of the parameter at `path` of a [`DocReModel`]: the encoder under Hugging Face's
/// names behind `encoder.`, the head under the names of the papers' modules.
pub fn weight_name(path: &str) -> String {
    if let Some(path) = path.strip_prefix("encoder.") {
        return format!("encoder.{}", hugging_face_name(path));
    }
    let path = path.strip_prefix("head.").unwrap_or(path);
    path.replace("extractor.head.", "head_extractor.")
        .replace("extractor.tail.", "tail_extractor.")
        .replace("projection.linear.", "projection.")
        .replace("bilinear.linear.", "bilinear.")
}
