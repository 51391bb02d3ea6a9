//! Knowledge distillation from stored logits: the choice of a loss and the weights of both losses.

use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

use super::{kl_distillation_loss, mse_distillation_loss};
use crate::{Error, Result};

/// The loss of a student against its teacher, tagged by `kind`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum DistillationLoss {
    /// Mean squared error of logits: [`mse_distillation_loss`].
    Mse {},
    /// KL divergence of softened distributions: [`kl_distillation_loss`].
    Kl {
        /// The divisor of the student's and the teacher's logits, finite and above 0.
        temperature: f64,
    },
}

/// A distillation loss, added to the relation loss:
/// `{ kind = "mse", weight = 1.0, relation_weight = 1.0 }`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distillation {
    /// The loss; its keys stand beside the weights.
    #[serde(flatten)]
    pub loss: DistillationLoss,
    /// Weight of the distillation loss, finite and above 0; by default 1.
    #[serde(default = "default_weight")]
    pub weight: f64,
    /// Weight of the relation loss, finite and at least 0; by default 1.
    #[serde(default = "default_weight")]
    pub relation_weight: f64,
}

fn default_weight() -> f64 {
    1.0
}

impl DistillationLoss {
    /// Computes the loss; the teacher receives no gradient.
    ///
    /// # Shapes
    /// - `student`, `teacher`: `[p, r]` → `[1]`
    pub fn forward<B: Backend>(
        &self,
        student: Tensor<B, 2>,
        teacher: Tensor<B, 2>,
    ) -> Tensor<B, 1> {
        match *self {
            Self::Mse {} => mse_distillation_loss(student, teacher),
            Self::Kl { temperature } => kl_distillation_loss(student, teacher, temperature),
        }
    }
}

impl Distillation {
    /// Checks the range of every value.
    ///
    /// # Errors
    /// If a value is out of its range; the error names the key.
    pub fn validate(&self) -> Result<()> {
        let is_positive = |value: f64| value.is_finite() && value > 0.0;
        if let DistillationLoss::Kl { temperature } = self.loss
            && !is_positive(temperature)
        {
            return Err(Error::config(format!(
                "`distillation.temperature` must be positive and finite, but is {temperature}"
            )));
        }
        if !is_positive(self.weight) {
            return Err(Error::config(format!(
                "`distillation.weight` must be positive and finite, but is {}",
                self.weight
            )));
        }
        if !(self.relation_weight.is_finite() && self.relation_weight >= 0.0) {
            return Err(Error::config(format!(
                "`distillation.relation_weight` must not be negative or infinite, but is {}",
                self.relation_weight
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(value: Value) -> Result<Distillation, String> {
        let distillation: Distillation =
            serde_json::from_value(value).map_err(|error| error.to_string())?;
        distillation.validate().map_err(|error| error.to_string())?;
        Ok(distillation)
    }

    #[test]
    fn the_weights_are_1_by_default() {
        let loss = DistillationLoss::Kl { temperature: 2.0 };
        assert_eq!(
            parse(json!({ "kind": "kl", "temperature": 2.0 })),
            Ok(Distillation { loss, weight: 1.0, relation_weight: 1.0 })
        );
    }

    #[test]
    fn a_distillation_is_read_as_it_was_written() {
        let value = json!({ "kind": "mse", "weight": 0.5, "relation_weight": 0.0 });
        assert_eq!(serde_json::to_value(parse(value.clone()).unwrap()).unwrap(), value);
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        for (key, value) in [
            ("wieght", json!({ "kind": "mse", "wieght": 1.0 })),
            ("temperature", json!({ "kind": "mse", "temperature": 1.0 })),
            ("odd", json!({ "kind": "kl", "temperature": 1.0, "odd": 1.0 })),
        ] {
            let error = parse(value).unwrap_err();
            assert!(error.contains(&format!("`{key}`")), "{error}");
        }
    }

    #[test]
    fn a_value_out_of_range_is_refused_by_the_name_of_its_key() {
        for (key, value) in [
            ("temperature", json!({ "kind": "kl", "temperature": 0.0 })),
            ("weight", json!({ "kind": "mse", "weight": 0.0 })),
            ("relation_weight", json!({ "kind": "mse", "relation_weight": -1.0 })),
        ] {
            let error = parse(value).unwrap_err();
            assert!(error.contains(&format!("`distillation.{key}`")), "{error}");
        }
    }
}
