//! The axial attention of pairs, observed in a forward pass.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use burn::tensor::{Int, Tensor, TensorData, backend::Backend};
use burn_docre::{
    DocReBackend, EntityPair,
    batch::DocReBatch,
    encoder::EncoderConfig,
    model::{DocReModel, Observer},
    text::encoded::EncodedDocument,
};

use super::view::{LayerWeights, PairAttention, Weights};

/// Computes the attention of `pairs` of a document in every layer of the model's mixer.
///
/// # Errors
/// If a weight is NaN.
///
/// # Panics
/// If the document has no pair, or lacks an entity of `pairs`.
pub(super) fn attention_of<B: DocReBackend>(
    model: &DocReModel<B>,
    encoder: &EncoderConfig,
    document: &EncodedDocument,
    pairs: &[EntityPair],
    device: &B::Device,
) -> Result<Vec<PairAttention>> {
    let batch = DocReBatch::new(&[document], encoder, device);
    let mut observer = PairObserver { pairs, layers: BTreeMap::new() };
    model.forward_observed(&batch, &mut observer);
    let title = &document.title;
    ensure!(
        observer.layers.values().flatten().all(PairWeights::is_finite),
        "document {title:?}: a weight of the axial attention is not a number"
    );
    let layer = |[column, row]: &[PairWeights; 2], pair| LayerWeights {
        column: column.of(pair),
        row: row.of(pair),
    };
    let of = |(i, pair): (usize, &EntityPair)| PairAttention {
        head: pair.head,
        tail: pair.tail,
        layers: observer.layers.values().map(|axes| layer(axes, i)).collect(),
    };
    Ok(pairs.iter().enumerate().map(of).collect())
}

/// An observer that keeps the attention of some pairs of a batch with one document.
struct PairObserver<'a> {
    pairs: &'a [EntityPair],
    /// Columns and rows of each layer.
    layers: BTreeMap<usize, [PairWeights; 2]>,
}

/// The weights of pairs along one axis, `[pairs, e]`.
#[derive(Default)]
struct PairWeights {
    mean: Vec<f32>,
    maximum: Vec<f32>,
    /// Number of entities, the pad entity included.
    n_entities: usize,
}

impl PairWeights {
    fn is_finite(&self) -> bool {
        self.mean.iter().chain(&self.maximum).all(|weight| weight.is_finite())
    }

    /// The weights of the pair with this index.
    fn of(&self, pair: usize) -> Weights {
        let entities = pair * self.n_entities..(pair + 1) * self.n_entities;
        let quantise = |weights: &[f32]| weights[entities.clone()].iter().map(quantised).collect();
        Weights { mean: quantise(&self.mean), maximum: quantise(&self.maximum) }
    }
}

/// A weight from 0 to 1 as a number from 0 to 255.
fn quantised(weight: &f32) -> u8 {
    (weight * 255.0).round().clamp(0.0, 255.0) as u8
}

impl<B: Backend> Observer<B> for PairObserver<'_> {
    fn observe<const D: usize>(&mut self, _: &'static str, _: impl FnOnce() -> Tensor<B, D>) {}

    /// Receives attention `[1, e, e, n_heads, e]`.
    fn observe_layer<const D: usize>(
        &mut self,
        layer: usize,
        name: &'static str,
        tensor: impl FnOnce() -> Tensor<B, D>,
    ) {
        let axis = match name {
            "column_attention" => 0,
            "row_attention" => 1,
            _ => return,
        };
        let weights = tensor();
        let shape = weights.dims();
        let (e, n_heads) = (shape[1], shape[3]);
        let cells = self.pairs.iter().map(|pair| (pair.head * e + pair.tail) as i32).collect();
        let cells = TensorData::new::<i32, _>(cells, [self.pairs.len()]);
        let cells = Tensor::<B, 1, Int>::from_data(cells, &weights.device());
        let weights = weights.reshape([e * e, n_heads, e]).select(0, cells);
        let values = |tensor: Tensor<B, 3>| tensor.into_data().iter::<f32>().collect();
        self.layers.entry(layer).or_default()[axis] = PairWeights {
            mean: values(weights.clone().mean_dim(1)),
            maximum: values(weights.max_dim(1)),
            n_entities: e,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_kept_to_a_255th() {
        let weights = [0.0, 0.001, 0.002, 0.5, 0.998, 0.999, 1.0, 1.000001, -0.1];
        assert_eq!(weights.map(|weight| quantised(&weight)), [0, 0, 1, 128, 254, 255, 255, 255, 0]);
    }

    #[test]
    fn weights_are_taken_by_pair() {
        let weights = PairWeights {
            mean: vec![0.0, 0.2, 0.4, 0.6],
            maximum: vec![1.0, 0.8, 0.6, 0.4],
            n_entities: 2,
        };
        assert_eq!(weights.of(1), Weights { mean: vec![102, 153], maximum: vec![153, 102] });
    }
}
