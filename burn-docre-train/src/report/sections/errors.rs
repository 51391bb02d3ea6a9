//! The kinds of errors and the binary scores: tables 7 and 8 of KD-DocRE.

use burn_docre::eval::ErrorCounts;
use maud::html;

use super::parts::{Section, bars_of, head_of, legend_of};
use crate::{
    report::{
        chart::{BarChart, Unit},
        scored_model::ScoredModel,
        table::{Row, Table},
    },
    ui::percent,
};

/// A kind of facts and its number.
type Kind = (&'static str, fn(&ErrorCounts) -> usize);

const KINDS: [Kind; 4] = [
    ("correct", |errors| errors.correct),
    ("wrong relation", |errors| errors.wrong),
    ("missed", |errors| errors.missed),
    ("spurious", |errors| errors.spurious),
];

pub(super) fn section(models: &[ScoredModel]) -> Option<Section> {
    if models.is_empty() {
        return None;
    }
    let groups = KINDS.map(|(label, count)| {
        bars_of(label, "", models, |model| Some(share(&model.report.errors, count)))
    });
    let chart =
        BarChart::new("Share of correct facts and errors", "kind", Unit::Percent, groups.into());
    let row = |(label, count): Kind| {
        let cell = |model: &ScoredModel| {
            let errors = &model.report.errors;
            format!("{} ({} %)", count(errors), percent(share(errors, count)))
        };
        Row::new(label, models.iter().map(cell))
    };
    let table = Table {
        caption: "Correct facts and errors by kind".into(),
        head: head_of("", models),
        n_text_columns: 1,
        rows: KINDS.map(row).into(),
    };
    let body = html! {
        p {
            "As in table 7 of KD-DocRE. A predicted fact is correct, has a wrong relation for a related "
            "pair, or is spurious: its pair is unrelated. A gold fact is missed if nothing is predicted "
            "for its pair. Shares are of the sum of the four numbers."
        }
        (legend_of(models))
        div.beside {
            (chart)
            (table)
        }
    };
    Some(Section { id: "errors", title: "Errors", body })
}

/// The share of a kind in the sum of all kinds; 0 without a fact.
fn share(errors: &ErrorCounts, count: fn(&ErrorCounts) -> usize) -> f64 {
    let sum: usize = KINDS.iter().map(|(_, count)| count(errors)).sum();
    count(errors) as f64 / sum.max(1) as f64
}

/// The section of the binary scores.
pub(super) fn binary(models: &[ScoredModel]) -> Option<Section> {
    if models.is_empty() {
        return None;
    }
    let scores = [
        ("precision", (|model| model.report.binary.precision) as fn(&ScoredModel) -> f64),
        ("recall", |model| model.report.binary.recall),
        ("F1", |model| model.report.binary.f1),
    ];
    let groups =
        scores.map(|(label, score)| bars_of(label, "", models, |model| Some(score(model))));
    let chart = BarChart::new("Binary scores", "score", Unit::Percent, groups.into());
    let body = html! {
        p {
            "As in table 8 of KD-DocRE: ordered pairs of entities are related or not, without regard to "
            "the relation."
        }
        (legend_of(models))
        div.charts { (chart) }
    };
    Some(Section { id: "binary", title: "Binary scores", body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_the_sum_of_all_kinds() {
        let errors = ErrorCounts { correct: 3, wrong: 1, missed: 4, spurious: 2 };
        let shares = KINDS.map(|(_, count)| share(&errors, count));
        assert_eq!(shares, [0.3, 0.1, 0.4, 0.2]);
        assert_eq!(share(&ErrorCounts::default(), KINDS[0].1), 0.0);
    }
}
