//! Plans: lists of training stages.
//!
//! A new plan is one list of [`Stage`] values, registered in [`PlanName`].

use serde::{Deserialize, Serialize};

/// The name of a plan, as `plan = "kd-docre"` in the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanName {
    /// Teacher, soft labels, student, fine-tuning, as in KD-DocRE.
    #[default]
    KdDocre,
    /// One model on human annotations, as in KMGRE.
    Kmgre,
}

impl PlanName {
    /// The plan of this name.
    pub fn plan(self) -> &'static Plan {
        match self {
            Self::KdDocre => &KD_DOCRE,
            Self::Kmgre => &KMGRE,
        }
    }

    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A list of stages, in the order in which they run.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// The name in the configuration.
    pub name: &'static str,
    /// The stages; each one follows the stages that it needs.
    pub stages: &'static [Stage],
    /// The columns of the results table.
    pub columns: &'static [Column],
}

/// A column of the results table.
#[derive(Debug, PartialEq, Eq)]
pub struct Column {
    /// The heading.
    pub title: &'static str,
    /// The key of the dev metric in `results.json`; a fraction, shown in percent.
    pub metric: &'static str,
}

/// One training stage.
#[derive(Debug, PartialEq, Eq)]
pub struct Stage {
    /// The name, which identifies the section `[stages.NAME]`, the directory in a run, and
    /// `--stage NAME`.
    pub name: &'static str,
    /// The row of the results table.
    pub title: &'static str,
    /// The training documents.
    pub documents: Corpus,
    /// The initial model.
    pub start: Start,
    /// The objective to minimise.
    pub objective: ObjectiveKind,
    /// The results that must exist before the stage starts.
    pub needs: &'static [Need],
}

/// A corpus of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corpus {
    /// The human-annotated documents.
    Train,
    /// The distantly labelled documents.
    Distant,
}

/// The initial model of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// New weights, except for the encoder if the configuration names a pretrained one.
    Fresh,
    /// The best model of the stage of this name.
    Stage(&'static str),
}

/// The objective of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectiveKind {
    /// The relation loss.
    Relation,
    /// The relation loss with distillation; the relation loss alone if `distillation` is `none`.
    Distillation,
}

/// A result that must exist before a stage starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The finished stage of this name.
    Stage(&'static str),
    /// The logits of the stage `teacher` for the distant documents; needed only if `distillation`
    /// is not `none`.
    SoftLabels {
        /// The name of the teacher's stage.
        teacher: &'static str,
    },
}

impl Plan {
    /// The stage of this name.
    pub fn stage(&self, name: &str) -> Option<&'static Stage> {
        self.stages.iter().find(|stage| stage.name == name)
    }

    /// The position of a stage, from 0; the number of stages if `stage` is not in the plan.
    pub fn position(&self, stage: &Stage) -> usize {
        self.stages.iter().take_while(|other| other.name != stage.name).count()
    }

    /// The names of the stages, separated by commas.
    pub fn stage_names(&self) -> String {
        let names: Vec<&str> = self.stages.iter().map(|stage| stage.name).collect();
        names.join(", ")
    }
}

/// KD-DocRE: a teacher on human annotations, a student on distant labels and soft labels, then
/// fine-tuning.
const KD_DOCRE: Plan = Plan {
    name: "kd-docre",
    stages: &[
        Stage {
            name: "teacher",
            title: "teacher",
            documents: Corpus::Train,
            start: Start::Fresh,
            objective: ObjectiveKind::Relation,
            needs: &[],
        },
        Stage {
            name: "student",
            title: "student",
            documents: Corpus::Distant,
            start: Start::Fresh,
            objective: ObjectiveKind::Distillation,
            needs: &[Need::SoftLabels { teacher: "teacher" }],
        },
        Stage {
            name: "finetune",
            title: "student, fine-tuned",
            documents: Corpus::Train,
            start: Start::Stage("student"),
            objective: ObjectiveKind::Relation,
            needs: &[Need::Stage("student")],
        },
    ],
    columns: &[F1, IGN_F1],
};

/// KMGRE: one model on human annotations.
const KMGRE: Plan = Plan {
    name: "kmgre",
    stages: &[Stage {
        name: "train",
        title: "model",
        documents: Corpus::Train,
        start: Start::Fresh,
        objective: ObjectiveKind::Relation,
        needs: &[],
    }],
    columns: &[F1, IGN_F1, Column { title: "Evidence F1", metric: "evidence_f1" }],
};

const F1: Column = Column { title: "dev F1", metric: "f1" };
const IGN_F1: Column = Column { title: "Ign F1", metric: "ign_f1" };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_follows_the_stages_that_it_needs() {
        for plan in [PlanName::KdDocre, PlanName::Kmgre].map(PlanName::plan) {
            for (position, stage) in plan.stages.iter().enumerate() {
                assert_eq!(plan.position(stage), position, "{} is in the plan twice", stage.name);
                let needs = stage.needs.iter().map(|need| match need {
                    Need::Stage(name) | Need::SoftLabels { teacher: name } => *name,
                });
                let start = match stage.start {
                    Start::Fresh => None,
                    Start::Stage(name) => Some(name),
                };
                for name in needs.chain(start) {
                    let before = plan.stage(name).map(|before| plan.position(before));
                    assert!(before.is_some_and(|before| before < position), "{name}");
                }
            }
        }
    }

    #[test]
    fn a_plan_has_its_name_in_the_configuration() {
        for plan in [PlanName::KdDocre, PlanName::Kmgre] {
            assert_eq!(serde_json::to_value(plan).unwrap(), plan.plan().name);
        }
    }
}
