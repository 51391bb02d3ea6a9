//! The representation of entity pairs: both sides, their bilinear form, attention over the pair grid.

mod bilinear;
mod extractor;
pub mod mixer;

use burn::{
    module::Module,
    tensor::{Tensor, backend::Backend},
};
use serde::{Deserialize, Serialize};

pub use bilinear::{GroupBilinear, GroupBilinearConfig};
pub use extractor::{PairExtractor, PairSides};
pub use mixer::{AxialAttention, AxialStack, AxialStackConfig, TwoHopAttention};

use crate::{batch::PairIndex, ops::DocReBackend};

/// What lets pairs see each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PairAttentionKind {
    /// The authors' code: a stack of axial attention layers.
    AxialStack,
    /// The paper's eq. (7).
    TwoHop,
    /// Nothing.
    None,
}

/// Attention over the pair grid.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a model has one, and it is seldom moved")]
pub enum PairAttention<B: Backend> {
    /// See [`AxialStack`].
    AxialStack(AxialStack<B>),
    /// See [`TwoHopAttention`].
    TwoHop(TwoHopAttention<B>),
}

impl<B: DocReBackend> PairAttention<B> {
    /// # Shapes
    /// - `[pairs, d]` → `[pairs, d]`
    pub fn forward(&self, input: Tensor<B, 2>, pairs: &PairIndex<B>) -> Tensor<B, 2> {
        match self {
            Self::AxialStack(stack) => stack.forward(input, pairs),
            Self::TwoHop(attention) => attention.forward(input, pairs),
        }
    }
}
