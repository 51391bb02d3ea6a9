//! Ragged data in two forms: *rows* without padding, and a *grid* padded to the batch's maximum.
//!
//! Layers that treat each row alone run on rows `[n_rows, ...]`: linear layers, normalisation,
//! bilinear forms, losses. Only attention needs the grid `[n_cells, ...]`, with a mask. Without
//! padding, rows and grid are the same tensor, and nothing is copied.

use burn::tensor::{Int, Tensor, TensorData, backend::Backend};

/// The mapping between rows and grid cells.
#[derive(Clone, Debug)]
pub struct Packing<B: Backend> {
    indices: Option<Indices<B>>,
}

#[derive(Clone, Debug)]
struct Indices<B: Backend> {
    /// The row of each cell; 0 at padding.
    row_of_cell: Tensor<B, 1, Int>,
    /// The cell of each row.
    cell_of_row: Tensor<B, 1, Int>,
}

impl<B: Backend> Packing<B> {
    /// Creates the packing of a grid. Cell `i` holds a row if `is_real[i]`, else padding; rows are
    /// in the order of their cells.
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

    /// Copies each row to its cell. The values of padding cells are unspecified, but finite if all
    /// rows are.
    ///
    /// # Shapes
    /// - `[n_rows, d]` → `[n_cells, d]`
    pub fn to_grid(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        match &self.indices {
            None => rows,
            Some(indices) => rows.select(0, indices.row_of_cell.clone()),
        }
    }

    /// Copies each row from its cell and drops the padding.
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

/// Copies indices to the device.
pub(crate) fn index_tensor<B: Backend>(indices: Vec<i32>, device: &B::Device) -> Tensor<B, 1, Int> {
    let n = indices.len();
    Tensor::from_data(TensorData::new(indices, [n]), device)
}

/// Copies values to the device, in row-major order.
pub(crate) fn float_tensor<B: Backend, const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    device: &B::Device,
) -> Tensor<B, D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// The bias that masks padding in a softmax. It is finite, so that a fully masked row stays finite,
/// and so low that its exponential is exactly 0.
pub(crate) const MASKED: f32 = -1e30;

/// The bias of keys in a softmax: 0 where `is_real`, [`MASKED`] at padding. `None` without padding.
///
/// # Shapes
/// - output: `shape`, the number of segments and of keys in each
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
    fn rows_are_copied_to_their_cells_and_back() {
        let packing = Packing::new(&[false, true, true, false, true], &Default::default());
        let grid = packing.to_grid(column(&[1.0, 2.0, 3.0]));
        assert_eq!(values(grid.clone())[1..3], [1.0, 2.0]);
        assert_eq!(values(grid.clone())[4], 3.0);
        assert_eq!(values(packing.to_rows(grid)), [1.0, 2.0, 3.0]);
    }

    #[test]
    fn a_grid_without_padding_equals_its_rows() {
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
