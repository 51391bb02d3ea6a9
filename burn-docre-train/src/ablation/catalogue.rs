//! The papers' ablations as data: groups of variants, and the tables that show their scores.
//!
//! A new ablation is one [`Group`] with its name in [`AblationGroup`].

use burn_docre::{model::SystemConfig, pair::PairMixerConfig};

use super::variants::{DISTILLATIONS, KEY_CLASSIFIERS, LOSSES, MIXERS, STUDENT, Variant};
use crate::{
    cli::AblationGroup,
    config::{PlanName, RunConfig},
};

/// The stage of the plan `kd-docre` whose model makes the soft labels.
pub(super) const TEACHER: &str = "teacher";
/// The last stage of the plan `kd-docre`.
const FINETUNE: &str = "finetune";

/// Variants that differ in one choice, and the tables of their scores.
pub(super) struct Group {
    /// The name after `--only`.
    pub(super) name: AblationGroup,
    /// Reports why the group does not fit a configuration: a clause. `Ok` if it fits.
    pub(super) fit: fn(&RunConfig) -> Result<(), String>,
    /// The variants, in the order of the paper's rows. One of them is the base.
    pub(super) variants: &'static [Variant],
    /// True if all variants learn from the teacher of the base.
    pub(super) shares_teacher: bool,
    /// The tables.
    pub(super) tables: &'static [TableSpec],
}

/// A table, whose rows are the variants of its group.
pub(super) struct TableSpec {
    pub(super) title: &'static str,
    /// The paper, its table, corpus and encoder.
    pub(super) source: &'static str,
    /// Sentences about the runs or the paper's scores.
    pub(super) notes: &'static [&'static str],
    /// The stage whose models are scored.
    pub(super) stage: ScoredStage,
    /// The columns; those of the paper come first.
    pub(super) metrics: &'static [MetricSpec],
    /// The metric that orders the rows.
    pub(super) order_metric: MetricSpec,
    /// The paper's scores of each variant in percent, in the order of `metrics`. Empty if the paper
    /// has no such row; shorter than `metrics` if it lacks the last columns.
    pub(super) paper: &'static [&'static [f64]],
}

/// The stage whose models a table scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScoredStage {
    /// The first stage of the plan.
    First,
    /// The stage of this name.
    Named(&'static str),
}

impl ScoredStage {
    /// The name of the stage in the plan of `config`.
    pub(super) fn name(self, config: &RunConfig) -> &'static str {
        match self {
            Self::First => config.plan.plan().stages[0].name,
            Self::Named(name) => name,
        }
    }
}

/// A dev metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MetricSpec {
    /// The key in `ablations.json`.
    pub(super) key: &'static str,
    /// The heading.
    pub(super) title: &'static str,
    /// The place in a dev report, as a JSON pointer.
    pub(super) pointer: &'static str,
}

const F1: MetricSpec = MetricSpec { key: "f1", title: "F1", pointer: "/f1" };
const IGN_F1: MetricSpec = MetricSpec { key: "ign_f1", title: "Ign F1", pointer: "/ign_f1" };
const FREQUENT_F1: MetricSpec =
    MetricSpec { key: "frequent_f1", title: "frequent F1", pointer: "/frequent/f1" };
const LONG_TAIL_F1: MetricSpec =
    MetricSpec { key: "long_tail_f1", title: "long-tail F1", pointer: "/long_tail/f1" };
const INFER_PRECISION: MetricSpec =
    MetricSpec { key: "infer_precision", title: "Infer P", pointer: "/infer/precision" };
const INFER_RECALL: MetricSpec =
    MetricSpec { key: "infer_recall", title: "Infer R", pointer: "/infer/recall" };
const INFER_F1: MetricSpec =
    MetricSpec { key: "infer_f1", title: "Infer F1", pointer: "/infer/f1" };
const EVIDENCE_F1: MetricSpec =
    MetricSpec { key: "evidence_f1", title: "Evidence F1", pointer: "/evidence_f1" };

/// The columns of Table 4, and Ign F1, for which it has no scores.
const TABLE_4: &[MetricSpec] = &[FREQUENT_F1, LONG_TAIL_F1, F1, IGN_F1];
/// The columns of Table 5, and the scores of all facts, for which it has no scores.
const TABLE_5: &[MetricSpec] = &[INFER_PRECISION, INFER_RECALL, INFER_F1, F1, IGN_F1];
/// The columns of Table 6.
const TABLE_6: &[MetricSpec] = &[IGN_F1, F1];

const AFL_NOTE: &str = "The paper has one row of AFL, which stands beside both forms; the authors' code has the second.";
const DISTANT_NOTE: &str =
    "The teacher is of the row's variant too, unless `stages.student.teacher` names another one.";

/// The groups, in the order of their tables.
pub(super) const GROUPS: &[Group] = &[
    Group {
        name: AblationGroup::Mixer,
        fit: |config| fits_mixers(config).and_then(|()| has_first_stage(config)),
        variants: MIXERS,
        shares_teacher: false,
        tables: &[
            TableSpec {
                title: "Pair mixer, annotated documents",
                source: "KD-DocRE, Table 4: dev documents of DocRED, RoBERTa-large",
                notes: &[],
                stage: ScoredStage::First,
                metrics: TABLE_4,
                order_metric: F1,
                paper: &[&[71.26, 51.97, 64.19], &[], &[70.86, 50.77, 63.56]],
            },
            TableSpec {
                title: "Pair mixer, facts that take part in reasoning",
                source: "KD-DocRE, Table 5: dev documents of DocRED, RoBERTa-large",
                notes: &[
                    "docs/metrics.md defines Infer F1; no public code computes that of the paper.",
                ],
                stage: ScoredStage::First,
                metrics: TABLE_5,
                order_metric: INFER_F1,
                paper: &[&[42.15, 61.56, 50.04], &[], &[40.26, 60.60, 48.37]],
            },
        ],
    },
    Group {
        name: AblationGroup::MixerDistant,
        fit: |config| fits_mixers(config).and_then(|()| has_pipeline(config)),
        variants: MIXERS,
        shares_teacher: false,
        tables: &[TableSpec {
            title: "Pair mixer, with distant documents",
            source: "KD-DocRE, Table 4: dev documents of DocRED, RoBERTa-large",
            notes: &[DISTANT_NOTE],
            stage: ScoredStage::Named(FINETUNE),
            metrics: TABLE_4,
            order_metric: F1,
            paper: &[&[74.15, 56.51, 67.12], &[], &[73.52, 54.96, 66.36]],
        }],
    },
    Group {
        name: AblationGroup::Loss,
        fit: |config| is_kd_docre(config).and_then(|()| has_first_stage(config)),
        variants: LOSSES,
        shares_teacher: false,
        tables: &[TableSpec {
            title: "Relation loss, annotated documents",
            source: "KD-DocRE, Table 4: dev documents of DocRED, RoBERTa-large",
            notes: &[AFL_NOTE],
            stage: ScoredStage::First,
            metrics: TABLE_4,
            order_metric: F1,
            paper: &[&[71.26, 51.97, 64.19], &[71.26, 51.97, 64.19], &[70.94, 50.86, 63.67]],
        }],
    },
    Group {
        name: AblationGroup::LossDistant,
        fit: |config| is_kd_docre(config).and_then(|()| has_pipeline(config)),
        variants: LOSSES,
        shares_teacher: false,
        tables: &[TableSpec {
            title: "Relation loss, with distant documents",
            source: "KD-DocRE, Table 4: dev documents of DocRED, RoBERTa-large",
            notes: &[AFL_NOTE, DISTANT_NOTE],
            stage: ScoredStage::Named(FINETUNE),
            metrics: TABLE_4,
            order_metric: F1,
            paper: &[&[74.15, 56.51, 67.12], &[74.15, 56.51, 67.12], &[73.50, 54.73, 66.23]],
        }],
    },
    Group {
        name: AblationGroup::Distillation,
        fit: |config| is_kd_docre(config).and_then(|()| has_pipeline(config)),
        variants: DISTILLATIONS,
        shares_teacher: true,
        tables: &[
            TableSpec {
                title: "Distillation, student",
                source: "KD-DocRE, Table 6: dev documents of DocRED, RoBERTa-large",
                notes: &[],
                stage: ScoredStage::Named(STUDENT),
                metrics: TABLE_6,
                order_metric: F1,
                paper: &[&[52.29, 54.67], &[53.89, 56.97], &[55.28, 57.74]],
            },
            TableSpec {
                title: "Distillation, fine-tuned student",
                source: "KD-DocRE, Table 6: dev documents of DocRED, RoBERTa-large",
                notes: &[],
                stage: ScoredStage::Named(FINETUNE),
                metrics: TABLE_6,
                order_metric: F1,
                paper: &[&[63.38, 65.64], &[64.42, 66.24], &[65.27, 67.12]],
            },
        ],
    },
    Group {
        name: AblationGroup::KeyClassifier,
        fit: fits_key_classifiers,
        variants: KEY_CLASSIFIERS,
        shares_teacher: false,
        tables: &[TableSpec {
            title: "Key classifier",
            source: "KMGRE, ablation study: dev documents of DWIE, BERT-base",
            notes: &["Each row trains for the same number of epochs."],
            stage: ScoredStage::First,
            metrics: &[IGN_F1, F1, EVIDENCE_F1],
            order_metric: F1,
            paper: &[&[65.56, 71.40], &[], &[64.87, 70.38]],
        }],
    },
];

fn is_kd_docre(config: &RunConfig) -> Result<(), String> {
    match &config.model {
        SystemConfig::KdDocre(_) => Ok(()),
        other => Err(format!("its rows are of KD-DocRE, and `model.kind` is {:?}", other.kind())),
    }
}

fn fits_mixers(config: &RunConfig) -> Result<(), String> {
    is_kd_docre(config)?;
    match &config.model {
        SystemConfig::KdDocre(model) if matches!(model.mixer, PairMixerConfig::AxialStack(_)) => {
            Ok(())
        }
        _ => Err("`model.mixer` is not an axial stack, whose sizes a row needs".into()),
    }
}

/// Checks that the configuration has the stages of `names`.
fn has_stages(config: &RunConfig, names: &[&str]) -> Result<(), String> {
    match names.iter().find(|name| config.stages.get(name).is_none()) {
        Some(missing) => Err(format!("the configuration has no `stages.{missing}`")),
        None => Ok(()),
    }
}

fn has_first_stage(config: &RunConfig) -> Result<(), String> {
    has_stages(config, &[ScoredStage::First.name(config)])
}

/// Checks that the configuration has a student, its fine-tuning and a teacher.
fn has_pipeline(config: &RunConfig) -> Result<(), String> {
    if config.plan != PlanName::KdDocre {
        return Err(format!("the plan `{}` has no student", config.plan.plan().name));
    }
    has_stages(config, &[STUDENT, FINETUNE])?;
    let has_teacher = config.stages.get(STUDENT).is_some_and(|student| student.teacher.is_some());
    if has_teacher { Ok(()) } else { has_stages(config, &[TEACHER]) }
}

fn fits_key_classifiers(config: &RunConfig) -> Result<(), String> {
    match &config.model {
        SystemConfig::Kmgre(model) if model.key_classifier.selection().is_some() => {
            has_first_stage(config)
        }
        SystemConfig::Kmgre(_) => {
            Err("`model.key_classifier` is none, and two rows need its `xi` and `tau`".into())
        }
        other => Err(format!("its rows are of KMGRE, and `model.kind` is {:?}", other.kind())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_table_has_the_papers_rows_beside_its_variants() {
        for group in GROUPS {
            for table in group.tables {
                assert_eq!(table.paper.len(), group.variants.len(), "{}", table.title);
                assert!(table.metrics.contains(&table.order_metric), "{}", table.title);
                for scores in table.paper {
                    assert!(scores.len() <= table.metrics.len(), "{}", table.title);
                    assert!(scores.iter().all(|score| (0.0..=100.0).contains(score)), "{scores:?}");
                }
            }
        }
    }

    #[test]
    fn the_papers_order_is_base_above_ablation_in_every_table() {
        // The variants from the best to the worst; those without a row of the paper are left out.
        let orders = [
            (AblationGroup::Mixer, &["axial stack", "no pair mixer"][..]),
            (AblationGroup::Loss, &["AFL (paper)", "ATL"]),
            (AblationGroup::Distillation, &["KD-MSE", "KD-KL", "NA"]),
            (AblationGroup::KeyClassifier, &["classifier with its own encoder", "no classifier"]),
        ];
        for (name, order) in orders {
            let group = GROUPS.iter().find(|group| group.name == name).unwrap();
            for table in group.tables {
                let column = table.metrics.iter().position(|m| *m == table.order_metric).unwrap();
                let score = |title: &&str| {
                    let row = group.variants.iter().position(|v| v.title == *title).unwrap();
                    table.paper[row][column]
                };
                let scores: Vec<f64> = order.iter().map(score).collect();
                assert!(scores.is_sorted_by(|a, b| a > b), "{}: {scores:?}", table.title);
            }
        }
    }

    #[test]
    fn runs_of_different_variants_have_different_names() {
        let of_lists = [MIXERS, LOSSES, DISTILLATIONS, KEY_CLASSIFIERS];
        let names: Vec<&str> =
            of_lists.iter().flat_map(|list| list.iter().map(|v| v.run)).collect();
        assert_eq!(BTreeSet::from_iter(&names).len(), names.len());
    }
}
