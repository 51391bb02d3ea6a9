//! `ablations.json`: the scores of an ablation by table, row and seed, beside the paper's.
//!
//! docs/ablations.md describes the file. It contains neither a time nor a path, so equal runs give
//! equal bytes.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// The name of the file in the directory of an ablation.
pub const ABLATIONS: &str = "ablations.json";

/// Dev scores by the key of their metric, such as `ign_f1`; fractions in `0..=1`.
pub type Scores = BTreeMap<String, f64>;

/// The results of an ablation. While runs are missing, rows have fewer seeds than `seeds`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ablations {
    /// The seeds of the runs.
    pub seeds: Vec<u64>,
    /// The tables, each with the form of a table of a paper.
    pub tables: Vec<AblationTable>,
    /// The groups of tables that do not fit the configuration.
    pub omitted: Vec<OmittedGroup>,
}

/// A group of tables that does not fit the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OmittedGroup {
    /// The name of the group, as after `--only`.
    pub group: String,
    /// The reason, a clause.
    pub reason: String,
}

impl fmt::Display for OmittedGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.group, self.reason)
    }
}

/// One table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AblationTable {
    /// The name of the group, as after `--only`.
    pub group: String,
    /// The heading.
    pub title: String,
    /// The paper, its table, corpus and encoder.
    pub source: String,
    /// A sentence about the paper's figures.
    pub note: Option<String>,
    /// The name of the stage whose models are scored.
    pub stage: String,
    /// The columns, in the order of the paper.
    pub metrics: Vec<Metric>,
    /// The key of the metric that orders the rows in `order`.
    pub order_metric: String,
    /// The rows, in the order of the paper.
    pub rows: Vec<AblationRow>,
    /// The rows that are neighbours in the paper's order, and their order here.
    pub order: Vec<OrderedRows>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// The key in [`Scores`].
    pub key: String,
    /// The heading.
    pub title: String,
}

/// One row: the runs of one variant of the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AblationRow {
    /// The name of the variant.
    pub name: String,
    /// The name of its runs: each is in the directory `SEED/RUN` of the ablation.
    pub run: String,
    /// The keys of the configuration whose values are not those of the base, in order.
    pub changes: Vec<String>,
    /// The paper's scores; `None` if the paper has no such row.
    pub paper: Option<Scores>,
    /// The scores of each seed.
    pub seeds: Vec<SeedScores>,
    /// The means over the seeds; `None` without a seed.
    pub mean: Option<Scores>,
    /// The sample standard deviations over the seeds; `None` with fewer than two seeds.
    pub deviation: Option<Scores>,
}

/// The scores of a run: `{"seed": 7, "f1": 0.61, "ign_f1": 0.59}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeedScores {
    /// The seed.
    pub seed: u64,
    /// The scores; their keys stand beside the seed.
    #[serde(flatten)]
    pub scores: Scores,
}

/// Two rows that the paper orders, with no other row between them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderedRows {
    /// The name of the row that is higher in the paper.
    pub higher: String,
    /// The name of the row that is lower in the paper.
    pub lower: String,
    /// The score of `higher` minus that of `lower` in the paper; positive.
    pub paper_difference: f64,
    /// The mean of the same difference over the seeds that both rows have.
    pub difference: f64,
    /// The standard error of `difference`: the sample standard deviation of the seeds' differences
    /// divided by the root of their number. `None` with fewer than two seeds.
    pub standard_error: Option<f64>,
    /// The number of seeds with a positive difference.
    pub n_in_order: usize,
    /// The number of seeds that both rows have.
    pub n_seeds: usize,
}

/// How the order of two rows here relates to the paper's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It is the paper's.
    Reproduced,
    /// It is the opposite of the paper's.
    Reversed,
    /// The 95 % confidence interval of the difference contains 0, or there is one seed.
    Undecided,
}

impl Order {
    /// The word in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reproduced => "reproduced",
            Self::Reversed => "reversed",
            Self::Undecided => "undecided",
        }
    }
}

impl AblationRow {
    /// A row whose mean and deviation are those of `seeds`, which have the same metrics.
    pub fn new(
        name: String,
        run: String,
        changes: Vec<String>,
        paper: Option<Scores>,
        seeds: Vec<SeedScores>,
    ) -> Self {
        let mean = over_seeds(&seeds, mean);
        let deviation = over_seeds(&seeds, sample_deviation);
        Self { name, run, changes, paper, seeds, mean, deviation }
    }

    fn score(&self, seed: u64, metric: &str) -> Option<f64> {
        let of_seed = self.seeds.iter().find(|scores| scores.seed == seed)?;
        of_seed.scores.get(metric).copied()
    }

    fn paper_score(&self, metric: &str) -> Option<f64> {
        self.paper.as_ref()?.get(metric).copied()
    }
}

impl OrderedRows {
    /// The order of the two rows, by the 95 % confidence interval of the mean difference. The
    /// interval is that of Student's t distribution with `n_seeds - 1` degrees of freedom.
    pub fn order(&self) -> Order {
        let limit = self.standard_error.map_or(f64::INFINITY, |error| {
            let beyond = T_QUANTILES[T_QUANTILES.len() - 1];
            error * T_QUANTILES.get(self.n_seeds.saturating_sub(2)).unwrap_or(&beyond)
        });
        match self.difference {
            difference if difference > limit => Order::Reproduced,
            difference if difference < -limit => Order::Reversed,
            _ => Order::Undecided,
        }
    }

    /// The pairs of `rows` that are neighbours in the paper's order by `metric` and have a common
    /// seed. Rows with equal scores in the paper have the same neighbours.
    pub fn of(rows: &[AblationRow], metric: &str) -> Vec<Self> {
        let paper: Vec<(&AblationRow, f64)> =
            rows.iter().filter_map(|row| Some((row, row.paper_score(metric)?))).collect();
        let are_neighbours = |higher: f64, lower: f64| {
            let is_between = |score: f64| higher > score && score > lower;
            higher > lower && !paper.iter().any(|&(_, score)| is_between(score))
        };
        let mut pairs = Vec::new();
        for &(higher, above) in &paper {
            for &(lower, below) in &paper {
                if are_neighbours(above, below) {
                    pairs.extend(Self::pair(higher, lower, above - below, metric));
                }
            }
        }
        pairs
    }

    fn pair(
        higher: &AblationRow,
        lower: &AblationRow,
        paper_difference: f64,
        metric: &str,
    ) -> Option<Self> {
        let difference = |scores: &SeedScores| {
            Some(scores.scores.get(metric)? - lower.score(scores.seed, metric)?)
        };
        let differences: Vec<f64> = higher.seeds.iter().filter_map(difference).collect();
        Some(Self {
            higher: higher.name.clone(),
            lower: lower.name.clone(),
            paper_difference,
            difference: mean(&differences)?,
            standard_error: sample_deviation(&differences)
                .map(|deviation| deviation / (differences.len() as f64).sqrt()),
            n_in_order: differences.iter().filter(|&&difference| difference > 0.0).count(),
            n_seeds: differences.len(),
        })
    }
}

/// The 0.975 quantiles of Student's t distribution, from one degree of freedom upwards.
const T_QUANTILES: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];

/// Applies `statistic` to the values of each metric; `None` if it is for a metric.
fn over_seeds(seeds: &[SeedScores], statistic: impl Fn(&[f64]) -> Option<f64>) -> Option<Scores> {
    let metrics = seeds.first()?.scores.keys();
    let of_metric = |metric: &String| {
        let values: Vec<f64> =
            seeds.iter().filter_map(|scores| scores.scores.get(metric).copied()).collect();
        Some((metric.clone(), statistic(&values)?))
    };
    metrics.map(of_metric).collect()
}

/// The mean; `None` without a value.
fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The sample standard deviation: the root of the squared deviations from the mean, summed and
/// divided by `n - 1`; `None` with fewer than two values.
fn sample_deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() > 1)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A row with one score for each of the seeds 1, 2, …
    pub(in crate::ablation) fn row(name: &str, paper: Option<f64>, scores: &[f64]) -> AblationRow {
        let of = |score: f64| Scores::from([("f1".into(), score)]);
        let seeds = (1..).zip(scores).map(|(seed, &score)| SeedScores { seed, scores: of(score) });
        let run = name.to_lowercase();
        AblationRow::new(name.into(), run, Vec::new(), paper.map(of), seeds.collect())
    }

    #[test]
    fn mean_and_deviation_are_those_of_a_calculation_by_hand() {
        // Mean 3; squared deviations 4, 0, 4; 8 / 2 = 4; root 2.
        let row = row("a", None, &[1.0, 3.0, 5.0]);
        assert_eq!(row.mean.unwrap()["f1"], 3.0);
        assert_eq!(row.deviation.unwrap()["f1"], 2.0);
    }

    #[test]
    fn one_seed_has_a_mean_and_no_deviation() {
        let one = row("a", None, &[0.5]);
        assert_eq!((one.mean.unwrap()["f1"], one.deviation), (0.5, None));
        let none = row("a", None, &[]);
        assert_eq!((none.mean, none.deviation), (None, None));
    }

    #[test]
    fn only_neighbours_in_the_papers_order_are_compared() {
        let rows = [
            row("middle", Some(0.5), &[0.25, 0.5]),
            row("low", Some(0.25), &[0.5, 0.5]),
            row("top", Some(0.75), &[0.75, 0.75]),
            row("also top", Some(0.75), &[0.5, 0.25]),
            row("unknown", None, &[0.0, 0.0]),
        ];
        let pair =
            |higher: &str, lower: &str, difference, standard_error, n_in_order| OrderedRows {
                higher: higher.into(),
                lower: lower.into(),
                paper_difference: 0.25,
                difference,
                standard_error: Some(standard_error),
                n_in_order,
                n_seeds: 2,
            };
        let order = OrderedRows::of(&rows, "f1");
        // The differences of the two seeds are -0.25 and 0, 0.5 and 0.25, 0.25 and -0.25. The
        // standard error of two values is half of what lies between them.
        let expected = [
            pair("middle", "low", -0.125, 0.125, 0),
            pair("top", "middle", 0.375, 0.125, 2),
            pair("also top", "middle", 0.0, 0.25, 1),
        ];
        let rounded = order.into_iter().map(|mut pair| {
            pair.standard_error = pair.standard_error.map(|error| (1e9 * error).round() / 1e9);
            pair
        });
        assert_eq!(rounded.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_order_is_undecided_if_the_confidence_interval_contains_0_and_with_one_seed() {
        let order = |higher: &[f64], lower: &[f64]| {
            let rows = [row("a", Some(0.5), higher), row("b", Some(0.25), lower)];
            OrderedRows::of(&rows, "f1")[0].order()
        };
        // Differences 0.75, 0.5, 0.5 and 0.25: mean 0.5, deviation √(0.125 / 3), standard error
        // 0.102. The interval is ± 3.182 · 0.102 = 0.325.
        let (high, low) = ([0.875, 0.625, 0.625, 0.375], [0.125; 4]);
        assert_eq!(order(&high, &low), Order::Reproduced);
        assert_eq!(order(&low, &high), Order::Reversed);
        // Differences 0.5 and 0.25: mean 0.375, standard error 0.125, so three of them; the interval
        // of two seeds is ± 12.706 · 0.125.
        assert_eq!(order(&[0.75, 0.5], &[0.25, 0.25]), Order::Undecided);
        assert_eq!(order(&[0.5, 0.5], &[0.5, 0.5]), Order::Undecided);
        assert_eq!(order(&[0.75], &[0.25]), Order::Undecided);
        // Beyond the table the last quantile stays.
        let many: Vec<f64> = (0..40).map(|seed| if seed % 2 == 0 { 0.75 } else { 0.5 }).collect();
        assert_eq!(order(&many, &[0.25; 40]), Order::Reproduced);
    }

    #[test]
    fn rows_are_compared_on_their_common_seeds() {
        let rows = [row("a", Some(0.5), &[0.5, 1.0]), row("b", Some(0.25), &[0.25])];
        let order = OrderedRows::of(&rows, "f1");
        assert_eq!((order[0].difference, order[0].n_seeds), (0.25, 1));
        let rows = [row("a", Some(0.5), &[0.5]), row("b", Some(0.25), &[])];
        assert_eq!(OrderedRows::of(&rows, "f1"), []);
    }

    #[test]
    fn scores_stand_beside_their_seed_in_the_file() {
        let row = row("a", None, &[0.5]);
        let json = serde_json::to_value(&row).unwrap();
        assert_eq!(json["seeds"], serde_json::json!([{ "seed": 1, "f1": 0.5 }]));
        assert_eq!(serde_json::from_value::<AblationRow>(json).unwrap(), row);
    }
}
