//! KMGRE: a linear classifier of mention pairs, fused over the key mention pairs of each pair.
//!
//! The *extractor* is the model's encoder with the linear classifier of relations. The *key
//! classifier* is a binary classifier that selects the key mention pairs.
//!
//! Jiang et al., *Key Mention Pairs Guided Document-Level Relation Extraction*, COLING 2022. There
//! is no public implementation by the authors.

use burn::{
    module::{Module, ModuleVisitor},
    nn::{Linear, LinearConfig},
    tensor::{Tensor, activation::sigmoid, backend::Backend},
};
use serde::{Deserialize, Serialize};

use super::{DocReOutput, DocumentSize, Evidence, Observer, system::System};
use crate::{
    DocReBackend, Result,
    batch::{DocReBatch, MentionPairIndex},
    encoder::{Encoder, EncoderConfig, EncoderOutput, names::NameTable},
    entity::MentionEncoding,
    mention_pair::{
        KeySelection, fuse, mention_pair_context, mention_pair_flops, mention_pair_linear,
    },
};

/// The configuration of KMGRE.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KmgreConfig {
    /// The classifier that selects the key mention pairs.
    pub key_classifier: KeyClassifierConfig,
}

/// The choice of a key classifier: `{ kind = "own-encoder", xi = 0.15, tau = 0.5 }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum KeyClassifierConfig {
    /// A classifier with an encoder of its own, as in the paper.
    OwnEncoder(KeySelection),
    /// A classifier on the extractor's encoder.
    SharedEncoder(KeySelection),
    /// No classifier: all mention pairs are fused.
    None {},
}

impl KeyClassifierConfig {
    /// The rule that selects the key mention pairs; `None` without a classifier.
    pub fn selection(&self) -> Option<KeySelection> {
        match self {
            Self::OwnEncoder(selection) | Self::SharedEncoder(selection) => Some(*selection),
            Self::None {} => None,
        }
    }

    fn has_own_encoder(&self) -> bool {
        matches!(self, Self::OwnEncoder(_))
    }
}

/// The relation module of KMGRE. With an encoder of its own, the key classifier is a second model.
#[derive(Module, Debug)]
pub struct Kmgre<B: Backend> {
    extractor: Linear<B>,
    key_classifier: Option<KeyClassifier<B>>,
}

/// The classifier of key mention pairs.
#[derive(Module, Debug)]
pub struct KeyClassifier<B: Backend> {
    /// The encoder; `None` if the extractor's encoder is shared.
    encoder: Option<Encoder<B>>,
    linear: Linear<B>,
    selection: KeySelection,
}

impl KmgreConfig {
    /// Initialises the module for an encoder and `n_classes` classes.
    pub fn init<B: Backend>(
        &self,
        encoder: &EncoderConfig,
        n_classes: usize,
        device: &B::Device,
    ) -> Kmgre<B> {
        let linear = |n_outputs| LinearConfig::new(3 * encoder.hidden_size, n_outputs).init(device);
        let key_classifier = self.key_classifier.selection().map(|selection| KeyClassifier {
            encoder: self.key_classifier.has_own_encoder().then(|| encoder.init(device)),
            linear: linear(1),
            selection,
        });
        Kmgre { extractor: linear(n_classes), key_classifier }
    }
}

impl System for KmgreConfig {
    fn kind(&self) -> &'static str {
        "kmgre"
    }

    fn validate(&self) -> Result<()> {
        self.key_classifier.selection().map_or(Ok(()), |selection| selection.validate())
    }

    fn flops(&self, encoder: &EncoderConfig, n_classes: usize, size: DocumentSize) -> u64 {
        let DocumentSize { n_tokens, n_mentions, n_mention_pairs, .. } = size;
        let linear = |n_outputs| {
            let sizes = [encoder.hidden_size, n_outputs];
            mention_pair_flops(sizes, n_tokens, n_mentions, n_mention_pairs)
        };
        let key_classifier = match self.key_classifier {
            KeyClassifierConfig::OwnEncoder(_) => encoder.forward_flops(n_tokens) + linear(1),
            KeyClassifierConfig::SharedEncoder(_) => linear(1),
            KeyClassifierConfig::None {} => 0,
        };
        linear(n_classes) + key_classifier
    }

    fn names_evidence(&self) -> bool {
        true
    }

    fn key_selection(&self) -> Option<KeySelection> {
        self.key_classifier.selection()
    }

    fn weight_names(&self) -> NameTable {
        NameTable::new(&[("key_classifier.linear", "key_classifier")])
    }
}

/// The logits of the mention pairs of a batch, in the order of their [`MentionPairIndex`].
#[derive(Clone, Debug)]
pub struct MentionPairLogits<B: Backend> {
    /// The extractor's logits of relations, `[q, r]` (eqs. 4–6, without the sigmoid).
    pub relations: Tensor<B, 2>,
    /// The classifier's logits of a key mention pair, `[q]` (eqs. 7–8, without the sigmoid); `None`
    /// without a classifier.
    pub key: Option<Tensor<B, 1>>,
}

impl<B: Backend> Kmgre<B> {
    /// Visits the encoders besides the model's first.
    pub(super) fn visit_encoders<V: ModuleVisitor<B>>(&self, visitor: &mut V) {
        self.own_encoder().into_iter().for_each(|encoder| encoder.visit(visitor));
    }

    /// Replaces each encoder besides the model's first by `change(encoder)`.
    pub(super) fn try_map_encoders<E>(
        mut self,
        change: &mut impl FnMut(Encoder<B>) -> Result<Encoder<B>, E>,
    ) -> Result<Self, E> {
        if let Some(classifier) = &mut self.key_classifier {
            classifier.encoder = classifier.encoder.take().map(change).transpose()?;
        }
        Ok(self)
    }

    fn own_encoder(&self) -> Option<&Encoder<B>> {
        self.key_classifier.as_ref().and_then(|classifier| classifier.encoder.as_ref())
    }
}

impl<B: DocReBackend> Kmgre<B> {
    /// Computes the logits. The evidence is the key mention pairs, or all mention pairs without a
    /// key classifier. The key classifier receives no gradient.
    ///
    /// | intermediate | shape |
    /// |---|---|
    /// | `hidden`: of the extractor | `[b, l, d]` |
    /// | `mention_context`: of the extractor | `[q, d]` |
    /// | `mention_logits` | `[q, r]` |
    /// | `key_probability`, with a key classifier | `[q]` |
    pub(super) fn forward(
        &self,
        encoded: EncoderOutput<B>,
        batch: &DocReBatch<B>,
        observer: &mut impl Observer<B>,
    ) -> DocReOutput<B> {
        let index = batch.mention_pairs();
        let MentionPairLogits { relations, key } = self.logits(encoded, batch, &index, observer);
        let is_key = match (&self.key_classifier, key) {
            (Some(classifier), Some(key)) => {
                let probability = sigmoid(key);
                observer.observe("key_probability", || probability.clone());
                classifier.selection.select(probability, &index)
            }
            _ => Tensor::ones([index.rows.len()], &relations.device()),
        };
        let logits = fuse(relations, is_key.clone(), &index);
        DocReOutput { logits, evidence: Some(Evidence::KeyMentionPairs(is_key)) }
    }

    /// Computes the logits of mention pairs from the output of the extractor's encoder.
    fn logits(
        &self,
        encoded: EncoderOutput<B>,
        batch: &DocReBatch<B>,
        index: &MentionPairIndex<B>,
        observer: &mut impl Observer<B>,
    ) -> MentionPairLogits<B> {
        let encoding = MentionEncoding::new(encoded, batch);
        observer.observe("hidden", || encoding.hidden.clone());
        observer.observe("mention_context", || mention_pair_context(&encoding, index));
        let relations = mention_pair_linear(&self.extractor, &encoding, index);
        observer.observe("mention_logits", || relations.clone());
        let key = self.key_classifier.as_ref().map(|classifier| {
            // The second encoder runs after the first one's tensors are freed.
            let encoding = match &classifier.encoder {
                Some(encoder) => {
                    drop(encoding);
                    MentionEncoding::new(encoder.forward(&batch.tokens), batch)
                }
                None => encoding,
            };
            classifier.logits(&encoding, index)
        });
        MentionPairLogits { relations, key }
    }
}

impl<B: DocReBackend> KeyClassifier<B> {
    /// Computes the logits `[q]`.
    fn logits(&self, encoding: &MentionEncoding<B>, index: &MentionPairIndex<B>) -> Tensor<B, 1> {
        mention_pair_linear(&self.linear, encoding, index).reshape([index.rows.len()])
    }
}

/// A KMGRE model with its parts: the extractor and the key classifier, which train in turn.
#[derive(Clone, Debug)]
pub struct KmgreModel<'a, B: Backend> {
    pub(super) encoder: &'a Encoder<B>,
    pub(super) module: &'a Kmgre<B>,
}

impl<B: Backend> KmgreModel<'_, B> {
    /// The rule that selects the key mention pairs; `None` without a key classifier.
    pub fn key_selection(&self) -> Option<KeySelection> {
        self.module.key_classifier.as_ref().map(|classifier| classifier.selection)
    }

    /// Visits the parameters of the extractor, its encoder included: those of the M step of the
    /// paper's Algorithm 1.
    pub fn visit_extractor<V: ModuleVisitor<B>>(&self, visitor: &mut V) {
        self.encoder.visit(visitor);
        self.module.extractor.visit(visitor);
    }

    /// Visits the parameters of the key classifier, its encoder included: those of the E step of
    /// the paper's Algorithm 1.
    ///
    /// A shared encoder belongs to the extractor and to the key classifier. Without a key
    /// classifier there is nothing to visit.
    pub fn visit_key_classifier<V: ModuleVisitor<B>>(&self, visitor: &mut V) {
        if let Some(classifier) = &self.module.key_classifier {
            classifier.encoder.as_ref().unwrap_or(self.encoder).visit(visitor);
            classifier.linear.visit(visitor);
        }
    }
}

impl<B: DocReBackend> KmgreModel<'_, B> {
    /// Computes the extractor's logits of mention pairs, `[q, r]` (eqs. 4–6, without the sigmoid).
    ///
    /// # Panics
    /// If the batch has no pair.
    pub fn mention_logits(
        &self,
        batch: &DocReBatch<B>,
        index: &MentionPairIndex<B>,
    ) -> Tensor<B, 2> {
        let encoding = MentionEncoding::new(self.encoder.forward(&batch.tokens), batch);
        mention_pair_linear(&self.module.extractor, &encoding, index)
    }

    /// Computes the key classifier's logits, `[q]` (eqs. 7–8, without the sigmoid); `None` without
    /// a key classifier.
    ///
    /// # Panics
    /// If the batch has no pair.
    pub fn key_logits(
        &self,
        batch: &DocReBatch<B>,
        index: &MentionPairIndex<B>,
    ) -> Option<Tensor<B, 1>> {
        let classifier = self.module.key_classifier.as_ref()?;
        let encoder = classifier.encoder.as_ref().unwrap_or(self.encoder);
        let encoding = MentionEncoding::new(encoder.forward(&batch.tokens), batch);
        Some(classifier.logits(&encoding, index))
    }

    /// Computes the logits of extractor and key classifier. A shared encoder runs once.
    ///
    /// # Panics
    /// If the batch has no pair.
    pub fn forward_both(
        &self,
        batch: &DocReBatch<B>,
        index: &MentionPairIndex<B>,
    ) -> MentionPairLogits<B> {
        self.module.logits(self.encoder.forward(&batch.tokens), batch, index, &mut ())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::config::testing::with_system;

    #[test]
    fn the_flops_of_a_tiny_model_equal_a_count_by_hand() {
        let size = DocumentSize { n_tokens: 5, n_entities: 3, n_mentions: 4, n_mention_pairs: 10 };
        // Mentions 2·4·8·r, tokens 5·8·r, mention pairs 10·5·r, with r = 5 and r = 1.
        let extractor = 2 * (320 + 200 + 250);
        let classifier = 2 * (64 + 40 + 50);
        for (kind, n_encoders, expected) in [
            ("own-encoder", 2, extractor + classifier),
            ("shared-encoder", 1, extractor + classifier),
        ] {
            let key_classifier = json!({ "kind": kind, "xi": 0.15, "tau": 0.5 });
            let config = with_system(json!({ "kind": "kmgre", "key_classifier": key_classifier }));
            let encoders = n_encoders * config.encoder.forward_flops(5);
            assert_eq!(config.forward_flops(size) - encoders, expected, "{kind}");
        }
        let config = with_system(json!({ "kind": "kmgre", "key_classifier": { "kind": "none" } }));
        assert_eq!(config.forward_flops(size) - config.encoder.forward_flops(5), extractor);
    }
}
