//! ATLOP: the grouped bilinear form straight to the classes.

use burn::{
    module::Module,
    tensor::{Tensor, backend::Backend},
};

use super::{ModelConfig, PairIntermediates};
use crate::{
    batch::PairIndex,
    entity::{DocumentEncoding, localized_context},
    ops::DocReBackend,
    pair::{GroupBilinear, GroupBilinearConfig, PairExtractor},
};

/// Added to the mean over attention heads before dividing by its sum (authors' code).
const CONTEXT_EPSILON: f64 = 1e-5;

/// The head of ATLOP.
#[derive(Module, Debug)]
pub struct Atlop<B: Backend> {
    extractor: PairExtractor<B>,
    bilinear: GroupBilinear<B>,
}

impl<B: Backend> Atlop<B> {
    pub(super) fn new(config: &ModelConfig, device: &B::Device) -> Self {
        Self {
            extractor: PairExtractor::new(config.encoder.hidden_size, config.head.emb_size, device),
            bilinear: GroupBilinearConfig {
                emb_size: config.head.emb_size,
                group_size: config.head.group_size,
                d_output: config.n_classes,
                has_bias: true,
            }
            .init(device),
        }
    }
}

impl<B: DocReBackend> Atlop<B> {
    pub(super) fn forward(
        &self,
        encoding: &DocumentEncoding<B>,
        pairs: &PairIndex<B>,
    ) -> Tensor<B, 2> {
        let sides =
            self.extractor.forward(&encoding.entities, &Self::context(encoding, pairs), pairs);
        self.bilinear.forward(sides).select(0, pairs.off_diagonal.clone())
    }

    /// The context by the mean over heads; see [`localized_context`] for why the heads multiply the epsilon.
    fn context(encoding: &DocumentEncoding<B>, pairs: &PairIndex<B>) -> Tensor<B, 2> {
        let n_heads = encoding.entity_attention.dims()[2] as f64;
        pairs.packing.to_rows(localized_context(encoding, n_heads * CONTEXT_EPSILON))
    }

    pub(super) fn intermediates(
        &self,
        encoding: &DocumentEncoding<B>,
        pairs: &PairIndex<B>,
    ) -> PairIntermediates<B> {
        let context = Self::context(encoding, pairs);
        let sides = self.extractor.forward(&encoding.entities, &context, pairs);
        PairIntermediates {
            context,
            head: sides.head,
            tail: sides.tail,
            pair: None,
            pair_out: None,
        }
    }
}
