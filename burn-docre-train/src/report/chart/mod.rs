//! Charts in SVG, made for a width of 340 pixels, so that their text is readable on a small screen.
//!
//! A chart is a figure with a text alternative: a summary as label, and a table of its values.
//! Series are told apart by colour, dash pattern and key.

mod axis;
mod bars;
mod figure;
mod lines;
mod series;

pub(super) use self::{
    bars::{Bar, BarChart, BarGroup},
    lines::{Line, LineChart, Segment},
    series::{Series, Unit, legend},
};
