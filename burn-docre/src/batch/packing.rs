//! Ragged data in two forms: *rows* without padding, and a *grid* padded to the batch's maximum.
//!
//! Layers that treat their elements one by one run on rows `[n_rows, ...]`: linear layers,
//! normalisation, bilinear forms, losses. Only attention needs the grid `[n_cells, ...]`, with a
//! mask. The packing of a batch without padding is the identity and moves nothing.

use burn::tensor::{Int, Tensor, TensorData, backend::Backend};

/// The correspondence of rows and grid cells.
#[derive(Clone, Debug)]
pub struct Packing<B: Backend> {
    indices: Option<Indices<B>>,
}

#[derive(Clone, Debug)]
struct Indices<B: Backend> {
    /// For each cell its row; padding cells repeat row 0.
    row_of_cell: Tensor<B, 1, Int>,
    /// For each row its cell.
    cell_of_row: Tensor<B, 1, Int>,
}

impl<B: Backend> Packing<B> {
    /// Creates the packing of a grid whose cell `i` is real where `is_real[i]`; rows keep the order
    /// of the cells.
    pub fn new(is_real: &[bool], device: &B::Device) -> Self {
        if is_real.iter().all(|real| *real) {
            return Self { indices: None };
        }
        let mut n_rows = 0;
        let mut row_of_cell = Vec::with_capacity(is_real.len());
        let mut cell_of_row = Vec::new();
        for (cell, real) in is_real.iter().enumerate() {
            row_of_cell.push(if *real { n_rows } else { 0 });
            if *real {
                cell_of_row.push(cell as i32);
                n_rows += 1;
            }
        }
        let indices = Indices {
            row_of_cell: index_tensor(row_of_cell, device),
            cell_of_row: index_tensor(cell_of_row, device),
        };
        Self { indices: Some(indices) }
    }

    /// Spreads rows over the grid; padding cells are arbitrary but finite.
    ///
    /// # Shapes
    /// - `[n_rows, d]` → `[n_cells, d]`
    pub fn to_grid(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        match &self.indices {
            None => rows,
            Some(indices) => rows.select(0, indices.row_of_cell.clone()),
        }
    }

    /// Collects the rows of a grid.
    ///
    /// # Shapes
    /// - `[n_cells, d]` → `[n_rows, d]`
    pub fn to_rows(&self, grid: Tensor<B, 2>) -> Tensor<B, 2> {
        match &self.indices {
            None => grid,
            Some(indices) => grid.select(0, indices.cell_of_row.clone()),
        }
    }
}

/// A tensor of indices.
pub(crate) fn index_tensor<B: Backend>(indices: Vec<i32>, device: &B::Device) -> Tensor<B, 1, Int> {
    let n = indices.len();
    Tensor::from_data(TensorData::new(indices, [n]), device)
}

/// A tensor of floats.
pub(crate) fn float_tensor<B: Backend, const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    device: &B::Device,
) -> Tensor<B, D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// The bias that masks padding keys in a softmax: finite, so that a wholly masked row stays finite,
/// and so large that its exponential is exactly 0.
pub(crate) const MASKED: f32 = -1e30;

/// The key bias `[n, k]` of a mask: 0 where real, [`MASKED`] where padding; `None` if nothing is
/// padding.
pub(crate) fn key_bias<B: Backend>(
    is_real: &[bool],
    shape: [usize; 2],
    device: &B::Device,
) -> Option<Tensor<B, 2>> {
    if is_real.iter().all(|real| *real) {
        return None;
    }
    let bias = is_real.iter().map(|real| if *real { 0.0 } else { MASKED }).collect();
    Some(float_tensor(bias, shape, device))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::TestBackend;

    fn column(values: &[f32]) -> Tensor<TestBackend, 2> {
        float_tensor(values.to_vec(), [values.len(), 1], &Default::default())
    }

    fn values(tensor: Tensor<TestBackend, 2>) -> Vec<f32> {
        tensor.into_data().to_vec().unwrap()
    }

    #[test]
    fn rows_go_to_their_cells_and_back() {
        let packing = Packing::new(&[false, true, true, false, true], &Default::default());
        let grid = packing.to_grid(column(&[1.0, 2.0, 3.0]));
        assert_eq!(values(grid.clone())[1..3], [1.0, 2.0]);
        assert_eq!(values(grid.clone())[4], 3.0);
        assert_eq!(values(packing.to_rows(grid)), [1.0, 2.0, 3.0]);
    }

    #[test]
    fn a_grid_without_padding_is_its_rows() {
        let packing = Packing::new(&[true; 3], &Default::default());
        assert_eq!(values(packing.to_grid(column(&[1.0, 2.0, 3.0]))), [1.0, 2.0, 3.0]);
        assert_eq!(values(packing.to_rows(column(&[1.0, 2.0, 3.0]))), [1.0, 2.0, 3.0]);
    }

    #[test]
    fn only_padding_is_masked() {
        let device = Default::default();
        let bias = key_bias::<TestBackend>(&[true, false, true, true], [2, 2], &device);
        assert_eq!(values(bias.expect("padding")), [0.0, MASKED, 0.0, 0.0]);
        assert!(key_bias::<TestBackend>(&[true; 4], [2, 2], &device).is_none());
    }
}
