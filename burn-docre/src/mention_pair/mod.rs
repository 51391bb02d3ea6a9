//! Mention pairs of KMGRE: representation, key mention pairs, fusion and pseudo labels.
//!
//! A mention pair has a mention of the head and a mention of the tail of a classified pair. Values
//! of mention pairs are rows `[q, …]` in the order of their
//! [`MentionPairIndex`](crate::batch::MentionPairIndex).
//!
//! Equations are those of Jiang et al., *Key Mention Pairs Guided Document-Level Relation
//! Extraction*, COLING 2022.

mod fusion;
mod key;
mod pseudo_labels;
mod representation;

pub use fusion::fuse;
pub use key::KeySelection;
pub use pseudo_labels::pseudo_labels;
pub use representation::{mention_pair_context, mention_pair_flops, mention_pair_linear};
