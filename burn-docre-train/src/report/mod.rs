//! `docre report`: one self-contained page about runs, benchmarks and ablations.
//!
//! Templates are functions that return [`maud::Markup`], which escapes all text. `style.css` has
//! the colours as custom properties.

mod system;

pub use system::System;
