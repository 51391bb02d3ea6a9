//! The two sides of a pair from its entities and its context (eq. 5 of KD-DocRE).

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Int, Tensor, backend::Backend},
};

use crate::{
    DocReBackend,
    batch::PairIndex,
    ops::{self, matmul},
};

/// The sizes of a pair extractor.
#[derive(Clone, Copy, Debug)]
pub struct PairExtractorConfig {
    /// Hidden size of entities and contexts.
    pub d: usize,
    /// Size of each side of a pair.
    pub emb_size: usize,
}

/// Two linear layers with tanh, one per side:
/// `z_head = tanh(W_head [entity; context] + b_head)`, and `z_tail` likewise.
#[derive(Module, Debug)]
pub struct PairExtractor<B: Backend> {
    head: Linear<B>,
    tail: Linear<B>,
}

/// The two sides of each pair row.
#[derive(Clone, Debug)]
pub struct PairSides<B: Backend> {
    /// The head's side, `[pairs, emb]`.
    pub head: Tensor<B, 2>,
    /// The tail's side, `[pairs, emb]`.
    pub tail: Tensor<B, 2>,
}

impl PairExtractorConfig {
    /// Initialises an extractor.
    pub fn init<B: Backend>(&self, device: &B::Device) -> PairExtractor<B> {
        let linear = || LinearConfig::new(2 * self.d, self.emb_size).init(device);
        PairExtractor { head: linear(), tail: linear() }
    }

    /// The floating-point operations of the matrix products for `n_entities` entities and all their
    /// pairs.
    pub fn flops(&self, n_entities: u64) -> u64 {
        let rows = n_entities + n_entities * n_entities;
        2 * 2 * rows * (self.d * self.emb_size) as u64
    }
}

impl<B: DocReBackend> PairExtractor<B> {
    /// Computes both sides of every pair row.
    ///
    /// # Shapes
    /// - `entities`: `[entities, d]`; `context`: `[pairs, d]`
    /// - output: two sides `[pairs, emb]`
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

    /// Computes both sides of a pad: a pair whose entity and context vectors are 0.
    ///
    /// # Shapes
    /// - output: two sides `[1, emb]`
    pub fn pad_sides(&self) -> PairSides<B> {
        let side = |linear: &Linear<B>| {
            let bias = linear.bias.as_ref().expect("both sides have a bias").val();
            let emb = bias.dims()[0];
            ops::tanh(bias.reshape([1, emb]))
        };
        PairSides { head: side(&self.head), tail: side(&self.tail) }
    }
}

/// Computes `tanh(W [entity; context] + b)`. The product with an entity is computed once per entity
/// instead of once per pair.
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
