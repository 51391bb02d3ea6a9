//! The precision of the large matrix products.
//!
//! The type of a linear layer's weight decides: where it is a half type, the input is rounded to it for the product, and the
//! product comes back as f32. Everything else stays f32: embeddings, normalisation, softmax, attention scores, the context,
//! and the loss. Training keeps f32 master weights and rounds them anew for each step; the gradient passes through the
//! rounding to the master.

use std::{fmt, str::FromStr};

use burn::{
    module::{Module, ModuleMapper, Param},
    nn::Linear,
    tensor::{DType, FloatDType, Tensor, backend::Backend},
};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, backend::BackendKind, model::DocReModel};

/// A floating-point type for matrix products.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// The range of single precision with 8 significant bits; for training and inference.
    Bf16,
    /// 11 significant bits, largest number 65,504; for inference, since gradients would need a scaled loss.
    F16,
}

impl Precision {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::F16];

    /// The name in configurations and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }

    /// Burn's name of it.
    pub fn dtype(self) -> FloatDType {
        match self {
            Self::F32 => FloatDType::F32,
            Self::Bf16 => FloatDType::BF16,
            Self::F16 => FloatDType::F16,
        }
    }

    /// Refuses a precision that `device` of the backend `kind` lacks.
    ///
    /// # Errors
    /// If the backend cannot compute in this precision on `device`.
    pub fn check<B: Backend>(self, kind: BackendKind, device: &B::Device) -> Result<()> {
        if self.is_supported::<B>(device) {
            return Ok(());
        }
        Err(Error::backend(kind, format!("this device does not compute in {self}; use f32")))
    }

    /// Whether `device` computes in this precision.
    pub fn is_supported<B: Backend>(self, device: &B::Device) -> bool {
        self == Self::F32 || B::supports_dtype(device, self.dtype().into())
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|precision| precision.name() == name);
        found.ok_or_else(|| format!("unknown precision `{name}`; known are f32, bf16, f16"))
    }
}

/// `model` with the weights of its linear layers in `precision`. On an autodiff backend the gradients reach the
/// parameters of the model that was passed in.
pub fn with_precision<B: Backend>(model: DocReModel<B>, precision: Precision) -> DocReModel<B> {
    match precision {
        Precision::F32 => model,
        _ => model.map(&mut Rounding { dtype: precision.dtype(), containers: Vec::new() }),
    }
}

struct Rounding {
    dtype: FloatDType,
    containers: Vec<String>,
}

impl<B: Backend> ModuleMapper<B> for Rounding {
    fn enter_module(&mut self, _name: &str, container_type: &str) {
        self.containers.push(container_type.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.containers.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let is_matrix = D == 2 && self.containers.iter().any(|name| name == "Struct:Linear");
        if is_matrix { param.map(|weight| weight.cast(self.dtype)) } else { param }
    }
}

/// `x W + b` in the precision of the weight.
///
/// # Shapes
/// - `[rows, d_in]` → `[rows, d_out]`, f32
pub fn linear<B: Backend>(layer: &Linear<B>, input: Tensor<B, 2>) -> Tensor<B, 2> {
    let weight = layer.weight.val();
    if weight.dtype() == DType::F32 {
        return layer.forward(input);
    }
    let output = matmul(input, weight);
    match &layer.bias {
        Some(bias) => output + bias.val().unsqueeze(),
        None => output,
    }
}

/// The product of f32 rows and a weight in the weight's precision; f32.
pub fn matmul<B: Backend>(input: Tensor<B, 2>, weight: Tensor<B, 2>) -> Tensor<B, 2> {
    match weight.dtype() {
        DType::F32 => input.matmul(weight),
        half => input.cast(half).matmul(weight).cast(DType::F32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::TestBackend;

    #[test]
    fn a_precision_that_the_device_lacks_is_refused_in_the_backends_name() {
        let device = Default::default();
        let kind = BackendKind::compiled()[0];
        assert!(Precision::F32.check::<TestBackend>(kind, &device).is_ok());
        for precision in [Precision::Bf16, Precision::F16] {
            let refusal = precision.check::<TestBackend>(kind, &device).err();
            assert_eq!(refusal.is_none(), precision.is_supported::<TestBackend>(&device));
            if let Some(error) = refusal {
                let expected =
                    format!("backend {kind}: this device does not compute in {precision}; use f32");
                assert_eq!(error.to_string(), expected);
            }
        }
    }
}
