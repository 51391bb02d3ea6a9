//! The documents of a report: text with coloured entities, facts, their graph, axial attention.
//!
//! [`collect`] runs a model and returns plain data, [`render`] writes it as HTML. The page works
//! without the script: it then lacks the choice of a fact, and has the heat map as a table only.

mod anchor;
mod attention;
mod choice;
mod collect;
mod facts;
mod graph;
mod heat_map;
mod page;
mod placement;
mod table;
mod text;
mod view;

pub use choice::Choice;
pub use collect::collect;
pub use page::{SCRIPT, STYLE, render};
pub use view::{
    Attention, DocumentView, DocumentViews, EntityView, FactView, LayerWeights, MixerView,
    PairAttention, Span, Status, Weights,
};
