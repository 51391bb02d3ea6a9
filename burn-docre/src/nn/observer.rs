//! Intermediate tensors of a forward pass, on request.

use std::collections::BTreeMap;

use burn::tensor::{Tensor, TensorData, backend::Backend};

/// Receives the intermediate tensors of a forward pass.
///
/// A system has one forward pass for training, inference and analysis. The observer `()` ignores
/// all intermediates: it never calls the closures, so that tensors are freed as early as possible.
pub trait Observer<B: Backend> {
    /// Receives the tensor `name`, which `tensor` computes when it is called.
    ///
    /// The forward pass of each system documents its names and shapes.
    fn observe<const D: usize>(
        &mut self,
        name: &'static str,
        tensor: impl FnOnce() -> Tensor<B, D>,
    );

    /// Receives the tensor `name` of one layer of a stack; layers are counted from 0.
    ///
    /// An observer that does not override this method ignores the tensors of layers.
    fn observe_layer<const D: usize>(
        &mut self,
        _layer: usize,
        _name: &'static str,
        _tensor: impl FnOnce() -> Tensor<B, D>,
    ) {
    }
}

impl<B: Backend> Observer<B> for () {
    fn observe<const D: usize>(&mut self, _: &'static str, _: impl FnOnce() -> Tensor<B, D>) {}
}

/// An observer that keeps the values of all intermediate tensors.
#[derive(Clone, Debug, Default)]
pub struct Intermediates {
    tensors: BTreeMap<&'static str, TensorData>,
    /// The tensors of each layer, by name.
    layers: BTreeMap<&'static str, BTreeMap<usize, TensorData>>,
}

impl Intermediates {
    /// The tensor `name`; `None` if the system has none of this name.
    pub fn get(&self, name: &str) -> Option<&TensorData> {
        self.tensors.get(name)
    }

    /// The tensor `name` of the layer with this index; `None` if there is none.
    pub fn layer(&self, name: &str, layer: usize) -> Option<&TensorData> {
        self.layers.get(name)?.get(&layer)
    }

    /// All tensors with their names, sorted by name, without those of single layers.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &TensorData)> {
        self.tensors.iter().map(|(name, tensor)| (*name, tensor))
    }
}

impl<B: Backend> Observer<B> for Intermediates {
    fn observe<const D: usize>(
        &mut self,
        name: &'static str,
        tensor: impl FnOnce() -> Tensor<B, D>,
    ) {
        self.tensors.insert(name, tensor().into_data());
    }

    fn observe_layer<const D: usize>(
        &mut self,
        layer: usize,
        name: &'static str,
        tensor: impl FnOnce() -> Tensor<B, D>,
    ) {
        self.layers.entry(name).or_default().insert(layer, tensor().into_data());
    }
}
