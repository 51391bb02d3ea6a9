//! Layers that replace Burn's (dropout, layer normalisation, linear), and the precision of weights.

pub mod dropout;
pub mod layer_norm;
pub mod linear;
pub mod precision;
pub mod rounding;
