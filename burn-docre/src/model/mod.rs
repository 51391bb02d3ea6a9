//! Models: an encoder and a system's relation module on it.
//!
//! A system is a paper's way from encoded documents to logits. Its file holds its configuration,
//! initialisation, forward pass, FLOP count and weight names; [`SystemConfig`] and
//! [`RelationModule`] are the table of all systems.

mod atlop;
mod config;
mod kd_docre;
mod observer;
mod system;

use std::collections::HashMap;

use burn::{
    module::{Module, ModuleVisitor, Param, ParamId},
    tensor::{Tensor, backend::Backend},
};

pub use atlop::{Atlop, AtlopConfig};
pub use config::{DecodingConfig, DocumentSize, ModelConfig};
pub use kd_docre::{KdDocre, KdDocreConfig};
pub use observer::{Intermediates, Observer};
pub use system::{RelationModule, SystemConfig};

use crate::{DocReBackend, batch::DocReBatch, encoder::Encoder};

/// A document-level relation extraction model.
#[derive(Module, Debug)]
pub struct DocReModel<B: Backend> {
    encoder: Encoder<B>,
    relation: RelationModule<B>,
}

/// The output of a model.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DocReOutput<B: Backend> {
    /// The logits of each classified pair, documents one after the other, `[p, r]`.
    pub logits: Tensor<B, 2>,
}

/// The part of a model that a parameter belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParameterGroup {
    /// The text encoder.
    Encoder,
    /// The relation module on it.
    Relation,
}

impl<B: Backend> DocReModel<B> {
    /// Replaces the encoder by `change(encoder)`.
    ///
    /// # Errors
    /// Returns the error of `change`.
    pub fn try_map_encoder<E>(
        self,
        change: impl FnOnce(Encoder<B>) -> Result<Encoder<B>, E>,
    ) -> Result<Self, E> {
        Ok(Self { encoder: change(self.encoder)?, relation: self.relation })
    }

    /// The text encoder.
    pub fn encoder(&self) -> &Encoder<B> {
        &self.encoder
    }

    /// The group of every float parameter.
    ///
    /// The ids of parameters change when a record is loaded: ask again afterwards.
    pub fn parameter_groups(&self) -> HashMap<ParamId, ParameterGroup> {
        let mut groups = Groups { group: ParameterGroup::Encoder, found: HashMap::new() };
        self.encoder.visit(&mut groups);
        groups.group = ParameterGroup::Relation;
        self.relation.visit(&mut groups);
        groups.found
    }
}

/// Collects the parameters of one group after the other.
struct Groups {
    group: ParameterGroup,
    found: HashMap<ParamId, ParameterGroup>,
}

impl<B: Backend> ModuleVisitor<B> for Groups {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.found.insert(param.id, self.group);
    }
}

impl<B: DocReBackend> DocReModel<B> {
    /// Computes the logits of every pair of different entities.
    ///
    /// # Panics
    /// If the batch has no pair.
    pub fn forward(&self, batch: &DocReBatch<B>) -> DocReOutput<B> {
        self.forward_observed(batch, &mut ())
    }

    /// Computes [`forward`](Self::forward) and shows the intermediate tensors to `observer`.
    ///
    /// # Panics
    /// If the batch has no pair.
    pub fn forward_observed(
        &self,
        batch: &DocReBatch<B>,
        observer: &mut impl Observer<B>,
    ) -> DocReOutput<B> {
        let encoded = self.encoder.forward(&batch.tokens);
        self.relation.forward(encoded, batch, observer)
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::Autodiff;

    use super::{config::testing, *};
    use crate::backend::TestBackend;

    /// Counts the float parameters of a module by id.
    #[derive(Default)]
    struct Ids(Vec<ParamId>);

    impl<B: Backend> ModuleVisitor<B> for Ids {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            self.0.push(param.id);
        }
    }

    #[test]
    fn every_parameter_of_every_system_is_in_exactly_one_group() {
        for config in testing::every_system() {
            let model = config.init::<Autodiff<TestBackend>>(&Default::default());
            let mut all = Ids::default();
            model.visit(&mut all);
            let groups = model.parameter_groups();
            assert_eq!(groups.len(), all.0.len(), "{config:?}");
            assert!(all.0.iter().all(|id| groups.contains_key(id)), "{config:?}");

            // By name, the encoder's weights are those behind `encoder.`.
            let names = crate::io::weights::collect(&model, |path| config.weight_name(path));
            for (id, (name, _)) in all.0.iter().zip(names) {
                let is_encoder = groups[id] == ParameterGroup::Encoder;
                assert_eq!(is_encoder, name.starts_with("encoder."), "{name}");
            }
        }
    }
}
