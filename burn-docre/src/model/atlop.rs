//! ATLOP: a grouped bilinear classifier of pairs.
//!
//! Zhou et al., *Document-Level Relation Extraction with Adaptive Thresholding and Localized
//! Context Pooling*, AAAI 2021.

use burn::{module::Module, tensor::backend::Backend};
use serde::{Deserialize, Serialize};

use super::{DocReOutput, DocumentSize, Observer, sides::pair_sides, system::System};
use crate::{
    DocReBackend, Result,
    batch::DocReBatch,
    encoder::{EncoderConfig, EncoderOutput, names::NameTable},
    entity::context_flops,
    pair::{GroupBilinear, GroupBilinearConfig, PairExtractor, PairExtractorConfig},
};

/// Epsilon of the localized context, for weights averaged over attention heads (authors' code).
const CONTEXT_EPSILON: f64 = 1e-5;

/// The configuration of ATLOP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AtlopConfig {
    /// Size of each side of a pair, at least 1.
    pub emb_size: usize,
    /// Size of a group of the bilinear form; divides `emb_size`.
    pub group_size: usize,
}

/// The relation module of ATLOP.
#[derive(Module, Debug)]
pub struct Atlop<B: Backend> {
    extractor: PairExtractor<B>,
    bilinear: GroupBilinear<B>,
}

impl AtlopConfig {
    /// Initialises the module for an encoder and `n_classes` classes.
    ///
    /// # Panics
    /// If `group_size` does not divide `emb_size`.
    pub fn init<B: Backend>(
        &self,
        encoder: &EncoderConfig,
        n_classes: usize,
        device: &B::Device,
    ) -> Atlop<B> {
        Atlop {
            extractor: self.extractor(encoder).init(device),
            bilinear: self.bilinear(n_classes).init(device),
        }
    }

    fn extractor(&self, encoder: &EncoderConfig) -> PairExtractorConfig {
        PairExtractorConfig { d: encoder.hidden_size, emb_size: self.emb_size }
    }

    fn bilinear(&self, n_classes: usize) -> GroupBilinearConfig {
        GroupBilinearConfig {
            emb_size: self.emb_size,
            group_size: self.group_size,
            d_output: n_classes,
            has_bias: true,
        }
    }
}

impl System for AtlopConfig {
    fn kind(&self) -> &'static str {
        "atlop"
    }

    fn validate(&self) -> Result<()> {
        GroupBilinearConfig::validate_groups(self.emb_size, self.group_size)
    }

    fn flops(&self, encoder: &EncoderConfig, n_classes: usize, size: DocumentSize) -> u64 {
        let n = size.n_entities as u64;
        context_flops(encoder.hidden_size, size.n_tokens, size.n_entities)
            + self.extractor(encoder).flops(n)
            + self.bilinear(n_classes).flops(n * n)
    }

    fn weight_names(&self) -> NameTable {
        NameTable::new(&[
            ("extractor.head", "head_extractor"),
            ("extractor.tail", "tail_extractor"),
            ("bilinear.linear", "bilinear"),
        ])
    }

    fn published_names(&self) -> Option<NameTable> {
        Some(self.weight_names())
    }
}

impl<B: DocReBackend> Atlop<B> {
    /// Computes the logits. The intermediates are those of [`pair_sides`].
    pub(super) fn forward(
        &self,
        encoded: EncoderOutput<B>,
        batch: &DocReBatch<B>,
        observer: &mut impl Observer<B>,
    ) -> DocReOutput<B> {
        // `localized_context` sums over attention heads instead of averaging, so its epsilon is
        // `n_heads` times as large.
        let epsilon = |n_heads: usize| n_heads as f64 * CONTEXT_EPSILON;
        let sides = pair_sides(encoded, batch, &self.extractor, epsilon, observer);
        let logits = self.bilinear.forward(sides).select(0, batch.pairs.classified.clone());
        DocReOutput { logits, evidence: None }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::config::testing::with_system;

    #[test]
    fn the_flops_of_a_tiny_model_equal_a_count_by_hand() {
        let config = with_system(json!({ "kind": "atlop", "emb_size": 4, "group_size": 2 }));
        let size = DocumentSize { n_tokens: 5, n_entities: 3, n_mentions: 3, n_mention_pairs: 6 };
        // Context 9·5·8, extractor 2·12·8·4, bilinear 9·4·2·5.
        let expected = 2 * (360 + 768 + 360);
        assert_eq!(config.forward_flops(size) - config.encoder.forward_flops(5), expected);
    }
}
