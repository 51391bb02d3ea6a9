//! The text of a document with coloured and labelled mentions.

use std::{cmp::Reverse, fmt::Write};

use maud::{Escaper, Markup, PreEscaped, html};

use super::view::DocumentView;

/// Number of colours. More entities share them; the labels tell those apart.
pub(super) const N_COLOURS: usize = 12;
/// The maximum number of mentions around a word. Further ones have a label only.
const MAX_OPEN: usize = 8;

/// The class of an entity's colour.
pub(super) fn colour(entity: usize) -> String {
    format!("doc-c{}", entity % N_COLOURS)
}

/// The label of an entity in its colour, counted from 1.
pub(super) fn tag(entity: usize) -> Markup {
    html! { span class={ "doc-tag " (colour(entity)) } { (entity + 1) } }
}

/// The sentences as a numbered list. Sentence 3 has the id `ANCHOR-s3`.
pub(super) fn sentences(view: &DocumentView) -> Markup {
    let mut mentions = vec![Vec::new(); view.sentences.len()];
    for (entity, of_entity) in view.entities.iter().enumerate() {
        for (index, span) in of_entity.mentions.iter().enumerate() {
            if let Some(mentions) = mentions.get_mut(span.sentence) {
                let (start, end) = (span.start, span.end);
                mentions.push(Mention { entity, index, start, end });
            }
        }
    }
    html! {
        ol.doc-text {
            @for (i, (words, mentions)) in view.sentences.iter().zip(mentions).enumerate() {
                li id={ (view.anchor) "-s" (i + 1) } data-s=(i) { (sentence(words, mentions)) }
            }
        }
    }
}

/// A mention in one sentence.
#[derive(Clone, Copy, Debug)]
struct Mention {
    entity: usize,
    /// Index among the mentions of the entity.
    index: usize,
    start: usize,
    end: usize,
}

/// Writes the words of a sentence with an element around each mention and the entity's label at its
/// end.
///
/// Mentions can lie inside others. Of two that overlap, the one that ends later is split at the end
/// of the other: elements cannot overlap.
fn sentence(words: &[String], mut mentions: Vec<Mention>) -> Markup {
    mentions.sort_by_key(|m| (m.start, Reverse(m.end), m.entity, m.index));
    let mut rest = mentions.into_iter().peekable();
    let mut out = String::new();
    // The open elements, the outermost first.
    let mut open: Vec<Mention> = Vec::new();
    for position in 0..=words.len() {
        let ending = open.iter().position(|mention| mention.end <= position);
        let mut split = open.split_off(ending.unwrap_or(open.len()));
        for mention in split.iter().rev() {
            if mention.end <= position {
                label(&mut out, mention.entity);
            }
            out.push_str("</mark>");
        }
        let Some(word) = words.get(position) else { break };
        if position > 0 {
            out.push(' ');
        }
        split.retain(|mention| mention.end > position);
        while let Some(mention) = rest.next_if(|mention| mention.start <= position) {
            if open.len() + split.len() < MAX_OPEN {
                split.push(mention);
            } else {
                label(&mut out, mention.entity);
            }
        }
        for Mention { entity, index, .. } in &split {
            let colour = colour(*entity);
            // A string takes every text.
            let _ = write!(
                out,
                "<mark class=\"doc-m {colour}\" data-e=\"{entity}\" data-m=\"{index}\">"
            );
        }
        open.append(&mut split);
        let _ = Escaper::new(&mut out).write_str(word);
    }
    PreEscaped(out)
}

/// Writes the label of an entity.
fn label(out: &mut String, entity: usize) {
    let _ = write!(out, "<sup>{}</sup>", entity + 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of a sentence, with `[E…]E` around the elements of entity `E` and `^` before labels.
    fn rendered(words: &str, mentions: &[(usize, usize, usize)]) -> String {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let mention = |(index, &(entity, start, end))| Mention { entity, index, start, end };
        let mentions = mentions.iter().enumerate().map(mention).collect();
        let mut html = sentence(&words, mentions).into_string();
        while let Some(start) = html.find("<mark") {
            let end = start + html[start..].find('>').unwrap();
            let entity = html[start..end].split("data-e=\"").nth(1).unwrap();
            let entity = entity[..entity.find('"').unwrap()].to_owned();
            html.replace_range(start..=end, &format!("[{entity}:"));
        }
        html.replace("</mark>", "]").replace("<sup>", "^").replace("</sup>", "")
    }

    #[test]
    fn a_mention_has_an_element_and_a_label_counted_from_1() {
        assert_eq!(rendered("a b c", &[(0, 1, 3)]), "a [0:b c^1]");
        assert_eq!(rendered("a b", &[(12, 0, 1), (0, 1, 2)]), "[12:a^13] [0:b^1]");
        let html =
            sentence(&["a".into()], vec![Mention { entity: 13, index: 2, start: 0, end: 1 }]);
        let expected =
            "<mark class=\"doc-m doc-c1\" data-e=\"13\" data-m=\"2\">a<sup>14</sup></mark>";
        assert_eq!(html.into_string(), expected);
    }

    #[test]
    fn nested_mentions_are_nested_elements() {
        let nested = [(0, 0, 3), (1, 1, 2), (2, 2, 3)];
        assert_eq!(rendered("a b c d", &nested), "[0:a [1:b^2] [2:c^3]^1] d");
        assert_eq!(rendered("a b", &[(1, 0, 2), (0, 0, 2)]), "[0:[1:a b^2]^1]");
    }

    #[test]
    fn of_overlapping_mentions_the_later_is_split() {
        assert_eq!(rendered("a b c", &[(0, 0, 2), (1, 1, 3)]), "[0:a [1:b]^1] [1:c^2]");
        let three = [(0, 0, 2), (1, 1, 4), (2, 1, 3)];
        assert_eq!(rendered("a b c d", &three), "[0:a [1:[2:b]]^1] [1:[2:c^3] d^2]");
    }

    #[test]
    fn every_word_is_escaped_and_every_element_is_closed() {
        let html = rendered("<b> &amp; \"x\"", &[(0, 0, 2)]);
        assert_eq!(html, "[0:&lt;b&gt; &amp;amp;^1] &quot;x&quot;");
        // Twenty mentions of one span: the innermost have a label only.
        let many: Vec<_> = (0..20).map(|entity| (entity, 0, 1)).collect();
        let html = rendered("a b", &many);
        assert_eq!((html.matches('[').count(), html.matches(']').count()), (MAX_OPEN, MAX_OPEN));
        assert_eq!(html.matches('^').count(), 20);
    }
}
