//! The two sides of each pair, which ATLOP and KD-DocRE compute alike.

use super::Observer;
use crate::{
    DocReBackend,
    batch::DocReBatch,
    encoder::EncoderOutput,
    entity::{DocumentEncoding, localized_context},
    pair::{PairExtractor, PairSides},
};

/// Computes the sides of each pair from the encoder's output. `epsilon` is that of the
/// [localized context](localized_context), for the encoder's number of attention heads.
///
/// | intermediate | shape |
/// |---|---|
/// | `hidden` | `[b, l, d]` |
/// | `entities` | `[entities, d]` |
/// | `entity_attention` | `[b, e, n_heads, l]` |
/// | `pair_attention` | `[b, e * e, l]` |
/// | `context` | `[pairs, d]` |
/// | `head`, `tail`: the two sides | `[pairs, emb]` |
pub(super) fn pair_sides<B: DocReBackend>(
    encoded: EncoderOutput<B>,
    batch: &DocReBatch<B>,
    extractor: &PairExtractor<B>,
    epsilon: impl FnOnce(usize) -> f64,
    observer: &mut impl Observer<B>,
) -> PairSides<B> {
    let encoding = DocumentEncoding::new(encoded, batch);
    encoding.observe(observer);
    let n_heads = encoding.entity_attention.dims()[2];
    let context = localized_context(&encoding, epsilon(n_heads));
    observer.observe("pair_attention", || context.distribution());
    let context = context.into_rows(&batch.pairs);
    let sides = extractor.forward(&encoding.entities, &context, &batch.pairs);
    observer.observe("context", || context);
    observer.observe("head", || sides.head.clone());
    observer.observe("tail", || sides.tail.clone());
    sides
}
