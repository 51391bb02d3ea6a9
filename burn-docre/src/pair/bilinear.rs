//! The grouped bilinear layer (eq. 6 of KD-DocRE, eq. 4 of ATLOP).

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Tensor, backend::Backend},
};

use super::PairSides;
use crate::{DocReBackend, Error, Result, ops};

/// The sizes of a grouped bilinear layer.
#[derive(Clone, Copy, Debug)]
pub struct GroupBilinearConfig {
    /// Size of each side.
    pub emb_size: usize,
    /// Size of a group; divides `emb_size`.
    pub group_size: usize,
    /// Size of the output.
    pub d_output: usize,
    /// True for a layer with a bias: ATLOP's classifier has one, KD-DocRE's projection has none.
    pub has_bias: bool,
}

/// A grouped bilinear layer: `out_i = sum_j z_head_j^T W_ij z_tail_j + b_i`, over groups `j`.
#[derive(Module, Debug)]
pub struct GroupBilinear<B: Backend> {
    /// Weight `[n_groups * group_size^2, d_output]`. Its rows are ordered by group, then by the
    /// head's index, then by the tail's.
    linear: Linear<B>,
    group_size: usize,
}

impl GroupBilinearConfig {
    /// Checks that the groups fill both sides of a pair.
    ///
    /// # Errors
    /// If a size is 0 or `group_size` does not divide `emb_size`.
    pub fn validate_groups(emb_size: usize, group_size: usize) -> Result<()> {
        if group_size == 0 || emb_size == 0 || !emb_size.is_multiple_of(group_size) {
            return Err(Error::config(format!(
                "model: `emb_size` {emb_size} must be a positive multiple of `group_size` \
                 {group_size}"
            )));
        }
        Ok(())
    }

    /// Initialises the layer like a linear layer on the outer products of both sides.
    ///
    /// # Panics
    /// If `group_size` is 0 or does not divide `emb_size`.
    pub fn init<B: Backend>(&self, device: &B::Device) -> GroupBilinear<B> {
        assert_eq!(self.emb_size % self.group_size, 0, "group_size must divide emb_size");
        let linear = LinearConfig::new(self.emb_size * self.group_size, self.d_output)
            .with_bias(self.has_bias)
            .init(device);
        GroupBilinear { linear, group_size: self.group_size }
    }

    /// The floating-point operations of the matrix products on `n_pairs` pair rows.
    pub fn flops(&self, n_pairs: u64) -> u64 {
        2 * n_pairs * (self.emb_size * self.group_size * self.d_output) as u64
    }
}

impl<B: DocReBackend> GroupBilinear<B> {
    /// Computes the bilinear form of every pair row.
    ///
    /// # Shapes
    /// - both sides `[pairs, emb]` → `[pairs, d_output]`
    pub fn forward(&self, sides: PairSides<B>) -> Tensor<B, 2> {
        let n_groups = sides.head.dims()[1] / self.group_size;
        let weight = self.linear.weight.val();
        let d = weight.dims()[1];
        let output = ops::grouped_bilinear(sides.head, sides.tail, weight, n_groups);
        match &self.linear.bias {
            Some(bias) => output + bias.val().reshape([1, d]),
            None => output,
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::{module::Param, tensor::TensorData};

    use super::*;
    use crate::{backend::TestBackend, batch::packing::float_tensor};

    #[test]
    fn the_form_of_two_groups_equals_a_calculation_by_hand() {
        let device = Default::default();
        let config =
            GroupBilinearConfig { emb_size: 4, group_size: 2, d_output: 1, has_bias: false };
        let mut layer = config.init::<TestBackend>(&device);
        // Rows of the weight: group 0 (00, 01, 10, 11), then group 1.
        let weight = vec![1.0, 10.0, 100.0, 1000.0, 2.0, 20.0, 200.0, 2000.0];
        layer.linear.weight = Param::from_tensor(float_tensor(weight, [8, 1], &device));
        let sides = PairSides {
            head: float_tensor(vec![1.0, 2.0, 3.0, 4.0], [1, 4], &device),
            tail: float_tensor(vec![1.0, 0.5, 1.0, 0.5], [1, 4], &device),
        };
        // Group 0: 1·1·1 + 1·0.5·10 + 2·1·100 + 2·0.5·1000; group 1: 3·1·2 + 3·0.5·20 + 4·1·200 +
        // 4·0.5·2000.
        let expected = TensorData::from([[1206.0f32 + 4836.0]]);
        layer.forward(sides).into_data().assert_eq(&expected, false);
        assert_eq!(config.flops(3), 2 * 3 * 8);
    }

    #[test]
    fn groups_that_do_not_fill_a_side_are_refused() {
        assert!(GroupBilinearConfig::validate_groups(8, 4).is_ok());
        for (emb_size, group_size) in [(0, 4), (8, 0), (8, 3)] {
            let error = GroupBilinearConfig::validate_groups(emb_size, group_size).unwrap_err();
            assert!(error.to_string().contains("positive multiple of `group_size`"), "{error}");
        }
    }
}
