//! Pair mixers: layers in which the pairs of a document attend to each other.
//!
//! A mixer's file holds its configuration, initialisation, forward pass and FLOP count. To add one,
//! write the file and add its variant to [`PairMixerConfig`] and [`PairMixer`].

pub mod axial;
mod two_hop;

use burn::{
    module::Module,
    tensor::{Tensor, backend::Backend},
};
use serde::{Deserialize, Serialize};

pub use axial::{AxialAttention, AxialStack, AxialStackConfig, AxisAttention};
pub use two_hop::{TwoHopAttention, TwoHopConfig};

use crate::{DocReBackend, Result, batch::PairIndex, nn::observer::Observer};

/// The choice of a pair mixer: `{ kind = "axial-stack", layers = 6, heads = 8 }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum PairMixerConfig {
    /// No mixer: pairs are classified one by one.
    None {},
    /// The stack of axial attention layers of the authors' code.
    AxialStack(AxialStackConfig),
    /// Two-hop attention as in eq. (7) of the paper.
    TwoHop(TwoHopConfig),
}

/// A pair mixer.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a model has one mixer, and it is seldom moved")]
pub enum PairMixer<B: Backend> {
    /// See [`AxialStack`].
    AxialStack(AxialStack<B>),
    /// See [`TwoHopAttention`].
    TwoHop(TwoHopAttention<B>),
}

impl PairMixerConfig {
    /// Checks the sizes of the mixer.
    ///
    /// # Errors
    /// If a size is 0.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::AxialStack(config) => config.validate(),
            Self::None {} | Self::TwoHop(_) => Ok(()),
        }
    }

    /// Checks that the mixer fits pair vectors of size `d`.
    ///
    /// # Errors
    /// If its attention heads do not divide `d`.
    pub fn validate_for(&self, d: usize) -> Result<()> {
        match self {
            Self::AxialStack(config) => config.validate_for(d),
            Self::None {} | Self::TwoHop(_) => Ok(()),
        }
    }

    /// Initialises the mixer for pair vectors of size `d`; `None` for [`PairMixerConfig::None`].
    ///
    /// # Panics
    /// If the configuration is not valid [for `d`](Self::validate_for).
    pub fn init<B: Backend>(&self, d: usize, device: &B::Device) -> Option<PairMixer<B>> {
        match self {
            Self::None {} => None,
            Self::AxialStack(config) => Some(PairMixer::AxialStack(config.init(d, device))),
            Self::TwoHop(config) => Some(PairMixer::TwoHop(config.init(d, device))),
        }
    }

    /// Reports whether the mixer adds pads to a document of `n_entities` entities. All pads have
    /// one vector.
    pub fn has_pad(&self, n_entities: u64) -> bool {
        match self {
            Self::AxialStack(config) => config.has_pad(n_entities),
            Self::None {} | Self::TwoHop(_) => false,
        }
    }

    /// The floating-point operations of the matrix products on the pair grid of `n_entities`
    /// entities.
    pub fn flops(&self, d: usize, n_entities: u64) -> u64 {
        match self {
            Self::None {} => 0,
            Self::AxialStack(config) => config.flops(d, n_entities),
            Self::TwoHop(config) => config.flops(d, n_entities),
        }
    }
}

impl<B: DocReBackend> PairMixer<B> {
    /// Mixes the pair vectors of each document. `pad` computes the vector of a pair without
    /// entities, `[1, d]`, for a mixer that pads without a mask. Each layer passes its
    /// [attention](AxisAttention) to the observer.
    ///
    /// # Shapes
    /// - `[pairs, d]` → `[pairs, d]`
    pub fn forward(
        &self,
        input: Tensor<B, 2>,
        pad: impl FnOnce() -> Tensor<B, 2>,
        pairs: &PairIndex<B>,
        observer: &mut impl Observer<B>,
    ) -> Tensor<B, 2> {
        match self {
            Self::AxialStack(stack) => stack.forward(input, pad, pairs, observer),
            Self::TwoHop(attention) => attention.forward(input, pairs, observer),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(value: serde_json::Value) -> Result<PairMixerConfig, serde_json::Error> {
        serde_json::from_value(value)
    }

    #[test]
    fn every_kind_is_read_and_written_by_its_name() {
        let stack =
            |pad_to| PairMixerConfig::AxialStack(AxialStackConfig { layers: 6, heads: 8, pad_to });
        for (value, config) in [
            (json!({ "kind": "none" }), PairMixerConfig::None {}),
            (json!({ "kind": "axial-stack", "layers": 6, "heads": 8 }), stack(None)),
            (
                json!({ "kind": "axial-stack", "layers": 6, "heads": 8, "pad_to": 42 }),
                stack(Some(42)),
            ),
            (json!({ "kind": "two-hop" }), PairMixerConfig::TwoHop(TwoHopConfig {})),
        ] {
            assert_eq!(parse(value.clone()).unwrap(), config);
            assert_eq!(serde_json::to_value(&config).unwrap(), value);
        }
    }

    #[test]
    fn a_key_that_a_mixer_does_not_use_is_refused_by_name() {
        for kind in ["none", "two-hop"] {
            let error = parse(json!({ "kind": kind, "layers": 2 })).unwrap_err().to_string();
            assert!(error.contains("`layers`"), "{kind}: {error}");
        }
        let error = parse(json!({ "kind": "axial-stack", "layers": 2, "heads": 2, "head": 2 }));
        assert!(error.unwrap_err().to_string().contains("`head`"));
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused_by_name() {
        let padded = |layers, heads, pad_to| {
            PairMixerConfig::AxialStack(AxialStackConfig { layers, heads, pad_to })
        };
        let stack = |layers, heads| padded(layers, heads, None);
        assert!(
            padded(2, 2, Some(0)).validate().unwrap_err().to_string().contains("`mixer.pad_to`")
        );
        assert!(stack(0, 2).validate().unwrap_err().to_string().contains("`mixer.layers`"));
        assert!(stack(1_001, 2).validate().unwrap_err().to_string().contains("`mixer.layers`"));
        assert!(stack(2, 0).validate().unwrap_err().to_string().contains("`mixer.heads`"));
        assert!(stack(2, 3).validate().is_ok());
        let error = stack(2, 3).validate_for(16).unwrap_err().to_string();
        assert!(error.contains("`mixer.heads` 3 does not divide"), "{error}");
    }

    #[test]
    fn the_flops_on_a_tiny_grid_equal_a_count_by_hand() {
        // Two entities, four pairs, d = 3: a projection is 4·3·3 = 36, attention along both axes is
        // 2·2·4·2·3 = 96.
        let stack =
            |pad_to| PairMixerConfig::AxialStack(AxialStackConfig { layers: 5, heads: 1, pad_to });
        assert_eq!(stack(None).flops(3, 2), 2 * 5 * (9 * 36 + 96));
        assert_eq!(stack(Some(42)).flops(3, 1), stack(None).flops(3, 2));
        assert_eq!(stack(Some(2)).flops(3, 2), stack(None).flops(3, 2));
        assert_eq!(PairMixerConfig::TwoHop(TwoHopConfig {}).flops(3, 2), 2 * (6 * 36 + 96));
        assert_eq!(PairMixerConfig::None {}.flops(3, 2), 0);
    }
}
