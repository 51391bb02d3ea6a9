//! The precision of the large matrix products.
//!
//! A linear layer computes in the data type of its weight. For bf16 and f16, the input is rounded
//! before the product, and the product is converted back to f32. Embeddings, normalisation,
//! softmax, attention scores, context and loss stay in f32.
//!
//! [`PrecisionChoice::Auto`] computes in bf16 where the device has instructions for it.
//!
//! Training keeps f32 master weights and rounds them for each step. The gradients of the rounded
//! weights reach the master weights.

use std::{fmt, str::FromStr};

use burn::tensor::{FloatDType, backend::Backend};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    backend::{BackendKind, DeviceInfo},
    error::UnknownName,
};

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

/// A precision, or the choice of one by the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrecisionChoice {
    /// bf16 on a device that computes it natively ([`DeviceInfo::native_bf16`]), else f32.
    Auto,
    /// [`Precision::F32`] on every device.
    #[default]
    F32,
    /// [`Precision::Bf16`] on every device.
    Bf16,
    /// [`Precision::F16`] on every device.
    F16,
}

impl PrecisionChoice {
    /// All choices.
    pub const ALL: [Self; 4] = [Self::Auto, Self::F32, Self::Bf16, Self::F16];

    /// The name in configurations and on the command line.
    pub fn name(self) -> &'static str {
        self.fixed().map_or("auto", Precision::name)
    }

    /// The precision on every device; `None` if the device chooses.
    fn fixed(self) -> Option<Precision> {
        match self {
            Self::Auto => None,
            Self::F32 => Some(Precision::F32),
            Self::Bf16 => Some(Precision::Bf16),
            Self::F16 => Some(Precision::F16),
        }
    }

    /// The precision on `devices` of the backend `kind`. `Auto` is bf16 only if all of them compute
    /// it natively.
    ///
    /// # Errors
    /// If a device has to be asked and does not exist.
    pub fn resolve(self, kind: BackendKind, devices: &[usize]) -> Result<Precision> {
        if let Some(precision) = self.fixed() {
            return Ok(precision);
        }
        let infos = devices.iter().map(|&number| kind.device(number));
        Ok(Self::of_devices(&infos.collect::<Result<Vec<_>>>()?))
    }

    fn of_devices(devices: &[DeviceInfo]) -> Precision {
        if devices.iter().all(|device| device.native_bf16) {
            Precision::Bf16
        } else {
            Precision::F32
        }
    }
}

impl From<Precision> for PrecisionChoice {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32,
            Precision::Bf16 => Self::Bf16,
            Precision::F16 => Self::F16,
        }
    }
}

impl FromStr for PrecisionChoice {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        UnknownName::find("precision", name, Self::ALL, Self::name)
    }
}

impl fmt::Display for PrecisionChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
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
        UnknownName::find("precision", name, Self::ALL, Self::name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::TestBackend;

    #[test]
    fn auto_is_bf16_only_if_every_device_computes_it_natively() {
        let [with, without] =
            [true, false].map(|native_bf16| DeviceInfo { native_bf16, ..DeviceInfo::default() });
        for (devices, expected) in [
            (vec![with.clone()], Precision::Bf16),
            (vec![without.clone()], Precision::F32),
            (vec![with.clone(), with.clone()], Precision::Bf16),
            (vec![with, without], Precision::F32),
        ] {
            assert_eq!(PrecisionChoice::of_devices(&devices), expected, "{devices:?}");
        }
        let kind = BackendKind::compiled()[0];
        let native = kind.device(0).unwrap().native_bf16;
        let expected = if native { Precision::Bf16 } else { Precision::F32 };
        assert_eq!(PrecisionChoice::Auto.resolve(kind, &[0]).unwrap(), expected);
        assert!(PrecisionChoice::Auto.resolve(kind, &[4711]).is_err());
    }

    #[test]
    fn a_device_that_computes_bf16_natively_supports_it() {
        for (number, device) in BackendKind::compiled()[0].devices().unwrap().iter().enumerate() {
            if device.native_bf16 {
                let kind = BackendKind::compiled()[0];
                let device = crate::backend::device::<TestBackend>(kind, number).unwrap();
                assert!(Precision::Bf16.is_supported::<TestBackend>(&device));
            }
        }
    }

    #[test]
    fn every_choice_is_read_by_its_name_and_an_unknown_one_lists_them() {
        for precision in Precision::ALL {
            assert_eq!(PrecisionChoice::from(precision).fixed(), Some(precision));
        }
        for choice in PrecisionChoice::ALL {
            assert_eq!(choice.name().parse(), Ok(choice));
            let json = serde_json::to_value(choice).unwrap();
            assert_eq!(json, choice.name());
            assert_eq!(serde_json::from_value::<PrecisionChoice>(json).unwrap(), choice);
        }
        let error = "f64".parse::<PrecisionChoice>().unwrap_err().to_string();
        assert!(error.ends_with("auto, f32, bf16, f16"), "{error}");
    }

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
