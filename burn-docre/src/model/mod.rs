//! Models: an encoder and a system's relation module.
//!
//! A system is a paper's method of computing logits from encoded documents. Its file holds its
//! configuration, initialisation, forward pass, FLOP count and weight names. [`SystemConfig`] and
//! [`RelationModule`] are the table of all systems.

mod atlop;
mod config;
mod kd_docre;
mod observer;
mod system;
mod table;

use burn::{module::Module, tensor::backend::Backend};

pub use atlop::{Atlop, AtlopConfig};
pub use config::{DecodingConfig, ModelConfig};
pub use kd_docre::{KdDocre, KdDocreConfig};
pub use observer::{Intermediates, Observer};
pub use system::{DocReOutput, DocumentSize, Evidence};
pub use table::{RelationModule, SystemConfig};

use crate::{DocReBackend, batch::DocReBatch, encoder::Encoder};

/// A document-level relation extraction model.
#[derive(Module, Debug)]
pub struct DocReModel<B: Backend> {
    encoder: Encoder<B>,
    relation: RelationModule<B>,
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

    /// The text encoder. All parameters outside it belong to the relation module.
    pub fn encoder(&self) -> &Encoder<B> {
        &self.encoder
    }
}

impl<B: DocReBackend> DocReModel<B> {
    /// Computes the logits of every classified pair.
    ///
    /// # Shapes
    /// - output: logits `[p, r]`
    ///
    /// # Panics
    /// If the batch has no pair.
    pub fn forward(&self, batch: &DocReBatch<B>) -> DocReOutput<B> {
        self.forward_observed(batch, &mut ())
    }

    /// Computes [`forward`](Self::forward) and passes intermediate tensors to `observer`.
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
    use std::collections::HashSet;

    use burn::{
        module::{ModuleVisitor, Param, ParamId},
        tensor::Tensor,
    };

    use super::{config::testing, *};
    use crate::backend::TestBackend;

    /// The ids of the float parameters of a module, in its order.
    #[derive(Default)]
    struct Ids(Vec<ParamId>);

    impl<B: Backend> ModuleVisitor<B> for Ids {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            self.0.push(param.id);
        }
    }

    fn ids(module: &impl Module<TestBackend>) -> Vec<ParamId> {
        let mut ids = Ids::default();
        module.visit(&mut ids);
        ids.0
    }

    #[test]
    fn every_parameter_of_every_system_is_in_the_encoder_or_the_relation_module() {
        for config in testing::every_system() {
            let model = config.init::<TestBackend>(&Default::default());
            let encoder: HashSet<ParamId> = ids(model.encoder()).into_iter().collect();
            let relation: HashSet<ParamId> = ids(&model.relation).into_iter().collect();
            assert!(encoder.is_disjoint(&relation) && !relation.is_empty(), "{config:?}");
            let all = ids(&model);
            assert_eq!(all.len(), encoder.len() + relation.len(), "{config:?}");

            // The names in weight files agree: only those of the encoder begin with `encoder.`.
            let names = crate::io::weights::collect(&model, |path| config.weight_name(path));
            for (id, (name, _)) in all.iter().zip(names) {
                assert_eq!(encoder.contains(id), name.starts_with("encoder."), "{name}");
            }
        }
    }
}
