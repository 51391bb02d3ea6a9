//! KD-DocRE: pair vectors from a grouped bilinear form, a pair mixer, a linear classifier.
//!
//! Tan et al., *Document-Level Relation Extraction with Adaptive Focal Loss and Knowledge
//! Distillation*, Findings of ACL 2022.

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::backend::Backend,
};
use serde::{Deserialize, Serialize};

use super::{DocReOutput, DocumentSize, Observer, sides::pair_sides, system::System};
use crate::{
    DocReBackend, Result,
    batch::DocReBatch,
    encoder::{EncoderConfig, EncoderOutput, names::NameTable},
    entity::context_flops,
    nn::linear::linear,
    pair::{
        GroupBilinear, GroupBilinearConfig, PairExtractor, PairExtractorConfig, PairMixer,
        PairMixerConfig,
    },
};

/// Epsilon of the localized context (authors' code).
const CONTEXT_EPSILON: f64 = 1e-10;

/// The configuration of KD-DocRE.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KdDocreConfig {
    /// Size of each side of a pair, at least 1.
    pub emb_size: usize,
    /// Size of a group of the bilinear form; divides `emb_size`.
    pub group_size: usize,
    /// The mixer of the pair vectors.
    pub mixer: PairMixerConfig,
}

/// The relation module of KD-DocRE.
#[derive(Module, Debug)]
pub struct KdDocre<B: Backend> {
    extractor: PairExtractor<B>,
    projection: GroupBilinear<B>,
    mixer: Option<PairMixer<B>>,
    classifier: Linear<B>,
}

impl KdDocreConfig {
    /// Initialises the module for an encoder and `n_classes` classes.
    ///
    /// # Panics
    /// If `group_size` does not divide `emb_size`, or the mixer does not fit the encoder's hidden
    /// size.
    pub fn init<B: Backend>(
        &self,
        encoder: &EncoderConfig,
        n_classes: usize,
        device: &B::Device,
    ) -> KdDocre<B> {
        let d = encoder.hidden_size;
        KdDocre {
            extractor: self.extractor(encoder).init(device),
            projection: self.projection(encoder).init(device),
            mixer: self.mixer.init(d, device),
            classifier: LinearConfig::new(d, n_classes).init(device),
        }
    }

    fn extractor(&self, encoder: &EncoderConfig) -> PairExtractorConfig {
        PairExtractorConfig { d: encoder.hidden_size, emb_size: self.emb_size }
    }

    fn projection(&self, encoder: &EncoderConfig) -> GroupBilinearConfig {
        GroupBilinearConfig {
            emb_size: self.emb_size,
            group_size: self.group_size,
            d_output: encoder.hidden_size,
            has_bias: false,
        }
    }
}

impl System for KdDocreConfig {
    fn kind(&self) -> &'static str {
        "kd-docre"
    }

    fn validate(&self) -> Result<()> {
        GroupBilinearConfig::validate_groups(self.emb_size, self.group_size)?;
        self.mixer.validate()
    }

    fn validate_on(&self, encoder: &EncoderConfig) -> Result<()> {
        self.mixer.validate_for(encoder.hidden_size)
    }

    fn flops(&self, encoder: &EncoderConfig, n_classes: usize, size: DocumentSize) -> u64 {
        let (d, n) = (encoder.hidden_size, size.n_entities as u64);
        // All pads have one vector, which is projected once.
        let n_projected = n * n + u64::from(self.mixer.has_pad(n));
        context_flops(d, size.n_tokens, size.n_entities)
            + self.extractor(encoder).flops(n)
            + self.projection(encoder).flops(n_projected)
            + self.mixer.flops(d, n)
            + 2 * n * n * (d * n_classes) as u64
    }

    fn weight_names(&self) -> NameTable {
        NameTable::new(&[
            ("extractor.head", "head_extractor"),
            ("extractor.tail", "tail_extractor"),
            ("projection.linear", "projection"),
            ("mixer", "axial"),
        ])
    }

    /// The authors' code always has an axial stack. Its first attention runs along heads.
    fn published_names(&self) -> Option<NameTable> {
        let PairMixerConfig::AxialStack(_) = self.mixer else { return None };
        Some(NameTable::new(&[
            ("extractor.head", "head_extractor"),
            ("extractor.tail", "tail_extractor"),
            ("projection.linear", "projection"),
            ("mixer.col.*", "axial_transformer.axial_attns.*.axial_attentions.0.fn"),
            ("mixer.row.*", "axial_transformer.axial_attns.*.axial_attentions.1.fn"),
            ("mixer.ffn.*", "axial_transformer.ffns.*"),
            ("mixer.ln.*", "axial_transformer.lns.*"),
        ]))
    }
}

impl<B: DocReBackend> KdDocre<B> {
    /// Computes the logits. Besides those of [`pair_sides`], the intermediates are:
    ///
    /// | intermediate | shape |
    /// |---|---|
    /// | `pair`, `mixed`: pair vectors before and after the mixer | `[pairs, d]` |
    /// | `column_attention`, `row_attention`: of each layer of the mixer, see [`AxisAttention`] | `[b, e, e, n_heads, e]` |
    pub(super) fn forward(
        &self,
        encoded: EncoderOutput<B>,
        batch: &DocReBatch<B>,
        observer: &mut impl Observer<B>,
    ) -> DocReOutput<B> {
        let epsilon = |_n_heads| CONTEXT_EPSILON;
        let sides = pair_sides(encoded, batch, &self.extractor, epsilon, observer);
        let pair = self.projection.forward(sides);
        observer.observe("pair", || pair.clone());
        let mixed = match &self.mixer {
            Some(mixer) => {
                let pad = || self.projection.forward(self.extractor.pad_sides());
                mixer.forward(pair, pad, &batch.pairs, observer)
            }
            None => pair,
        };
        observer.observe("mixed", || mixed.clone());
        let logits = linear(&self.classifier, mixed.select(0, batch.pairs.classified.clone()));
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
        let flops = |pad_to: Option<usize>, size| {
            let mixer = json!({ "kind": "axial-stack", "layers": 1, "heads": 1, "pad_to": pad_to });
            let system =
                json!({ "kind": "kd-docre", "emb_size": 4, "group_size": 2, "mixer": mixer });
            let config = with_system(system);
            config.forward_flops(size) - config.encoder.forward_flops(5)
        };
        let size = DocumentSize { n_tokens: 5, n_entities: 3, n_mentions: 3, n_mention_pairs: 6 };
        // Context 9·5·8, extractor 2·12·8·4, bilinear 9·4·2·8, axial stack 9·9·64 + 4·27·8,
        // classifier 9·8·5.
        let expected = 2 * (360 + 768 + 576 + (5184 + 864) + 360);
        assert_eq!(flops(None, size), expected);
        assert_eq!(flops(Some(3), size), expected);
        // Bilinear form of one pad more, 10·4·2·8, and axial stack on 16 pairs, 9·16·64 + 4·64·8.
        let padded = 2 * (360 + 768 + 640 + (9216 + 2048) + 360);
        assert_eq!(flops(Some(4), size), padded);
    }
}
