//! KD-DocRE: bilinear pair vectors, attention over the pair grid, a linear classifier.

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Tensor, backend::Backend},
};

use super::{ModelConfig, PairIntermediates};
use crate::{
    batch::PairIndex,
    entity::{DocumentEncoding, localized_context},
    nn::precision::linear,
    ops::DocReBackend,
    pair::{
        AxialStackConfig, GroupBilinear, GroupBilinearConfig, PairAttention, PairAttentionKind,
        PairExtractor, TwoHopAttention,
    },
};

/// Added to the sum of a pair's attention before dividing by it (authors' code).
const CONTEXT_EPSILON: f64 = 1e-10;

/// The head of KD-DocRE.
#[derive(Module, Debug)]
pub struct KdDocre<B: Backend> {
    extractor: PairExtractor<B>,
    projection: GroupBilinear<B>,
    axial: Option<PairAttention<B>>,
    classifier: Linear<B>,
}

impl<B: Backend> KdDocre<B> {
    pub(super) fn new(config: &ModelConfig, device: &B::Device) -> Self {
        let d = config.encoder.hidden_size;
        let head = &config.head;
        let axial = match head.pair_attention {
            PairAttentionKind::AxialStack => Some(PairAttention::AxialStack(
                AxialStackConfig { d, n_layers: head.axial_layers, n_heads: head.axial_heads }
                    .init(device),
            )),
            PairAttentionKind::TwoHop => {
                Some(PairAttention::TwoHop(TwoHopAttention::new(d, device)))
            }
            PairAttentionKind::None => None,
        };
        Self {
            extractor: PairExtractor::new(d, head.emb_size, device),
            projection: GroupBilinearConfig {
                emb_size: head.emb_size,
                group_size: head.group_size,
                d_output: d,
                has_bias: false,
            }
            .init(device),
            axial,
            classifier: LinearConfig::new(d, config.n_classes).init(device),
        }
    }
}

impl<B: DocReBackend> KdDocre<B> {
    pub(super) fn forward(
        &self,
        encoding: &DocumentEncoding<B>,
        pairs: &PairIndex<B>,
    ) -> Tensor<B, 2> {
        let context = Self::context(encoding, pairs);
        let sides = self.extractor.forward(&encoding.entities, &context, pairs);
        let pair = self.attend(self.projection.forward(sides), pairs);
        linear(&self.classifier, pair.select(0, pairs.off_diagonal.clone()))
    }

    fn context(encoding: &DocumentEncoding<B>, pairs: &PairIndex<B>) -> Tensor<B, 2> {
        pairs.packing.to_rows(localized_context(encoding, CONTEXT_EPSILON))
    }

    fn attend(&self, pair: Tensor<B, 2>, pairs: &PairIndex<B>) -> Tensor<B, 2> {
        match &self.axial {
            Some(attention) => attention.forward(pair, pairs),
            None => pair,
        }
    }

    pub(super) fn intermediates(
        &self,
        encoding: &DocumentEncoding<B>,
        pairs: &PairIndex<B>,
    ) -> PairIntermediates<B> {
        let context = Self::context(encoding, pairs);
        let sides = self.extractor.forward(&encoding.entities, &context, pairs);
        let (head, tail) = (sides.head.clone(), sides.tail.clone());
        let pair = self.projection.forward(sides);
        let pair_out = self.attend(pair.clone(), pairs);
        PairIntermediates { context, head, tail, pair: Some(pair), pair_out: Some(pair_out) }
    }
}
