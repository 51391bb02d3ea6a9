//! Entity and context → the two sides of a pair (eq. 5 of KD-DocRE).

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Int, Tensor, backend::Backend},
};

use crate::{
    batch::PairIndex,
    nn::precision::matmul,
    ops::{self, DocReBackend},
};

/// `z_head = tanh(W_h [entity; context] + b_h)`, `z_tail` in the same manner.
#[derive(Module, Debug)]
pub struct PairExtractor<B: Backend> {
    head: Linear<B>,
    tail: Linear<B>,
}

/// The two sides of each pair row.
pub struct PairSides<B: Backend> {
    /// `[pairs, emb]`
    pub head: Tensor<B, 2>,
    /// `[pairs, emb]`
    pub tail: Tensor<B, 2>,
}

impl<B: Backend> PairExtractor<B> {
    /// A fresh extractor from width `d` to `emb_size`.
    pub fn new(d: usize, emb_size: usize, device: &B::Device) -> Self {
        let linear = || LinearConfig::new(2 * d, emb_size).init(device);
        Self { head: linear(), tail: linear() }
    }
}

impl<B: DocReBackend> PairExtractor<B> {
    /// # Shapes
    /// - `entities`: `[entities, d]`; `context`: `[pairs, d]`
    pub fn forward(
        &self,
        entities: &Tensor<B, 2>,
        context: &Tensor<B, 2>,
        pairs: &PairIndex<B>,
    ) -> PairSides<B> {
        PairSides {
            head: one_side(&self.head, entities, context, &pairs.head),
            tail: one_side(&self.tail, entities, context, &pairs.tail),
        }
    }
}

/// `tanh(W [entity; context] + b)` with the entity's share computed once an entity rather than once a pair.
fn one_side<B: DocReBackend>(
    linear: &Linear<B>,
    entities: &Tensor<B, 2>,
    context: &Tensor<B, 2>,
    entity_of_pair: &Tensor<B, 1, Int>,
) -> Tensor<B, 2> {
    let d = context.dims()[1];
    let weight = linear.weight.val();
    let emb = weight.dims()[1];
    let mut from_entity = matmul(entities.clone(), weight.clone().slice([0..d, 0..emb]));
    if let Some(bias) = &linear.bias {
        from_entity = from_entity + bias.val().reshape([1, emb]);
    }
    let from_context = matmul(context.clone(), weight.slice([d..2 * d, 0..emb]));
    ops::tanh(from_context + from_entity.select(0, entity_of_pair.clone()))
}
