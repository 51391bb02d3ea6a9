//! The grouped bilinear layer (eq. 6 of KD-DocRE, eq. 4 of ATLOP).

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Tensor, backend::Backend},
};

use super::PairSides;
use crate::ops::{self, DocReBackend};

/// How wide a grouped bilinear layer is.
#[derive(Clone, Copy, Debug)]
pub struct GroupBilinearConfig {
    /// Width of each side.
    pub emb_size: usize,
    /// Width of a group; divides `emb_size`.
    pub group_size: usize,
    /// Numbers out.
    pub d_output: usize,
    /// Whether a bias is added: ATLOP's classifier has one, KD-DocRE's projection has none.
    pub has_bias: bool,
}

/// `out_i = sum_j z_head_j^T W_ij z_tail_j + b_i` over groups `j`.
#[derive(Module, Debug)]
pub struct GroupBilinear<B: Backend> {
    /// `[n_groups * group_size^2, d_output]`, group slowest, then the head's index, then the tail's.
    linear: Linear<B>,
    group_size: usize,
}

impl GroupBilinearConfig {
    /// A fresh layer, initialised as a linear layer on the outer products.
    ///
    /// # Panics
    /// If `group_size` does not divide `emb_size`.
    pub fn init<B: Backend>(&self, device: &B::Device) -> GroupBilinear<B> {
        assert_eq!(self.emb_size % self.group_size, 0, "group_size must divide emb_size");
        let linear = LinearConfig::new(self.emb_size * self.group_size, self.d_output)
            .with_bias(self.has_bias)
            .init(device);
        GroupBilinear { linear, group_size: self.group_size }
    }
}

impl<B: DocReBackend> GroupBilinear<B> {
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
