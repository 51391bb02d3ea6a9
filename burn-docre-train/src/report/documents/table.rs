//! The frame of the tables of a document.

use maud::{Markup, html};

/// A table in a container that scrolls and that the keyboard reaches. `name` describes it to screen
/// readers; `headings` are its `th`, `rows` its `tr`.
pub(super) fn framed_table(name: &str, headings: &Markup, rows: &Markup) -> Markup {
    html! {
        div.doc-scroll tabindex="0" role="region" aria-label=(name) {
            table.doc-facts {
                caption.hidden { (name) }
                thead { tr { (headings) } }
                tbody { (rows) }
            }
        }
    }
}
