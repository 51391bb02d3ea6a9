//! The figures of a training run as Burn metrics.

use std::sync::Arc;

use burn::train::{
    ItemLazy,
    metric::{
        Adaptor, Metric, MetricAttributes, MetricMetadata, MetricName, Numeric, NumericAttributes,
        NumericEntry, SerializedEntry, format_float,
    },
};

use crate::train::dev_set::DevScores;

/// The figures of one optimizer step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepFigures {
    /// What is minimised.
    pub loss: f64,
    /// The relation loss, unweighted.
    pub relation_loss: f64,
    /// The distillation loss, unweighted; 0 without distillation.
    pub distillation_loss: f64,
    /// The encoder's learning rate.
    pub learning_rate: f64,
}

impl ItemLazy for StepFigures {
    type ItemSync = Self;

    fn sync(self) -> Self {
        self
    }
}

/// The dev scores at the end of an epoch; `None` when the evaluation was interrupted.
#[derive(Clone, Copy, Debug)]
pub struct DevFigures(pub Option<DevScores>);

impl ItemLazy for DevFigures {
    type ItemSync = Self;

    fn sync(self) -> Self {
        self
    }
}

impl Adaptor<StepFigures> for StepFigures {
    fn adapt(&self) -> StepFigures {
        *self
    }
}

impl Adaptor<DevFigures> for DevFigures {
    fn adapt(&self) -> DevFigures {
        *self
    }
}

/// One number out of the items that training produces.
pub struct Figure<T> {
    name: MetricName,
    pick: fn(&T) -> f64,
    higher_is_better: bool,
    value: f64,
    sum: f64,
    count: usize,
}

impl<T> Clone for Figure<T> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), ..*self }
    }
}

impl<T> Figure<T> {
    fn new(name: &str, higher_is_better: bool, pick: fn(&T) -> f64) -> Self {
        let name = Arc::new(name.to_string());
        Self { name, pick, higher_is_better, value: f64::NAN, sum: 0.0, count: 0 }
    }
}

/// The figures of training steps.
pub fn step_figures(with_distillation: bool) -> Vec<Figure<StepFigures>> {
    let mut figures = vec![
        Figure::new("Loss", false, |step: &StepFigures| step.loss),
        Figure::new("Learning Rate", false, |step: &StepFigures| step.learning_rate),
    ];
    if with_distillation {
        figures.push(Figure::new("Relation Loss", false, |step| step.relation_loss));
        figures.push(Figure::new("Distillation Loss", false, |step| step.distillation_loss));
    }
    figures
}

/// The name of the figure that picks the best model and stops early.
pub const DEV_F1: &str = "F1";

/// The figures of dev evaluations, in per cent.
pub fn dev_figures() -> Vec<Figure<DevFigures>> {
    fn percent(figures: &DevFigures, pick: fn(&DevScores) -> f64) -> f64 {
        figures.0.as_ref().map_or(f64::NAN, |scores| 100.0 * pick(scores))
    }
    vec![
        Figure::new(DEV_F1, true, |figures| percent(figures, |scores| scores.f1)),
        Figure::new("Ign F1", true, |figures| percent(figures, |scores| scores.ign_f1)),
        Figure::new("Precision", true, |figures| percent(figures, |scores| scores.precision)),
        Figure::new("Recall", true, |figures| percent(figures, |scores| scores.recall)),
    ]
}

impl<T: 'static> Metric for Figure<T> {
    type Input = T;

    fn name(&self) -> MetricName {
        self.name.clone()
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes { unit: None, higher_is_better: self.higher_is_better }.into()
    }

    fn update(&mut self, item: &T, _: &MetricMetadata) -> SerializedEntry {
        self.value = (self.pick)(item);
        self.sum += self.value;
        self.count += 1;
        let mean = self.sum / self.count as f64;
        let formatted = if self.count == 1 {
            format_float(self.value, 4)
        } else {
            format!("epoch {} - step {}", format_float(mean, 4), format_float(self.value, 4))
        };
        SerializedEntry::new(formatted, NumericEntry::Value(self.value).serialize())
    }

    fn clear(&mut self) {
        (self.value, self.sum, self.count) = (f64::NAN, 0.0, 0);
    }
}

impl<T> Numeric for Figure<T> {
    fn value(&self) -> NumericEntry {
        NumericEntry::Value(self.value)
    }

    fn running_value(&self) -> NumericEntry {
        NumericEntry::Value(self.sum / self.count as f64)
    }
}

impl StepFigures {
    /// The figures of an optimizer step from those of its batches.
    pub fn mean(batches: &[Self]) -> Self {
        let n = batches.len().max(1) as f64;
        let mean = |pick: fn(&Self) -> f64| batches.iter().map(pick).sum::<f64>() / n;
        Self {
            loss: mean(|batch| batch.loss),
            relation_loss: mean(|batch| batch.relation_loss),
            distillation_loss: mean(|batch| batch.distillation_loss),
            learning_rate: mean(|batch| batch.learning_rate),
        }
    }
}
