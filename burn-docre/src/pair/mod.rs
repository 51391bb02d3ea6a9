//! Vectors of entity pairs: the two sides, their grouped bilinear form, and mixers over the pair
//! grid.

mod bilinear;
mod extractor;
pub mod mixer;

pub use bilinear::{GroupBilinear, GroupBilinearConfig};
pub use extractor::{PairExtractor, PairExtractorConfig, PairSides};
pub use mixer::{PairMixer, PairMixerConfig};
