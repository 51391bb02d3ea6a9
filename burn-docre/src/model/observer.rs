//! Intermediate tensors of a forward pass, on request.

use std::collections::BTreeMap;

use burn::tensor::{Tensor, TensorData, backend::Backend};

use crate::entity::DocumentEncoding;

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
}

impl<B: Backend> Observer<B> for () {
    fn observe<const D: usize>(&mut self, _: &'static str, _: impl FnOnce() -> Tensor<B, D>) {}
}

/// An observer that keeps the values of all intermediate tensors.
#[derive(Clone, Debug, Default)]
pub struct Intermediates {
    tensors: BTreeMap<&'static str, TensorData>,
}

impl Intermediates {
    /// The tensor `name`; `None` if the system has none of this name.
    pub fn get(&self, name: &str) -> Option<&TensorData> {
        self.tensors.get(name)
    }

    /// All tensors with their names, sorted by name.
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
}

/// Passes `hidden`, `entities` and `entity_attention` to the observer.
pub(super) fn observe_encoding<B: Backend>(
    encoding: &DocumentEncoding<B>,
    observer: &mut impl Observer<B>,
) {
    observer.observe("hidden", || encoding.hidden.clone());
    observer.observe("entities", || encoding.entities.clone());
    observer.observe("entity_attention", || encoding.entity_attention.clone());
}
