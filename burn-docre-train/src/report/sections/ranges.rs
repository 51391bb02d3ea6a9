//! The scores by distance, mentions and entities.

use burn_docre::eval::{RangeScore, Report};
use maud::html;

use super::parts::{Section, bars_of, legend_of};
use crate::report::{
    chart::{BarChart, Unit},
    scored_model::ScoredModel,
};

/// A list of ranges of a report.
type Ranges = (&'static str, &'static str, fn(&Report) -> &[RangeScore]);

const RANGES: [Ranges; 3] = [
    ("F1 by distance", "sentences apart", |report| &report.by_distance),
    ("F1 by mentions of head and tail", "mentions", |report| &report.by_mentions),
    ("F1 by entities of the document", "entities", |report| &report.by_entities),
];

pub(super) fn section(models: &[ScoredModel]) -> Option<Section> {
    if models.is_empty() {
        return None;
    }
    let body = html! {
        p {
            "Scores of the facts by the distance of head and tail in sentences, by the number of their "
            "mentions, and by the number of entities of their document."
        }
        (legend_of(models))
        div.charts { @for ranges in RANGES { (chart(models, ranges)) } }
    };
    Some(Section { id: "ranges", title: "Distance, mentions and entities", body })
}

/// The chart of a list of ranges. Ranges without a gold fact are left out.
fn chart(models: &[ScoredModel], (title, of, ranges): Ranges) -> BarChart {
    let n_ranges = models.first().map_or(0, |model| ranges(&model.report).len());
    let groups = (0..n_ranges).filter_map(|index| {
        let support =
            models.iter().map(|model| ranges(&model.report)[index].support).max().unwrap_or(0);
        let label = label(&ranges(&models.first()?.report)[index]);
        let f1 = |model: &ScoredModel| Some(ranges(&model.report)[index].score.f1);
        (support > 0).then(|| bars_of(label, format!("{support} gold"), models, f1))
    });
    BarChart::new(title, of, Unit::Percent, groups.collect())
}

fn label(range: &RangeScore) -> String {
    match (range.from, range.to) {
        (from, Some(to)) if from == to => from.to_string(),
        (from, Some(to)) => format!("{from} to {to}"),
        (from, None) => format!("{from} and more"),
    }
}
