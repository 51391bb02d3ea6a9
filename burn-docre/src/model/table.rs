//! The table of systems.
//!
//! To add a system, write its file and add its variant to [`SystemConfig`] and to
//! [`RelationModule`].

use burn::{
    module::{Module, ModuleVisitor},
    tensor::backend::Backend,
};
use serde::{Deserialize, Serialize};

use super::{
    Atlop, AtlopConfig, DocReOutput, KdDocre, KdDocreConfig, Kmgre, KmgreConfig, Observer,
    system::System,
};
use crate::{
    DocReBackend, Result,
    batch::DocReBatch,
    encoder::{Encoder, EncoderConfig, EncoderOutput},
    mention_pair::KeySelection,
};

/// The choice of a system with its sizes: `{ kind = "atlop", emb_size = 768, group_size = 64 }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum SystemConfig {
    /// Pair vectors, a pair mixer, a linear classifier.
    KdDocre(KdDocreConfig),
    /// A bilinear classifier on the two sides of each pair.
    Atlop(AtlopConfig),
    /// A linear classifier of mention pairs, fused over the key mention pairs of each pair.
    Kmgre(KmgreConfig),
}

/// The relation module of a system: the whole model but its first encoder.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a model has one system, and is seldom moved")]
pub enum RelationModule<B: Backend> {
    /// See [`KdDocre`].
    KdDocre(KdDocre<B>),
    /// See [`Atlop`].
    Atlop(Atlop<B>),
    /// See [`Kmgre`].
    Kmgre(Kmgre<B>),
}

impl SystemConfig {
    /// The configuration of the system as a trait object.
    pub(super) fn system(&self) -> &dyn System {
        match self {
            Self::KdDocre(config) => config,
            Self::Atlop(config) => config,
            Self::Kmgre(config) => config,
        }
    }

    /// The name in configurations, as `kind = "atlop"`.
    pub fn kind(&self) -> &'static str {
        self.system().kind()
    }

    /// Checks the system's own sizes; [`ModelConfig::validate`](super::ModelConfig::validate) also
    /// checks that they fit the encoder.
    ///
    /// # Errors
    /// If a value is out of its range; the error names the key.
    pub fn validate(&self) -> Result<()> {
        self.system().validate()
    }

    /// Reports whether the output of the model has the [`Evidence`](super::Evidence) of its logits.
    pub fn names_evidence(&self) -> bool {
        self.system().names_evidence()
    }

    /// The rule by which the system's key classifier selects the key mention pairs; `None` without
    /// a key classifier. EM trains a system that has one.
    pub fn key_selection(&self) -> Option<KeySelection> {
        self.system().key_selection()
    }

    /// Initialises the relation module for an encoder and `n_classes` classes, the threshold class
    /// included.
    ///
    /// # Panics
    /// If the configuration is not valid for this encoder.
    pub fn init<B: Backend>(
        &self,
        encoder: &EncoderConfig,
        n_classes: usize,
        device: &B::Device,
    ) -> RelationModule<B> {
        match self {
            Self::KdDocre(config) => {
                RelationModule::KdDocre(config.init(encoder, n_classes, device))
            }
            Self::Atlop(config) => RelationModule::Atlop(config.init(encoder, n_classes, device)),
            Self::Kmgre(config) => RelationModule::Kmgre(config.init(encoder, n_classes, device)),
        }
    }
}

impl<B: Backend> RelationModule<B> {
    /// Visits the encoders besides the model's first.
    pub(super) fn visit_encoders<V: ModuleVisitor<B>>(&self, visitor: &mut V) {
        match self {
            Self::KdDocre(_) | Self::Atlop(_) => {}
            Self::Kmgre(module) => module.visit_encoders(visitor),
        }
    }

    /// Replaces each encoder besides the model's first by `change(encoder)`.
    ///
    /// # Errors
    /// Returns the first error of `change`.
    pub(super) fn try_map_encoders<E>(
        self,
        change: &mut impl FnMut(Encoder<B>) -> Result<Encoder<B>, E>,
    ) -> Result<Self, E> {
        match self {
            Self::KdDocre(_) | Self::Atlop(_) => Ok(self),
            Self::Kmgre(module) => module.try_map_encoders(change).map(Self::Kmgre),
        }
    }
}

impl<B: DocReBackend> RelationModule<B> {
    /// Computes the output of the model from the encoder's output, and passes intermediate tensors
    /// to `observer`.
    ///
    /// # Panics
    /// If the batch has no pair.
    pub fn forward(
        &self,
        encoded: EncoderOutput<B>,
        batch: &DocReBatch<B>,
        observer: &mut impl Observer<B>,
    ) -> DocReOutput<B> {
        match self {
            Self::KdDocre(module) => module.forward(encoded, batch, observer),
            Self::Atlop(module) => module.forward(encoded, batch, observer),
            Self::Kmgre(module) => module.forward(encoded, batch, observer),
        }
    }
}
