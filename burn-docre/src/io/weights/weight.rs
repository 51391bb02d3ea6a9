//! Tensors in memory, and their writing.

use std::{borrow::Cow, collections::HashMap, io::Write, path::Path};

use safetensors::{Dtype, View};

use crate::{Error, Result, io::atomic_file::write_atomically};

/// A tensor read from a file or taken from a module, in f32 and row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// Its values.
    pub values: Vec<f32>,
}

impl Weight {
    /// A matrix with rows and columns exchanged; anything else unchanged.
    pub(super) fn transposed(self) -> Self {
        let [rows, columns] = self.shape[..] else { return self };
        let mut values = vec![0.0; self.values.len()];
        for row in 0..rows {
            for column in 0..columns {
                values[column * rows + row] = self.values[row * columns + column];
            }
        }
        Self { shape: vec![columns, rows], values }
    }
}

/// The bytes of a weight are made when they are written, so that one weight at a time stands twice in memory.
impl View for &Weight {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    fn data_len(&self) -> usize {
        self.values.len() * size_of::<f32>()
    }
}

/// Writes a safetensors file atomically; equal weights give equal bytes.
///
/// # Errors
/// If the file cannot be written.
pub fn write_safetensors(path: &Path, weights: &[(String, Weight)]) -> Result<()> {
    let views = weights.iter().map(|(name, weight)| (name, weight));
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    let serialized = safetensors::serialize(views, Some(metadata))
        .map_err(|error| Error::format(path, "not written").with_source(error))?;
    write_atomically(path, |out| out.write_all(&serialized))
}
