//! Weights in memory, and the writer of safetensors files.

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
    /// Transposes a matrix. Returns weights of other rank unchanged.
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

/// Encodes each weight when it is written, so only one weight at a time is in memory twice.
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

/// Writes a safetensors file atomically. Equal weights give equal bytes.
///
/// # Errors
/// If the file cannot be written.
pub fn write_safetensors(path: &Path, weights: &[(String, Weight)]) -> Result<()> {
    let views = weights.iter().map(|(name, weight)| (name, weight));
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    let serialized = safetensors::serialize(views, Some(metadata)).map_err(|error| {
        Error::format(path, "the weights cannot be written as safetensors").with_source(error)
    })?;
    write_atomically(path, |out| out.write_all(&serialized))
}
