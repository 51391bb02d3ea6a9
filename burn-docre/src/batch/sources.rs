//! Items that are merged from one or two rows: tokens and mentions of overlapping windows.

use burn::tensor::{Int, Tensor, backend::Backend};

use super::packing::{float_tensor, index_tensor};

/// The one or two rows that each of `n` items is merged from.
#[derive(Clone, Debug)]
pub struct Sources<B: Backend> {
    /// The first row of each item, `[n]`.
    pub first: Tensor<B, 1, Int>,
    /// The second row of each item, `[n]`; the first again for an item of one row.
    pub second: Tensor<B, 1, Int>,
    /// The weight of the second row, `[n, 1]`; 0 for an item of one row.
    pub second_weight: Tensor<B, 2>,
}

/// The rows of each item while they are collected on the CPU.
pub(super) struct SourceList {
    first: Vec<Option<i32>>,
    second: Vec<Option<i32>>,
}

impl SourceList {
    /// Creates a list of `n` items without rows.
    pub(super) fn new(n: usize) -> Self {
        Self { first: vec![None; n], second: vec![None; n] }
    }

    /// Adds a row of `item`; an item has at most two.
    pub(super) fn add(&mut self, item: usize, row: usize) {
        let is_first = self.first[item].is_none();
        let slot = if is_first { &mut self.first[item] } else { &mut self.second[item] };
        debug_assert!(slot.is_none(), "item {item} has more than two rows");
        *slot = Some(row as i32);
    }

    /// Copies the rows to the device. Every second row has the weight `second_weight`. Padding, an
    /// item without rows, takes row 0.
    pub(super) fn tensors<B: Backend>(self, second_weight: f32, device: &B::Device) -> Sources<B> {
        let Self { first, second } = self;
        let n = first.len();
        let weights = second.iter().map(|row| row.map_or(0.0, |_| second_weight)).collect();
        let first: Vec<i32> = first.into_iter().map(Option::unwrap_or_default).collect();
        let second = second.iter().zip(&first).map(|(s, f)| s.unwrap_or(*f)).collect();
        Sources {
            first: index_tensor(first, device),
            second: index_tensor(second, device),
            second_weight: float_tensor(weights, [n, 1], device),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{backend::TestBackend, batch::testing::indices};

    #[test]
    fn the_second_row_of_an_item_with_one_row_is_the_first_with_weight_0() {
        let mut list = SourceList::new(3);
        for (item, row) in [(1, 4), (0, 2), (1, 7)] {
            list.add(item, row);
        }
        let sources = list.tensors::<TestBackend>(0.5, &Default::default());
        assert_eq!(indices(sources.first), [2, 4, 0]);
        assert_eq!(indices(sources.second), [2, 7, 0]);
        let weights: Vec<f32> = sources.second_weight.into_data().to_vec().unwrap();
        assert_eq!(weights, [0.0, 0.5, 0.0]);
    }
}
