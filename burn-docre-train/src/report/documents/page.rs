//! The content of the section of the page with the documents.

use maud::{Markup, PreEscaped, html};

use super::{
    facts, graph, heat_map,
    text::{sentences, tag},
    view::{DocumentView, DocumentViews, Status},
};

/// The style sheet of the section, on top of the page's colours.
pub const STYLE: &str = include_str!("documents.css");

/// The script of the section: the choice of a fact or pair, and the heat map.
pub const SCRIPT: &str = include_str!("documents.js");

/// The content of the section, without [`STYLE`] and [`SCRIPT`]. Every text from files is escaped.
///
/// The id of a document is its [anchor](DocumentView::anchor). It stands inside the element that
/// can be closed, so that a browser opens the element when the page is opened at the anchor.
pub fn render(views: &DocumentViews) -> Markup {
    let documents: Vec<String> = views
        .documents
        .iter()
        .enumerate()
        .map(|(i, view)| document(view, views, i == 0).into_string())
        .collect();
    let n_bytes: usize = documents.iter().map(String::len).sum();
    html! {
        div.doc-views {
            p {
                "Predictions of " strong { (views.model) } " for " (documents.len()) " of "
                (views.n_dev) " dev documents: " (views.rule) ". Entities, sentences and facts are "
                "counted from 1. The documents take " (size(n_bytes)) " of this page."
            }
            @if !views.names_evidence {
                p.doc-note { "This system names no evidence for its predictions." }
            }
            (legend())
            ul.doc-index {
                @for view in &views.documents {
                    li { a href={ "#" (view.anchor) } { bdi { (view.title) } } " " (counts(view)) }
                }
            }
            @for document in &documents { (PreEscaped(document)) }
        }
    }
}

/// The meaning of the lines and signs.
fn legend() -> Markup {
    let meaning = |status| match status {
        Status::Correct => "predicted and labelled",
        Status::Missed => "labelled, not predicted",
        Status::Wrong => "predicted, not labelled",
    };
    html! {
        ul.doc-legend {
            @for status in Status::ALL {
                li class={ "doc-" (status.name()) } {
                    svg width="36" height="10" viewBox="0 0 36 10" aria-hidden="true" {
                        path.doc-line d="M0 5H36" {}
                    }
                    " " (status.sign()) " " (status.name()) ": " (meaning(status))
                }
            }
        }
    }
}

fn counts(view: &DocumentView) -> Markup {
    html! {
        span.doc-counts {
            @for (i, status) in Status::ALL.into_iter().enumerate() {
                @if i > 0 { ", " }
                (view.count(status)) " " (status.name())
            }
        }
    }
}

fn document(view: &DocumentView, views: &DocumentViews, is_open: bool) -> Markup {
    let of_title = |part: &str| format!("{part} of {}", view.title);
    html! {
        details.doc open[is_open] {
            summary { h3 { bdi { (view.title) } } " " (counts(view)) }
            div.doc-body #(view.anchor) {
                p.doc-note {
                    a href={ "#" (view.anchor) } { "Link to this document" }
                    span.doc-hint { " · Choose a fact, or a cell of the attention, to see its pair." }
                }
                h4 { "Text" }
                (sentences(view))
                (entities(view))
                @if !view.facts.is_empty() {
                    h4 { "Graph" }
                    (graph::render(view))
                }
                div.doc-columns {
                    div {
                        h4 { "Facts" }
                        (facts::table(view, views))
                        p.doc-chosen role="status" {}
                    }
                    div {
                        section aria-label=(of_title("Axial attention")) {
                            h4 { "Axial attention" }
                            (heat_map::section(view, views.mixer))
                        }
                    }
                }
                (heat_map::data(view, views.names_evidence))
            }
        }
    }
}

fn entities(view: &DocumentView) -> Markup {
    html! {
        details {
            summary { "Entities (" (view.entities.len()) ")" }
            ol.doc-entities {
                @for (index, entity) in view.entities.iter().enumerate() {
                    li {
                        (tag(index)) " " bdi { (entity.name) } " "
                        span.doc-counts {
                            (entity.kind)
                            @if entity.mentions.len() > 1 {
                                ", " (entity.mentions.len()) " mentions"
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A number of bytes for readers.
fn size(n_bytes: usize) -> String {
    match n_bytes {
        0..1_000_000 => format!("{:.0} kB", n_bytes as f64 / 1e3),
        _ => format!("{:.1} MB", n_bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::documents::view::{MixerView, testing};

    fn views(documents: Vec<DocumentView>) -> DocumentViews {
        DocumentViews {
            missing: None,
            model: "demo: <teacher>".into(),
            names_evidence: true,
            mixer: MixerView::None,
            n_dev: 40,
            rule: "all".into(),
            documents,
        }
    }

    #[test]
    fn the_page_has_text_facts_evidence_and_graph_of_each_document() {
        let html = render(&views(vec![testing::view()])).into_string();
        for expected in [
            "demo: &lt;teacher&gt;",
            "1 of 40 dev documents: all",
            "<a href=\"#doc-anna-1\"><bdi>Anna &amp; Oslo</bdi></a>",
            "1 correct, 1 missed, 2 wrong",
            "<details class=\"doc\" open>",
            "id=\"doc-anna-1\"",
            "id=\"doc-anna-1-s2\"",
            "<a href=\"#doc-anna-1-s1\">1</a>, <a href=\"#doc-anna-1-s2\">2</a>",
            "“Anna” in 2 – “Oslo” in 1",
            "✓ correct",
            "<svg class=\"doc-graph\"",
            "no axial attention",
        ] {
            assert!(html.contains(expected), "{expected} is missing in {html}");
        }
    }

    #[test]
    fn text_from_files_is_escaped_everywhere() {
        let hostile = "</script></title><script>alert('x')</script>\"'&<img src=x onerror=y>";
        let mut view = testing::view();
        view.title = hostile.into();
        view.sentences[0][0] = hostile.into();
        for entity in &mut view.entities {
            (entity.name, entity.kind) = (hostile.into(), hostile.into());
        }
        for fact in &mut view.facts {
            (fact.id, fact.name) = (hostile.into(), hostile.into());
        }
        let mut views = views(vec![view]);
        (views.model, views.rule) = (hostile.into(), hostile.into());
        let html = render(&views).into_string();
        assert!(!html.contains("<img") && !html.contains("<script>"), "{html}");
        assert!(!html.contains("\"'&<"), "{html}");
        let n_elements = html.matches("<script").count();
        assert_eq!((n_elements, html.matches("</script>").count()), (1, 1));
    }

    #[test]
    fn a_document_without_facts_or_entities_is_shown() {
        let empty = DocumentView {
            sentences: Vec::new(),
            entities: Vec::new(),
            facts: Vec::new(),
            ..testing::view()
        };
        let html = render(&views(vec![empty])).into_string();
        assert!(html.contains("0 correct, 0 missed, 0 wrong") && !html.contains("doc-graph"));
        assert!(render(&views(Vec::new())).into_string().contains("0 of 40 dev documents"));
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!([12_345, 999_999, 1_250_000].map(size), ["12 kB", "1000 kB", "1.2 MB"]);
    }

    #[test]
    fn the_style_has_a_rule_for_every_colour() {
        for colour in 0..super::super::text::N_COLOURS {
            assert!(STYLE.contains(&format!(".doc-c{colour} {{")), "{colour}");
        }
    }
}
