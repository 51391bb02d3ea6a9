//! Models: an encoder and a system's relation module, which may have a second encoder.
//!
//! A system is a paper's method of computing logits from encoded documents. Its file holds its
//! configuration, initialisation, forward pass, FLOP count and weight names. [`SystemConfig`] and
//! [`RelationModule`] are the table of all systems.

mod atlop;
mod config;
mod kd_docre;
mod kmgre;
mod sides;
mod system;
mod table;

use burn::{
    module::{Module, ModuleVisitor},
    tensor::backend::Backend,
};

#[cfg(test)]
pub(crate) use config::testing;

pub use atlop::{Atlop, AtlopConfig};
pub use config::{DecodingConfig, ModelConfig};
pub use kd_docre::{KdDocre, KdDocreConfig};
pub use kmgre::{KeyClassifierConfig, Kmgre, KmgreConfig, KmgreModel, MentionPairLogits};
pub use system::{DocReOutput, DocumentSize, Evidence};
pub use table::{RelationModule, SystemConfig};

pub use crate::nn::observer::{Intermediates, Observer};
use crate::{DocReBackend, batch::DocReBatch, encoder::Encoder};

/// A document-level relation extraction model.
#[derive(Module, Debug)]
pub struct DocReModel<B: Backend> {
    encoder: Encoder<B>,
    relation: RelationModule<B>,
}

impl<B: Backend> DocReModel<B> {
    /// Replaces every encoder by `change(encoder)`.
    ///
    /// # Errors
    /// Returns the first error of `change`.
    pub fn try_map_encoders<E>(
        self,
        mut change: impl FnMut(Encoder<B>) -> Result<Encoder<B>, E>,
    ) -> Result<Self, E> {
        Ok(Self {
            encoder: change(self.encoder)?,
            relation: self.relation.try_map_encoders(&mut change)?,
        })
    }

    /// Visits every encoder. Its parameters are those that pretrained weights replace.
    pub fn visit_encoders<V: ModuleVisitor<B>>(&self, visitor: &mut V) {
        self.encoder.visit(visitor);
        self.relation.visit_encoders(visitor);
    }

    /// The first encoder, whose output the relation module reads.
    pub fn encoder(&self) -> &Encoder<B> {
        &self.encoder
    }

    /// The parts of a KMGRE model; `None` for other systems.
    pub fn kmgre(&self) -> Option<KmgreModel<'_, B>> {
        match &self.relation {
            RelationModule::Kmgre(module) => Some(KmgreModel { encoder: &self.encoder, module }),
            RelationModule::KdDocre(_) | RelationModule::Atlop(_) => None,
        }
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
    use serde_json::json;

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
    fn the_names_in_weight_files_tell_the_parameters_of_encoders_from_all_others() {
        for config in testing::every_system() {
            let model = config.init::<TestBackend>(&Default::default());
            let mut encoders = Ids::default();
            model.visit_encoders(&mut encoders);
            let encoders: HashSet<ParamId> = encoders.0.into_iter().collect();
            let all = ids(&model);
            assert!(encoders.len() < all.len(), "{config:?}");
            assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len(), "{config:?}");

            let names = crate::io::weights::collect(&model, |path| config.weight_name(path));
            for (id, (name, _)) in all.iter().zip(names) {
                let prefixes = ["encoder.", "key_classifier.encoder."];
                let is_encoder = prefixes.iter().any(|prefix| name.starts_with(prefix));
                assert_eq!(encoders.contains(id), is_encoder, "{name}");
                assert_eq!(
                    ids(model.encoder()).contains(id),
                    name.starts_with("encoder."),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn both_encoders_of_kmgre_have_hugging_faces_names() {
        let key_classifier = json!({ "kind": "own-encoder", "xi": 0.15, "tau": 0.5 });
        let config =
            testing::with_system(json!({ "kind": "kmgre", "key_classifier": key_classifier }));
        let path = "encoder.layers.1.attention.query.weight";
        let name = "encoder.encoder.layer.1.attention.self.query.weight";
        assert_eq!(config.weight_name(path), name);
        let path = format!("relation.key_classifier.{path}");
        assert_eq!(config.weight_name(&path), format!("key_classifier.{name}"));
        for (path, name) in [
            ("relation.extractor.weight", "extractor.weight"),
            ("relation.key_classifier.linear.bias", "key_classifier.bias"),
        ] {
            assert_eq!(config.weight_name(path), name);
        }
    }

    #[test]
    fn extractor_and_key_classifier_have_all_parameters_and_share_only_a_shared_encoder() {
        let systems = testing::every_system();
        let kmgre = systems.iter().filter(|config| matches!(config.system, SystemConfig::Kmgre(_)));
        for config in kmgre {
            let model = config.init::<TestBackend>(&Default::default());
            let parts = model.kmgre().expect("KMGRE");
            let [mut extractor, mut key_classifier] = [Ids::default(), Ids::default()];
            parts.visit_extractor(&mut extractor);
            parts.visit_key_classifier(&mut key_classifier);
            let [extractor, key_classifier] =
                [extractor, key_classifier].map(|ids| ids.0.into_iter().collect::<HashSet<_>>());
            let all: HashSet<ParamId> = ids(&model).into_iter().collect();
            assert_eq!(extractor.union(&key_classifier).copied().collect::<HashSet<_>>(), all);
            let encoder: HashSet<ParamId> = ids(model.encoder()).into_iter().collect();
            let shared: HashSet<ParamId> =
                extractor.intersection(&key_classifier).copied().collect();
            let SystemConfig::Kmgre(KmgreConfig { key_classifier }) = &config.system else {
                unreachable!("filtered")
            };
            let is_shared = matches!(key_classifier, KeyClassifierConfig::SharedEncoder(_));
            assert_eq!(shared, if is_shared { encoder } else { HashSet::new() }, "{config:?}");
        }
    }

    #[test]
    fn every_encoder_is_replaced() {
        for config in testing::every_system() {
            let model = config.init::<TestBackend>(&Default::default());
            let before: HashSet<ParamId> = ids(&model).into_iter().collect();
            let replaced = model.try_map_encoders(|_| {
                Ok::<_, std::convert::Infallible>(config.encoder.init(&Default::default()))
            });
            let Ok(replaced) = replaced;
            let mut encoders = Ids::default();
            replaced.visit_encoders(&mut encoders);
            assert!(encoders.0.iter().all(|id| !before.contains(id)), "{config:?}");
        }
    }
}
