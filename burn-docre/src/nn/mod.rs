//! Layers that replace Burn's (dropout, layer normalisation, linear), the precision of weights, and
//! observers of intermediate tensors.

pub mod dropout;
pub mod layer_norm;
pub mod linear;
pub mod observer;
pub mod precision;
pub mod rounding;
