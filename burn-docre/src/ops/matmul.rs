//! Matrix products in the precision of the weight.

use burn::tensor::{DType, Tensor, backend::Backend};

/// Multiplies f32 rows by a weight in the weight's data type.
///
/// For a half type, the input is rounded before the product, and the product is converted to f32.
///
/// # Shapes
/// - `input`: `[rows, d_in]`; `weight`: `[d_in, d_out]`
/// - output: `[rows, d_out]`, f32
pub fn matmul<B: Backend>(input: Tensor<B, 2>, weight: Tensor<B, 2>) -> Tensor<B, 2> {
    match weight.dtype() {
        DType::F32 => input.matmul(weight),
        half => input.cast(half).matmul(weight).cast(DType::F32),
    }
}
