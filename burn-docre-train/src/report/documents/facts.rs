//! The table of the facts of a document.

use maud::{Markup, html};

use super::{
    table::framed_table,
    text::tag,
    view::{DocumentView, DocumentViews, FactView, Status},
};

/// The maximum number of key mention pairs that a row names.
const MAX_MENTION_PAIRS: usize = 4;

/// The facts, one row each. The script makes the facts buttons that choose their pair.
pub(super) fn table(view: &DocumentView, views: &DocumentViews) -> Markup {
    let headings = html! {
        th scope="col" { "#" }
        th scope="col" { "Status" }
        th scope="col" { "Fact" }
        th scope="col" { "Gold evidence" }
        @if views.names_evidence { th scope="col" { "Predicted evidence" } }
        th.doc-number scope="col" { "Score" }
    };
    let rows = html! {
        @for (index, fact) in view.facts.iter().enumerate() { (row(view, views, index, fact)) }
    };
    html! {
        (framed_table(&format!("Facts of {}", view.title), &headings, &rows))
        @if view.n_unlisted > 0 {
            p.doc-note { (view.n_unlisted) " more wrong predictions with lower scores are not listed." }
        }
    }
}

fn row(view: &DocumentView, views: &DocumentViews, index: usize, fact: &FactView) -> Markup {
    let FactView { status, head, tail, id, name, .. } = fact;
    let is_predicted = *status != Status::Missed;
    html! {
        tr {
            td.doc-number { (index + 1) }
            td class={ "doc-" (status.name()) } { (status.sign()) " " (status.name()) }
            td {
                span.doc-fact data-f=(index) {
                    (entity(view, *head)) " – "
                    em title=(id) { (name) } " → "
                    (entity(view, *tail))
                }
            }
            td { (evidence(view, &fact.gold_evidence)) }
            @if views.names_evidence {
                td {
                    @if is_predicted {
                        (evidence(view, &fact.evidence))
                        (key_mention_pairs(view, fact))
                    }
                }
            }
            td.doc-number { @if let Some(score) = fact.score { (format!("{score:.2}")) } }
        }
    }
}

/// The label and the name of an entity.
fn entity(view: &DocumentView, entity: usize) -> Markup {
    let name = view.entities.get(entity).map_or("", |entity| entity.name.as_str());
    html! { (tag(entity)) " " bdi { (name) } }
}

/// Links to sentences, counted from 1.
fn evidence(view: &DocumentView, sentences: &[usize]) -> Markup {
    html! {
        @for (i, sentence) in sentences.iter().enumerate() {
            @if i > 0 { ", " }
            a href={ "#" (view.anchor) "-s" (sentence + 1) } { (sentence + 1) }
        }
        @if sentences.is_empty() { "–" }
    }
}

/// The key mention pairs with the sentences of their mentions.
fn key_mention_pairs(view: &DocumentView, fact: &FactView) -> Markup {
    let mention = |entity: usize, index: usize| {
        let span = view.entities.get(entity)?.mentions.get(index)?;
        let words = view.sentences.get(span.sentence)?.get(span.start..span.end)?;
        Some(format!("“{}” in {}", words.join(" "), span.sentence + 1))
    };
    let pairs = fact.key_mention_pairs.iter().filter_map(|&[of_head, of_tail]| {
        Some([mention(fact.head, of_head)?, mention(fact.tail, of_tail)?])
    });
    let pairs: Vec<[String; 2]> = pairs.collect();
    html! {
        @if !pairs.is_empty() {
            ul.doc-mentions aria-label="Key mention pairs" {
                @for [head, tail] in pairs.iter().take(MAX_MENTION_PAIRS) {
                    li { (head) " – " (tail) }
                }
                @if pairs.len() > MAX_MENTION_PAIRS {
                    li { "and " (pairs.len() - MAX_MENTION_PAIRS) " more" }
                }
            }
        }
    }
}
