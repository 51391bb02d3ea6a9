//! Items that come from one or two places: tokens and mentions of overlapping windows.

use burn::tensor::{Int, Tensor, backend::Backend};

use super::packing::{float_tensor, index_tensor};

/// The one or two places that each item comes from.
#[derive(Clone, Debug)]
pub struct Sources<B: Backend> {
    /// The first place of each item, `[n]`.
    pub first: Tensor<B, 1, Int>,
    /// The second place, or the first again, `[n]`.
    pub second: Tensor<B, 1, Int>,
    /// The weight of the second place; 0 where there is none, `[n, 1]`.
    pub second_weight: Tensor<B, 2>,
}

/// [`Sources`] while they are collected on the host.
pub(super) struct SourceList {
    first: Vec<Option<i32>>,
    second: Vec<Option<i32>>,
}

impl SourceList {
    /// `n` items without places.
    pub(super) fn new(n: usize) -> Self {
        Self { first: vec![None; n], second: vec![None; n] }
    }

    /// Adds a place of `item`; an item has two at most.
    pub(super) fn add(&mut self, item: usize, place: usize) {
        let is_first = self.first[item].is_none();
        let slot = if is_first { &mut self.first[item] } else { &mut self.second[item] };
        debug_assert!(slot.is_none(), "item {item} has more than two places");
        *slot = Some(place as i32);
    }

    /// The tensors; every second place has the weight `second_weight`. An item without a place
    /// takes place 0.
    pub(super) fn tensors<B: Backend>(self, second_weight: f32, device: &B::Device) -> Sources<B> {
        let Self { first, second } = self;
        let n = first.len();
        let weights = second.iter().map(|place| place.map_or(0.0, |_| second_weight)).collect();
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
    fn an_item_of_one_place_takes_it_twice_with_no_second_weight() {
        let mut list = SourceList::new(3);
        for (item, place) in [(1, 4), (0, 2), (1, 7)] {
            list.add(item, place);
        }
        let sources = list.tensors::<TestBackend>(0.5, &Default::default());
        assert_eq!(indices(sources.first), [2, 4, 0]);
        assert_eq!(indices(sources.second), [2, 7, 0]);
        let weights: Vec<f32> = sources.second_weight.into_data().to_vec().unwrap();
        assert_eq!(weights, [0.0, 0.5, 0.0]);
    }
}
