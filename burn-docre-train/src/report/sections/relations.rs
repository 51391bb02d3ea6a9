//! The scores by relation type.

use std::collections::BTreeMap;

use maud::html;

use super::parts::{Section, bars_of, head_of, legend_of, score_row};
use crate::report::{
    chart::{BarChart, Unit},
    system::System,
    table::Table,
};

/// The number of relation types in the charts; the table has all.
const N_CHARTED: usize = 24;
/// The number of relation types in one chart.
const N_IN_CHART: usize = 8;

pub(super) fn section(systems: &[System]) -> Option<Section> {
    if systems.is_empty() {
        return None;
    }
    let relations = relations(systems);
    let group = |relation: &Relation| {
        let note = format!("{} gold", relation.support);
        bars_of(&relation.label, note, systems, |system| relation.f1(system))
    };
    let chart = BarChart::new(
        "F1 by relation",
        "relation",
        Unit::Percent,
        relations.iter().take(N_CHARTED).map(group).collect(),
    );
    let body = html! {
        p {
            "Relation types in descending order of their gold facts in the dev documents. The charts "
            "have the first " (N_CHARTED.min(relations.len())) " of " (relations.len()) " types."
        }
        (legend_of(systems))
        div.charts { @for chart in chart.split(N_IN_CHART) { (chart) } }
        details {
            summary { "All relation types" }
            (table(systems, &relations))
        }
    };
    Some(Section { id: "relations", title: "Relations", body })
}

/// A relation type that is in a gold or predicted fact.
struct Relation {
    id: String,
    /// The identifier and the name.
    label: String,
    /// The most gold facts in the dev documents of a system.
    support: usize,
}

impl Relation {
    /// The F1 of a system; `None` if the relation is in no gold or predicted fact.
    fn f1(&self, system: &System) -> Option<f64> {
        system.report.per_relation.get(&self.id).map(|relation| relation.score.f1)
    }
}

/// The relation types of all systems, in descending order of gold facts.
fn relations(systems: &[System]) -> Vec<Relation> {
    let mut relations: BTreeMap<&String, Relation> = BTreeMap::new();
    for system in systems {
        let vocab = &system.vocab;
        for (id, score) in &system.report.per_relation {
            let name = vocab.index_of(id).map_or(id.as_str(), |class| vocab.name(class));
            let label = if name == id { id.clone() } else { format!("{id} {name}") };
            let relation = relations.entry(id).or_insert_with(|| Relation {
                id: id.clone(),
                label,
                support: 0,
            });
            relation.support = relation.support.max(score.support);
        }
    }
    let mut relations: Vec<Relation> = relations.into_values().collect();
    relations.sort_by_key(|relation| std::cmp::Reverse(relation.support));
    relations
}

fn table(systems: &[System], relations: &[Relation]) -> Table {
    let row = |relation: &Relation| {
        let scores: Vec<Option<f64>> = systems.iter().map(|system| relation.f1(system)).collect();
        let label = format!("{}, {} gold facts", relation.label, relation.support);
        score_row(label, &scores, systems)
    };
    Table {
        caption: "F1 of all relation types, %".into(),
        head: head_of("relation", systems),
        n_text_columns: 1,
        rows: relations.iter().map(row).collect(),
    }
}
