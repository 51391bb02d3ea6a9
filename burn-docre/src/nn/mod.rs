//! Layers that Burn has in another form: linear layers with a precision, layer normalisation, dropout.

pub mod dropout;
pub mod layer_norm;
pub mod precision;
