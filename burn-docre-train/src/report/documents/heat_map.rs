//! The axial attention of pairs: a table in HTML, and the data from which the script draws the heat
//! map of a chosen pair.

use std::{cmp::Reverse, collections::BTreeMap, fmt::Write};

use maud::{Markup, PreEscaped, html};
use serde::Serialize;

use super::{
    collect::{MAX_ENTITIES, MAX_WEIGHTS},
    table::framed_table,
    view::{Attention, DocumentView, FactView, LayerWeights, MixerView, PairAttention, Weights},
};

/// The number of entities that a cell of the table names.
const N_STRONGEST: usize = 3;

/// The section of a document. Without attention, it says why.
pub(super) fn section(view: &DocumentView, mixer: MixerView) -> Markup {
    let about = match mixer {
        MixerView::None => {
            return html! { p.doc-note { "This system has no axial attention: no pair mixer." } };
        }
        MixerView::AxialStack { layers, heads } => {
            format!("The axial stack has {layers} layers of {heads} attention heads.")
        }
        MixerView::TwoHop => "Two-hop attention has one layer and one attention head.".to_owned(),
    };
    let Some(attention) = &view.attention else {
        return html! {
            p.doc-note {
                (about) " There is no attention to show. The document has no fact, or over " (MAX_ENTITIES)
                " entities, or the page has too many documents, or the model could not be read."
            }
        };
    };
    html! {
        p.doc-note {
            (about)
            " A pair (head, tail) attends to the pairs of its tail, the column of the grid, and to \
             those of its head, the row. The weights of either sum to 100 %."
            @if attention.has_pad() {
                " The pad stands for the unmasked padding, with the sum of its weights."
            }
            @if attention.n_left_out > 0 {
                " " (attention.n_left_out) " pairs are left out: the page has at most "
                (MAX_WEIGHTS) " weights."
            }
        }
        div.doc-heat {}
        details {
            summary { "Strongest weights of the last layer as a table" }
            (table(view, attention))
        }
    }
}

/// The strongest weights of the last layer, the mean over its attention heads.
fn table(view: &DocumentView, attention: &Attention) -> Markup {
    let headings = html! {
        th scope="col" { "Pair" }
        th scope="col" { "Column: strongest heads" }
        th scope="col" { "Row: strongest tails" }
    };
    let rows = html! {
        @for PairAttention { head, tail, layers } in &attention.pairs {
            @if let Some(LayerWeights { column, row }) = layers.last() {
                tr {
                    th scope="row" { (view.label(*head)) " → " (view.label(*tail)) }
                    td { (strongest(view, &column.mean)) }
                    td { (strongest(view, &row.mean)) }
                }
            }
        }
    };
    framed_table(&format!("Strongest weights of {}", view.title), &headings, &rows)
}

/// The entities of the largest weights, in percent.
fn strongest(view: &DocumentView, weights: &[u8]) -> String {
    let mut entities: Vec<usize> = (0..weights.len()).collect();
    // The sort is stable, so equal weights keep the order of their entities.
    entities.sort_by_key(|entity| Reverse(weights[*entity]));
    let name = |entity: &usize| {
        let percent = (f64::from(weights[*entity]) / 2.55).round();
        let is_pad = *entity == view.entities.len();
        let label = if is_pad { "pad".to_owned() } else { view.label(*entity) };
        format!("{label} {percent} %")
    };
    entities.iter().take(N_STRONGEST).map(name).collect::<Vec<_>>().join(", ")
}

/// The data of a document for the script.
#[derive(Serialize)]
struct Data<'a> {
    /// The names of the entities.
    names: Vec<&'a str>,
    facts: Vec<FactData<'a>>,
    names_evidence: bool,
    has_pad: bool,
    n_layers: usize,
    /// The weights of each pair `HEAD,TAIL` as [`packed`] text.
    weights: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct FactData<'a> {
    head: usize,
    tail: usize,
    gold: &'a [usize],
    predicted: &'a [usize],
    key_mention_pairs: &'a [[usize; 2]],
}

impl<'a> FactData<'a> {
    fn new(fact: &'a FactView) -> Self {
        Self {
            head: fact.head,
            tail: fact.tail,
            gold: &fact.gold_evidence,
            predicted: &fact.evidence,
            key_mention_pairs: &fact.key_mention_pairs,
        }
    }
}

/// The data of a document as a JSON element. No text in it can end the element.
pub(super) fn data(view: &DocumentView, names_evidence: bool) -> Markup {
    let attention = view.attention.as_ref();
    let pairs = attention.map_or(&[][..], |attention| &attention.pairs);
    let data = Data {
        names: view.entities.iter().map(|entity| entity.name.as_str()).collect(),
        facts: view.facts.iter().map(FactData::new).collect(),
        names_evidence,
        has_pad: attention.is_some_and(Attention::has_pad),
        n_layers: pairs.first().map_or(0, |pair| pair.layers.len()),
        weights: pairs
            .iter()
            .map(|pair| (format!("{},{}", pair.head, pair.tail), packed(&pair.layers)))
            .collect(),
    };
    let json = serde_json::to_string(&data).expect("numbers and strings can be written");
    let json = json.replace('<', "\\u003c");
    html! { script.doc-data type="application/json" { (PreEscaped(json)) } }
}

/// Two hexadecimal digits for each weight: by layer, then column and row, then mean and maximum,
/// then by entity.
fn packed(layers: &[LayerWeights]) -> String {
    let mut text = String::new();
    for LayerWeights { column, row } in layers {
        for Weights { mean, maximum } in [column, row] {
            for weight in mean.iter().chain(maximum) {
                write!(text, "{weight:02x}").expect("a string takes every text");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::documents::view::testing;

    fn attention() -> Attention {
        let weights = |mean: [u8; 4]| Weights { mean: mean.into(), maximum: vec![255, 0, 16, 1] };
        let layer = LayerWeights { column: weights([10, 51, 0, 51]), row: weights([1, 2, 3, 255]) };
        let pair = PairAttention { head: 0, tail: 1, layers: vec![LayerWeights::default(), layer] };
        Attention { n_entities: 3, pairs: vec![pair], n_left_out: 2 }
    }

    fn with_attention() -> DocumentView {
        DocumentView { attention: Some(attention()), ..testing::view() }
    }

    #[test]
    fn the_table_names_the_strongest_entities_and_the_pad() {
        let view = with_attention();
        assert_eq!(strongest(&view, &[10, 51, 0, 51]), "2 Oslo 20 %, pad 20 %, 1 Anna 4 %");
        assert_eq!(strongest(&view, &[]), "");
        let html = section(&view, MixerView::AxialStack { layers: 2, heads: 4 }).into_string();
        assert!(html.contains("1 Anna → 2 Oslo") && html.contains("pad 100 %"), "{html}");
        assert!(html.contains("The pad stands for") && html.contains("2 pairs are left out"));
    }

    #[test]
    fn a_document_without_attention_says_why() {
        let of = |view: &DocumentView, mixer| section(view, mixer).into_string();
        assert!(of(&testing::view(), MixerView::None).contains("no axial attention"));
        let stack = MixerView::AxialStack { layers: 2, heads: 4 };
        assert!(of(&testing::view(), stack).contains("over 128 entities"));
    }

    #[test]
    fn weights_are_packed_by_layer_axis_statistic_and_entity() {
        let text = packed(&attention().pairs[0].layers);
        assert_eq!(text, "0a330033ff001001010203ffff001001");
    }

    #[test]
    fn no_name_ends_the_data_and_the_data_is_json() {
        let mut view = with_attention();
        view.entities[0].name = "</script><script>alert(\"x\")<!--".into();
        let html = data(&view, true).into_string();
        let json = html.split_once('>').unwrap().1.strip_suffix("</script>").unwrap();
        assert!(!json.contains('<'), "{json}");
        let value: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(value["names"][0], view.entities[0].name);
        let fact = serde_json::json!({
            "head": 0, "tail": 1, "gold": [0], "predicted": [0, 1], "key_mention_pairs": [[1, 0]]
        });
        assert_eq!(value["facts"][0], fact);
        assert_eq!(value["weights"]["0,1"], packed(&attention().pairs[0].layers));
        assert_eq!((&value["n_layers"], &value["has_pad"]), (&2.into(), &true.into()));
    }
}
