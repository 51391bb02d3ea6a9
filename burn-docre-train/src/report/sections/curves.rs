//! The learning curves by stage: losses over the steps, dev scores over the epochs.

use maud::html;

use super::parts::Section;
use crate::{
    report::{
        chart::{Line, LineChart, Segment, Series, Unit, legend},
        run::{ReportedRun, ReportedStage},
    },
    train::{
        metric_log::LoggedMetrics,
        metrics::{LEARNING_RATE, LOSS},
    },
    ui::metric_key,
};

/// The most points of a line. More steps are averaged.
const MAX_POINTS: usize = 100;

pub(super) fn section(runs: &[ReportedRun]) -> Option<Section> {
    let mut titles: Vec<&str> = Vec::new();
    for stage in stages(runs) {
        if !titles.contains(&stage.title) && !stage.log.is_empty() {
            titles.push(stage.title);
        }
    }
    if titles.is_empty() {
        return None;
    }
    let body = html! {
        p {
            "Losses are those of the optimizer steps; of more than " (MAX_POINTS) " steps, points are "
            "means of neighbouring ones. Steps without a value, such as those of an E step, leave a "
            "gap. Dev scores are in percent."
        }
        @for title in titles {
            @let stages: Vec<&ReportedStage> =
                stages(runs).filter(|stage| stage.title == title).collect();
            h3 { "Stage: " (title) }
            (legend(&stages.iter().map(|stage| stage.series.clone()).collect::<Vec<Series>>()))
            div.charts {
                @for chart in of_steps(title, &stages).chain(of_epochs(title, runs, &stages)) { (chart) }
            }
        }
    };
    Some(Section { id: "curves", title: "Learning curves", body })
}

fn stages(runs: &[ReportedRun]) -> impl Iterator<Item = &ReportedStage> {
    runs.iter().flat_map(|run| &run.stages)
}

/// The charts of everything that the steps of a stage log.
fn of_steps<'a>(title: &str, stages: &'a [&ReportedStage]) -> impl Iterator<Item = LineChart> + 'a {
    let mut names: Vec<&String> = Vec::new();
    let steps = stages.iter().flat_map(|stage| &stage.log).filter(|logged| logged.is_step);
    for name in steps.flat_map(|logged| logged.values.keys()) {
        // The learning rate is no curve of learning.
        if name != LEARNING_RATE && !names.contains(&name) {
            names.push(name);
        }
    }
    // The loss comes before its parts.
    names.sort_by_key(|name| (name.as_str() != LOSS, *name));
    let title = title.to_owned();
    let segments = |stage: &ReportedStage, name: &str| averaged(&by_step(&stage.log, name));
    names.into_iter().map(move |name| {
        let title = format!("{name}, {title}");
        chart(title, "step", Unit::Number, stages, |stage| segments(stage, name))
    })
}

/// The charts of the dev scores of a stage that are columns of its plan.
fn of_epochs<'a>(
    title: &str,
    runs: &[ReportedRun],
    stages: &'a [&ReportedStage],
) -> impl Iterator<Item = LineChart> + 'a {
    let columns = || runs.iter().flat_map(|run| run.config.plan.plan().columns);
    let mut names: Vec<&String> = Vec::new();
    for name in stages.iter().flat_map(|stage| &stage.log).flat_map(|logged| logged.values.keys()) {
        let is_column = columns().any(|column| column.metric == metric_key(name));
        if is_column && !names.contains(&name) {
            names.push(name);
        }
    }
    let title = title.to_owned();
    let fractions = |stage: &ReportedStage, name: &str| {
        let percent = by_epoch(&stage.log, name).into_iter();
        vec![percent.map(|(epoch, score)| (epoch, score / 100.0)).collect()]
    };
    names.into_iter().map(move |name| {
        let title = format!("dev {name}, {title}");
        chart(title, "epoch", Unit::Percent, stages, |stage| fractions(stage, name))
    })
}

fn chart(
    title: String,
    over: &'static str,
    unit: Unit,
    stages: &[&ReportedStage],
    segments: impl Fn(&ReportedStage) -> Vec<Segment>,
) -> LineChart {
    let line = |stage: &&ReportedStage| {
        let segments = segments(stage).into_iter().filter(|segment| !segment.is_empty());
        Line { series: stage.series.clone(), segments: segments.collect() }
    };
    let lines = stages.iter().map(line).filter(|line| !line.segments.is_empty());
    LineChart { title, over, unit, lines: lines.collect() }
}

/// The values of a metric by step. Each step without it, such as those of an E step, divides the
/// line; a segment between two of them is empty.
fn by_step(log: &[LoggedMetrics], name: &str) -> Vec<Segment> {
    let steps = log.iter().filter(|logged| logged.is_step).enumerate();
    let points: Vec<_> =
        steps.map(|(index, step)| Some(((index + 1) as f64, *step.values.get(name)?))).collect();
    let segments = points.split(Option::is_none);
    segments.map(|segment| segment.iter().copied().flatten().collect()).collect()
}

/// The values of a dev metric by epoch.
fn by_epoch(log: &[LoggedMetrics], name: &str) -> Segment {
    let evaluations = log.iter().filter(|logged| !logged.is_step);
    let point = |logged: &LoggedMetrics| Some((logged.epoch as f64, *logged.values.get(name)?));
    evaluations.filter_map(point).collect()
}

/// Means over equal numbers of neighbours, so that a line has about [`MAX_POINTS`] points.
fn averaged(segments: &[Segment]) -> Vec<Segment> {
    let n_points: usize = segments.iter().map(Vec::len).sum();
    let n = n_points.div_ceil(MAX_POINTS).max(1);
    let mean = |chunk: &[(f64, f64)]| {
        let sum = chunk.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / chunk.len() as f64, sum.1 / chunk.len() as f64)
    };
    segments.iter().map(|segment| segment.chunks(n).map(mean).collect()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn logged(is_step: bool, epoch: usize, values: &[(&str, f64)]) -> LoggedMetrics {
        let values = values.iter().map(|&(name, value)| (name.to_owned(), value));
        LoggedMetrics { is_step, epoch, values: BTreeMap::from_iter(values) }
    }

    #[test]
    fn steps_are_numbered_through_all_epochs_and_those_without_the_metric_divide_the_line() {
        let log = [
            logged(true, 1, &[("Loss", 4.0), ("Key Loss", 1.0)]),
            logged(true, 1, &[("Loss", 3.0)]),
            logged(false, 1, &[("F1", 50.0)]),
            logged(true, 2, &[("Loss", 2.0), ("Key Loss", 0.5)]),
            logged(false, 2, &[("F1", 60.0)]),
        ];
        assert_eq!(by_step(&log, "Loss"), [[(1.0, 4.0), (2.0, 3.0), (3.0, 2.0)]]);
        assert_eq!(by_step(&log, "Key Loss"), [[(1.0, 1.0)], [(3.0, 0.5)]]);
        assert_eq!(by_epoch(&log, "F1"), [(1.0, 50.0), (2.0, 60.0)]);
    }

    #[test]
    fn many_steps_are_averaged_over_equal_numbers_of_neighbours() {
        let few = [vec![(1.0, 4.0), (2.0, 2.0)]];
        assert_eq!(averaged(&few), few);
        assert!(averaged(&[]).is_empty());
        // 150 points in pairs: the mean of 1 and 2 is 1.5, of their halves 0.75.
        let many: Vec<_> = (1..=150).map(|i| (f64::from(i), f64::from(i) / 2.0)).collect();
        let averaged_many = averaged(std::slice::from_ref(&many));
        let points = &averaged_many[0];
        assert_eq!((points.len(), points[0], points[74]), (75, (1.5, 0.75), (149.5, 74.75)));
        // A mean does not reach across a gap: 75 points become 37 pairs and one point.
        let divided = averaged(&[many[..75].to_vec(), many[75..].to_vec()]);
        assert_eq!(
            (divided[0].len(), divided[0][37], divided[1][0]),
            (38, (75.0, 37.5), (76.5, 38.25))
        );
    }
}
