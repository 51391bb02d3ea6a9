//! The variants of a configuration: each changes one choice.

use burn_docre::{
    loss::{Distillation, DistillationLoss, RelationLoss},
    mention_pair::KeySelection,
    model::{KeyClassifierConfig, SystemConfig},
    pair::{PairMixerConfig, mixer::TwoHopConfig},
};

use crate::config::{DistillationConfig, RunConfig};

/// The stage that distils.
pub(super) const STUDENT: &str = "student";
/// The exponent of AFL in the paper.
const PAPER_GAMMA: f64 = 0.5;
/// The exponent of AFL that the authors' code has by default.
const AUTHORS_GAMMA: f64 = 1.0;
/// The paper does not give the temperature of KL distillation. 1 leaves the logits as they are.
const KL_TEMPERATURE: f64 = 1.0;

/// A change of the base configuration.
pub(super) struct Variant {
    /// The name of its row.
    pub(super) title: &'static str,
    /// The name of its runs, unless the variant is the base.
    pub(super) run: &'static str,
    /// Makes the variant; a configuration that is the variant already stays as it is.
    pub(super) change: fn(&mut RunConfig),
}

/// The pair mixers. The first one is that of the base, whose sizes only the base has.
pub(super) const MIXERS: &[Variant] = &[
    Variant { title: "axial stack", run: "mixer-axial-stack", change: |_| {} },
    Variant {
        title: "two-hop attention",
        run: "mixer-two-hop",
        change: |config| set_mixer(config, PairMixerConfig::TwoHop(TwoHopConfig {})),
    },
    Variant {
        title: "no pair mixer",
        run: "mixer-none",
        change: |config| set_mixer(config, PairMixerConfig::None {}),
    },
];

/// The relation losses of all stages.
pub(super) const LOSSES: &[Variant] = &[
    Variant {
        title: "AFL (paper)",
        run: "loss-afl-paper",
        change: |config| {
            if !matches!(config.loss, RelationLoss::AflPaper { .. }) {
                config.loss = RelationLoss::AflPaper { gamma: PAPER_GAMMA };
            }
        },
    },
    Variant {
        title: "AFL (authors' code)",
        run: "loss-afl-authors",
        change: |config| {
            if !matches!(config.loss, RelationLoss::AflAuthors { .. }) {
                config.loss = RelationLoss::AflAuthors { gamma: AUTHORS_GAMMA };
            }
        },
    },
    Variant { title: "ATL", run: "loss-atl", change: |config| config.loss = RelationLoss::Atl {} },
];

/// The losses of the student on the teacher's logits.
pub(super) const DISTILLATIONS: &[Variant] = &[
    Variant {
        title: "NA",
        run: "distillation-none",
        change: |config| set_distillation(config, None),
    },
    Variant {
        title: "KD-KL",
        run: "distillation-kl",
        change: |config| {
            if !matches!(distillation_loss(config), Some(DistillationLoss::Kl { .. })) {
                let kl = DistillationLoss::Kl { temperature: KL_TEMPERATURE };
                set_distillation(config, Some(kl));
            }
        },
    },
    Variant {
        title: "KD-MSE",
        run: "distillation-mse",
        change: |config| set_distillation(config, Some(DistillationLoss::Mse {})),
    },
];

/// The classifiers of key mention pairs. Without one there is no EM.
pub(super) const KEY_CLASSIFIERS: &[Variant] = &[
    Variant {
        title: "classifier with its own encoder",
        run: "key-classifier-own-encoder",
        change: |config| set_key_classifier(config, KeyClassifierConfig::OwnEncoder),
    },
    Variant {
        title: "classifier on the extractor's encoder",
        run: "key-classifier-shared-encoder",
        change: |config| set_key_classifier(config, KeyClassifierConfig::SharedEncoder),
    },
    Variant {
        title: "no classifier",
        run: "key-classifier-none",
        change: |config| {
            set_key_classifier(config, |_| KeyClassifierConfig::None {});
            config.em = None;
        },
    },
];

fn set_mixer(config: &mut RunConfig, mixer: PairMixerConfig) {
    if let SystemConfig::KdDocre(model) = &mut config.model {
        model.mixer = mixer;
    }
}

/// The distillation loss of the student; `None` without distillation.
fn distillation_loss(config: &RunConfig) -> Option<DistillationLoss> {
    Some(config.stages.get(STUDENT)?.distillation()?.loss)
}

/// Replaces the student's distillation loss and keeps the weights of both losses, which are 1 if
/// the configuration has no distillation.
fn set_distillation(config: &mut RunConfig, loss: Option<DistillationLoss>) {
    let Some(student) = config.stages.get_mut(STUDENT) else { return };
    let equal = |loss| Distillation { loss, weight: 1.0, relation_weight: 1.0 };
    let before = student.distillation();
    student.distillation = Some(match (loss, before) {
        (None, _) => DistillationConfig::None,
        (Some(loss), None) => DistillationConfig::Teacher(equal(loss)),
        (Some(loss), Some(before)) => DistillationConfig::Teacher(Distillation { loss, ..before }),
    });
    if loss.is_none() {
        // A teacher has no effect without distillation, which the configuration refuses.
        student.teacher = None;
    }
}

/// Replaces the key classifier and keeps its selection of key mention pairs.
fn set_key_classifier(
    config: &mut RunConfig,
    classifier: impl FnOnce(KeySelection) -> KeyClassifierConfig,
) {
    if let SystemConfig::Kmgre(model) = &mut config.model
        && let Some(selection) = model.key_classifier.selection()
    {
        model.key_classifier = classifier(selection);
    }
}
