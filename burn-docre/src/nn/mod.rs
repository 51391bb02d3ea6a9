//! Layers that differ from Burn's: linear layers with a precision, layer normalisation, dropout.

pub mod dropout;
pub mod layer_norm;
pub mod linear;
pub mod precision;
pub mod rounding;
