//! Mixers let the pairs of a document see each other.

pub mod axial;
mod two_hop;

pub use axial::{AxialAttention, AxialStack, AxialStackConfig};
pub use two_hop::TwoHopAttention;
