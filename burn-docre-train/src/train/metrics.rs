//! The losses and phases of training steps and the dev metrics, as Burn metrics. Their names come
//! from the objective.

use std::sync::Arc;

use burn::train::{
    ItemLazy,
    metric::{
        Adaptor, Metric, MetricAttributes, MetricMetadata, MetricName, Numeric, NumericAttributes,
        NumericEntry, SerializedEntry, format_float,
    },
};

use crate::{train::objective::DevMetric, ui::metric_key};

/// The name of the total loss.
pub const LOSS: &str = "Loss";

/// The name of the learning rate.
pub const LEARNING_RATE: &str = "Learning Rate";

/// The name of the metric that shows the phase of a step.
pub const PHASE: &str = "Phase";

/// The losses of one batch or one optimizer step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepMetrics {
    /// The minimised sum.
    pub loss: f64,
    /// The unweighted parts of the loss and the measures that the step computes, by name.
    pub values: Vec<(&'static str, f64)>,
    /// The name of the step's phase, if the training has phases.
    pub phase: Option<&'static str>,
    /// The encoder's learning rate.
    pub learning_rate: f64,
}

impl StepMetrics {
    /// The metrics of an optimizer step: the means over its batches.
    ///
    /// The mean of a value is over the batches that have it.
    pub fn mean(batches: &[Self]) -> Self {
        let mean = |pick: &dyn Fn(&Self) -> Option<f64>| {
            let values: Vec<f64> = batches.iter().filter_map(pick).collect();
            values.iter().sum::<f64>() / values.len().max(1) as f64
        };
        let mut names: Vec<&'static str> = Vec::new();
        for (name, _) in batches.iter().flat_map(|batch| &batch.values) {
            if !names.contains(name) {
                names.push(name);
            }
        }
        Self {
            loss: mean(&|batch| Some(batch.loss)),
            values: names
                .into_iter()
                .map(|name| (name, mean(&|batch| batch.value(name))))
                .collect(),
            phase: batches.first().and_then(|batch| batch.phase),
            learning_rate: mean(&|batch| Some(batch.learning_rate)),
        }
    }

    /// The value of this name, if the step computes it.
    fn value(&self, name: &str) -> Option<f64> {
        self.values.iter().find(|(other, _)| *other == name).map(|(_, value)| *value)
    }
}

impl ItemLazy for StepMetrics {
    type ItemSync = Self;

    fn sync(self) -> Self {
        self
    }
}

impl Adaptor<StepMetrics> for StepMetrics {
    fn adapt(&self) -> StepMetrics {
        self.clone()
    }
}

/// The dev metrics at the end of an epoch, in the objective's order; `None` if the evaluation was
/// interrupted.
#[derive(Clone, Debug)]
pub struct DevItem(pub Option<Vec<f64>>);

impl ItemLazy for DevItem {
    type ItemSync = Self;

    fn sync(self) -> Self {
        self
    }
}

impl Adaptor<DevItem> for DevItem {
    fn adapt(&self) -> DevItem {
        self.clone()
    }
}

/// Reads a value from an item; `None` if the item does not have it.
type Pick<T> = Arc<dyn Fn(&T) -> Option<f64> + Send + Sync>;

/// A metric of Burn that reads one value of each item.
///
/// An item without the value gives NaN, which is not displayed.
#[derive(Clone)]
pub struct ItemMetric<T> {
    name: MetricName,
    pick: Pick<T>,
    attributes: NumericAttributes,
    value: f64,
    sum: f64,
    count: usize,
}

impl<T> ItemMetric<T> {
    fn new(
        name: &str,
        attributes: NumericAttributes,
        pick: impl Fn(&T) -> Option<f64> + Send + Sync + 'static,
    ) -> Self {
        let name = Arc::new(name.to_string());
        Self { name, pick: Arc::new(pick), attributes, value: f64::NAN, sum: 0.0, count: 0 }
    }
}

/// The metrics of training steps: loss, learning rate, the parts of a loss with several parts, and
/// the measures.
pub fn step_metrics(
    parts: &[&'static str],
    measures: &[&'static str],
) -> Vec<ItemMetric<StepMetrics>> {
    let attributes = |higher_is_better| NumericAttributes { unit: None, higher_is_better };
    let loss = |step: &StepMetrics| Some(step.loss);
    let learning_rate = |step: &StepMetrics| Some(step.learning_rate);
    let mut metrics = vec![
        ItemMetric::new(LOSS, attributes(false), loss),
        ItemMetric::new(LEARNING_RATE, attributes(false), learning_rate),
    ];
    let value = |name: &'static str, higher_is_better| {
        let pick = move |step: &StepMetrics| step.value(name);
        ItemMetric::new(name, attributes(higher_is_better), pick)
    };
    if parts.len() > 1 {
        metrics.extend(parts.iter().map(|name| value(name, false)));
    }
    metrics.extend(measures.iter().map(|name| value(name, true)));
    metrics
}

/// A metric of Burn that shows the phase of each step as text.
#[derive(Clone)]
pub struct PhaseMetric(MetricName);

impl Default for PhaseMetric {
    fn default() -> Self {
        Self(Arc::new(PHASE.to_string()))
    }
}

impl Metric for PhaseMetric {
    type Input = StepMetrics;

    fn name(&self) -> MetricName {
        self.0.clone()
    }

    fn update(&mut self, step: &StepMetrics, _: &MetricMetadata) -> SerializedEntry {
        let phase = step.phase.unwrap_or_default().to_string();
        SerializedEntry::new(phase.clone(), phase)
    }

    fn clear(&mut self) {}
}

/// The metrics of dev evaluations, scaled for display.
pub fn dev_metrics(metrics: &[DevMetric]) -> Vec<ItemMetric<DevItem>> {
    let metric = |(index, &DevMetric { name, scale }): (usize, &DevMetric)| {
        let attributes = NumericAttributes { unit: None, higher_is_better: true };
        let pick = move |item: &DevItem| Some(scale * item.0.as_ref()?.get(index)?);
        ItemMetric::new(name, attributes, pick)
    };
    metrics.iter().enumerate().map(metric).collect()
}

/// Dev metrics by key, in the form of `results.json` and of the training state.
pub fn by_key(metrics: &[DevMetric], values: &[f64]) -> crate::run::directory::DevMetrics {
    metrics.iter().zip(values).map(|(metric, &value)| (metric_key(metric.name), value)).collect()
}

impl<T: Clone + 'static> Metric for ItemMetric<T> {
    type Input = T;

    fn name(&self) -> MetricName {
        self.name.clone()
    }

    fn attributes(&self) -> MetricAttributes {
        self.attributes.clone().into()
    }

    fn update(&mut self, item: &T, _: &MetricMetadata) -> SerializedEntry {
        self.value = (self.pick)(item).unwrap_or(f64::NAN);
        if !self.value.is_nan() {
            self.sum += self.value;
            self.count += 1;
        }
        let mean = self.sum / self.count as f64;
        let formatted = if self.count <= 1 {
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

impl<T> Numeric for ItemMetric<T> {
    fn value(&self) -> NumericEntry {
        NumericEntry::Value(self.value)
    }

    fn running_value(&self) -> NumericEntry {
        NumericEntry::Value(self.sum / self.count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metrics_of_a_step_are_means_over_the_batches_that_have_them() {
        let batch = |loss, values: &[(&'static str, f64)]| StepMetrics {
            loss,
            values: values.to_vec(),
            phase: Some("E step"),
            learning_rate: 0.0,
        };
        let step = StepMetrics::mean(&[
            batch(1.0, &[("Key Loss", 2.0)]),
            batch(2.0, &[("Key Loss", 4.0), ("Evidence Agreement", 0.5)]),
        ]);
        assert_eq!(step, batch(1.5, &[("Key Loss", 3.0), ("Evidence Agreement", 0.5)]));
    }

    #[test]
    fn the_only_part_of_a_loss_is_no_metric_of_its_own_but_a_measure_is() {
        let names = |parts: &[&'static str], measures: &[&'static str]| -> Vec<String> {
            step_metrics(parts, measures).iter().map(|metric| metric.name.to_string()).collect()
        };
        assert_eq!(names(&["A"], &[]), ["Loss", "Learning Rate"]);
        assert_eq!(names(&["A"], &["M"]), ["Loss", "Learning Rate", "M"]);
        assert_eq!(names(&["A", "B"], &[]), ["Loss", "Learning Rate", "A", "B"]);
    }
}
