//! The safetensors format.

use safetensors::{Dtype, tensor::Metadata};

use super::{
    layout::{Element, Layout, TensorTable, row_major},
    source::Source,
};
use crate::{error::Cause, input::JsonError};

/// The maximum length of the header, as in the crate `safetensors`.
const MAX_HEADER: u64 = 100_000_000;
/// The number of bytes that encode the header's length.
const LENGTH: u64 = 8;

/// Returns true if a file that begins with `bytes` is in this format.
///
/// The header is a JSON object after its length.
pub(super) fn begins_with(bytes: &[u8]) -> bool {
    bytes.get(LENGTH as usize) == Some(&b'{')
}

/// Reads the header, and checks it against the file's length.
pub(super) fn tensors(source: &Source<'_>, index: usize) -> Result<TensorTable, Cause> {
    let mut length = [0; LENGTH as usize];
    source.read_exact_at(0, &mut length)?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER || length > source.len() {
        return Err("the header is longer than the file".into());
    }
    let mut header = vec![0; length as usize];
    source.read_exact_at(LENGTH, &mut header)?;
    let metadata: Metadata = serde_json::from_slice(&header).map_err(JsonError::from)?;
    let start = LENGTH + length;
    let n_bytes = metadata.data_len() as u64;
    if start.checked_add(n_bytes) != Some(source.len()) {
        return Err(format!(
            "the file has {} bytes of values, its header describes {n_bytes}",
            source.len() - start
        )
        .into());
    }
    let mut found = TensorTable::new();
    for (name, info) in metadata.tensors() {
        let layout = Layout {
            source: index,
            element: element(info.dtype),
            strides: row_major(&info.shape).ok_or("a shape is too large")?,
            shape: info.shape.clone(),
            offset: start + info.data_offsets.0 as u64,
        };
        found.insert(name, layout);
    }
    Ok(found)
}

fn element(dtype: Dtype) -> Element {
    match dtype {
        Dtype::F64 => Element::F64,
        Dtype::F32 => Element::F32,
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        other => Element::Other(format!("{other:?}")),
    }
}
