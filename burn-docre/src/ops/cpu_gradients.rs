//! Tests of the backward passes on a backend with CPU kernels, in addition to those in `autodiff`.
//!
//! If the build has such a backend, the test backend is one. Other backends do not reproduce the
//! factors of dropout, and a software GPU takes minutes for several chunks of outer products.

use burn::tensor::{Tensor, TensorData};

use super::{
    DocReOps, DropoutMask, SegmentAttention,
    autodiff::tests::{
        BilinearSizes, D, Diff, N_ROWS, assert_attention_gradients, assert_bilinear_gradients,
        attention_within, pair_grids,
    },
    bilinear::OUTER_PRODUCT_ROWS,
    segment_attention,
};

#[test]
fn several_chunks_of_outer_products_differentiate_like_the_plain_outer_product() {
    let p = OUTER_PRODUCT_ROWS + 3;
    assert_bilinear_gradients(BilinearSizes { p, g: 2, n_groups: 2, d: 3 });
}

/// Reads the factors of dropout `[rows, d]` from the output of attention.
///
/// With equal scores and a unit matrix as values, attention returns the factors divided by the
/// segment's length. No segment may be longer than the head dimension.
fn dropout_factors(attention: &SegmentAttention) -> Tensor<Diff, 2> {
    let head_dim = D / attention.n_heads;
    let (mut unit, mut len_of_row) = (vec![0.0; N_ROWS * D], vec![0.0; N_ROWS]);
    for segment in attention.segments.iter() {
        for (j, row) in segment.rows().enumerate() {
            len_of_row[row] = segment.len as f32;
            for i in 0..attention.n_heads {
                unit[row * D + i * head_dim + j] = 1.0;
            }
        }
    }
    let device = Default::default();
    let tensor = |values: Vec<f32>, shape: [usize; 2]| {
        Tensor::<Diff, 2>::from_data(TensorData::new(values, shape), &device)
    };
    let equal = Tensor::<Diff, 2>::zeros([N_ROWS, D], &device);
    let unit = tensor(unit, [N_ROWS, D]);
    let key_value = Tensor::cat(vec![equal.clone(), unit], 1);
    let mean = segment_attention(equal, key_value, attention);
    mean * tensor(len_of_row, [N_ROWS, 1])
}

#[test]
fn attention_with_dropout_differentiates_like_the_plain_formula_with_its_factors() {
    assert!(Diff::reproduces_dropout(&Default::default()));
    let half = DropoutMask { probability: 0.5, seed: 3 };
    for segments in pair_grids() {
        let attention = attention_within(&segments, Some(half));
        let factors = dropout_factors(&attention);
        let zeros = factors.to_data().iter::<f32>().filter(|factor| *factor == 0.0).count();
        // Segments of two rows do not fill a head dimension of 3, which leaves 8 zeros.
        assert!(zeros > 8, "dropout drops no probability");
        assert_attention_gradients(&attention, &factors);
    }
}
