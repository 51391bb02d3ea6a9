//! The precision of the large matrix products.
//!
//! A linear layer computes in the data type of its weight. For bf16 and f16, the input is rounded
//! before the product, and the product is converted back to f32. Embeddings, normalisation,
//! softmax, attention scores, context and loss stay in f32.
//!
//! Training keeps f32 master weights and rounds them for each step. The gradients of the rounded
//! weights reach the master weights.

use std::{fmt, str::FromStr};

use burn::tensor::{FloatDType, backend::Backend};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, backend::BackendKind, error::UnknownName};

/// A floating-point type for matrix products.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// bfloat16: 8 significant bits and the range of f32. It suits training and inference.
    Bf16,
    /// Half precision: 11 significant bits and values up to 65,504. It suits inference only, since
    /// small gradients become 0 unless the loss is scaled.
    F16,
}

impl Precision {
    /// All precisions.
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::F16];

    /// The name in configurations and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }

    /// The corresponding data type of Burn.
    pub fn dtype(self) -> FloatDType {
        match self {
            Self::F32 => FloatDType::F32,
            Self::Bf16 => FloatDType::BF16,
            Self::F16 => FloatDType::F16,
        }
    }

    /// Checks that `device` of the backend `kind` computes in this precision.
    ///
    /// # Errors
    /// If the device does not support this precision.
    pub fn check<B: Backend>(self, kind: BackendKind, device: &B::Device) -> Result<()> {
        if self.is_supported::<B>(device) {
            return Ok(());
        }
        Err(Error::backend(kind, format!("this device does not compute in {self}; use f32")))
    }

    /// Returns true if `device` computes in this precision.
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
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.into_iter().find(|precision| precision.name() == name);
        found.ok_or_else(|| UnknownName::new("precision", name, &Self::ALL.map(Self::name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::TestBackend;

    #[test]
    fn a_precision_that_the_device_lacks_is_an_error_that_names_the_backend() {
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
