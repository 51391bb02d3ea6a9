//! The scores by relation type.

use std::collections::BTreeMap;

use maud::html;

use super::parts::{Section, bars_of, head_of, legend_of, score_row};
use crate::report::{
    chart::{BarChart, Unit},
    scored_model::ScoredModel,
    table::Table,
};

/// The number of relation types in the charts; the table has all.
const N_CHARTED: usize = 24;
/// The number of relation types in one chart.
const N_IN_CHART: usize = 8;

pub(super) fn section(models: &[ScoredModel]) -> Option<Section> {
    if models.is_empty() {
        return None;
    }
    let relations = relations(models);
    let group = |relation: &Relation| {
        let note = format!("{} gold", relation.support);
        bars_of(&relation.label, note, models, |model| relation.f1(model))
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
        (legend_of(models))
        div.charts { @for chart in chart.split(N_IN_CHART) { (chart) } }
        details {
            summary { "All relation types" }
            (table(models, &relations))
        }
    };
    Some(Section { id: "relations", title: "Relations", body })
}

/// A relation type that is in a gold or predicted fact.
struct Relation {
    id: String,
    /// The identifier and the name.
    label: String,
    /// The most gold facts in the dev documents of a model.
    support: usize,
}

impl Relation {
    /// The F1 of a model; `None` if the relation is in no gold or predicted fact.
    fn f1(&self, model: &ScoredModel) -> Option<f64> {
        model.report.per_relation.get(&self.id).map(|relation| relation.score.f1)
    }
}

/// The relation types of all models, in descending order of gold facts.
fn relations(models: &[ScoredModel]) -> Vec<Relation> {
    let mut relations: BTreeMap<&String, Relation> = BTreeMap::new();
    for model in models {
        let vocab = &model.vocab;
        for (id, score) in &model.report.per_relation {
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

fn table(models: &[ScoredModel], relations: &[Relation]) -> Table {
    let row = |relation: &Relation| {
        let scores: Vec<Option<f64>> = models.iter().map(|model| relation.f1(model)).collect();
        let label = format!("{}, {} gold facts", relation.label, relation.support);
        score_row(label, &scores, models)
    };
    Table {
        caption: "F1 of all relation types, %".into(),
        head: head_of("relation", models),
        n_text_columns: 1,
        rows: relations.iter().map(row).collect(),
    }
}
