//! Ragged data, stored twice over: as *rows* without padding and as a *grid* padded to the batch's maximum.
//!
//! Everything that treats its elements one by one (linear layers, normalisation, bilinear forms, losses) runs on rows
//! `[n_rows, ...]`, where padding does not exist. Only attention needs the grid `[n_cells, ...]`, and there the mask goes
//! along. A batch without padding has the identity as its packing and moves nothing.

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
    /// The packing of a grid whose cell `i` is real where `is_real[i]`; rows keep the order of the cells.
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

    /// `rows [n_rows, d]` → `[n_cells, d]`; what stands in padding cells is arbitrary but finite.
    pub fn to_grid(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        match &self.indices {
            None => rows,
            Some(indices) => rows.select(0, indices.row_of_cell.clone()),
        }
    }

    /// `grid [n_cells, d]` → `[n_rows, d]`.
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

/// A tensor of numbers.
pub(crate) fn float_tensor<B: Backend, const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    device: &B::Device,
) -> Tensor<B, D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// The bias that masks padding keys in a softmax: finite, so that a wholly masked row stays finite, and so large that
/// its exponential is exactly 0.
pub(crate) const MASKED: f32 = -1e30;

/// The key bias `[n, k]` of a mask: 0 where real, [`MASKED`] where padding; `None` if nothing is padding.
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
