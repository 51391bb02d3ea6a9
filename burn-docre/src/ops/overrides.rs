//! Tests that compare a backend's overrides with their reference bodies, forward and backward.
//!
//! In a backend's file, `override_tests!` lists the tests of that backend's overrides. A test of
//! an operation without an override would compare the reference body with itself. The inputs are
//! transposed views. Most have more values than one parallel part of the CPU kernels.

use burn::tensor::{Shape, Tensor, TensorMetadata, Tolerance, backend::Backend};

use super::{
    AdamWStep, AdamWTensors, DocReOps, Draws, DropoutMask, Segment, SegmentAttention, Segments,
    primitive::{FloatTensor, unwrap, wrap},
    reference, segment_grid,
};

/// Defines a test on a backend for each of the named functions below.
macro_rules! override_tests {
    ($backend:ty: $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                $crate::ops::overrides::$name::<$backend>();
            }
        )*
    };
}
pub(super) use override_tests;

/// Draws rows, as transposed views.
fn rows<B: Backend, const N: usize>(shapes: [[usize; 2]; N]) -> [Tensor<B, 2>; N] {
    let mut draws = Draws::new();
    shapes.map(|[n, d]| (draws.rows([d, n]) * 4.0).transpose())
}

fn primitive_rows<B: Backend, const N: usize>(shapes: [[usize; 2]; N]) -> [FloatTensor<B>; N] {
    rows::<B, N>(shapes).map(unwrap)
}

#[track_caller]
fn assert_close<B: Backend>(ours: FloatTensor<B>, reference: FloatTensor<B>) {
    assert_eq!(ours.shape(), reference.shape());
    let n = ours.shape().num_elements();
    let [ours, reference] =
        [ours, reference].map(|values| wrap::<B, 1>(B::float_reshape(values, [n].into())));
    let tolerance = Tolerance::rel_abs(1e-4, 1e-4);
    ours.into_data().assert_approx_eq::<f32>(&reference.into_data(), tolerance);
}

#[track_caller]
fn assert_all_close<B: Backend, const N: usize>(
    ours: [FloatTensor<B>; N],
    reference: [FloatTensor<B>; N],
) {
    for (ours, reference) in ours.into_iter().zip(reference) {
        assert_close::<B>(ours, reference);
    }
}

pub(super) fn softmax_equals_its_reference_body_with_and_without_a_bias<B: DocReOps>() {
    let [n, n_heads, q, k] = [3, 2, 19, 301];
    let [scores, padding] = rows::<B, 2>([[n * n_heads * q, k], [n, k]]);
    let scores = scores.reshape([n, q, n_heads, k]).swap_dims(1, 2);
    let padding = padding.greater_elem(2.0).float() * -1e30;
    for bias in [None, Some(padding)] {
        let ours = B::masked_softmax(unwrap(scores.clone()), bias.clone().map(unwrap));
        let reference = reference::masked_softmax::<B>(unwrap(scores.clone()), bias.map(unwrap));
        assert_close::<B>(ours, reference);
    }
}

/// Returns attention along the rows of two pair grids, along their columns, and within windows.
fn attentions() -> [SegmentAttention; 3] {
    let segment = |first, stride, len| Segment { first, stride, len };
    let grids = [(0, 17), (17 * 17, 5)];
    let rows = grids.iter().flat_map(|(first, n)| (0..*n).map(move |i| (first + i * n, *n)));
    let rows = rows.map(|(first, n)| segment(first, 1, n)).collect();
    let columns = grids.iter().flat_map(|(first, n)| (0..*n).map(move |i| (first + i, *n)));
    let columns = columns.map(|(first, n)| segment(first, n, n)).collect();
    // The third window is an empty segment.
    let windows =
        vec![segment(0, 1, 130), segment(130, 1, 1), segment(7, 3, 0), segment(131, 1, 183)];
    [rows, columns, windows].map(|segments| SegmentAttention {
        segments: Segments::new(segments),
        n_heads: 3,
        scale: 0.1,
        dropout: None,
    })
}

pub(super) fn attention_within_segments_equals_its_reference_body<B: DocReOps>() {
    for attention in attentions() {
        let n = attention.segments.n_rows();
        let [query, key_value] = primitive_rows::<B, 2>([[n, 24], [n, 48]]);
        let ours = B::segment_attention(query.clone(), key_value.clone(), &attention);
        assert_close::<B>(ours, segment_grid::segment_attention::<B>(query, key_value, &attention));
    }
}

pub(super) fn the_gradients_of_attention_within_segments_equal_those_of_the_reference_body<
    B: DocReOps,
>() {
    for attention in attentions() {
        let n = attention.segments.n_rows();
        let [query, key_value, grad] = primitive_rows::<B, 3>([24, 48, 24].map(|d| [n, d]));
        let inputs = (query.clone(), key_value.clone(), grad.clone());
        let ours = B::segment_attention_backward(inputs.0, inputs.1, inputs.2, &attention);
        let reference =
            segment_grid::segment_attention_backward::<B>(query, key_value, grad, &attention);
        assert_all_close::<B, 2>(ours, reference);
    }
}

pub(super) fn gelu_equals_its_reference_body<B: DocReOps>() {
    let [input] = primitive_rows::<B, 1>([[70, 301]]);
    assert_close::<B>(B::gelu_rows(input.clone()), reference::gelu_rows::<B>(input));
}

pub(super) fn the_gradient_of_gelu_equals_that_of_the_reference_body<B: DocReOps>() {
    let [input, grad] = primitive_rows::<B, 2>([[70, 301]; 2]);
    let ours = B::gelu_rows_backward(input.clone(), grad.clone());
    assert_close::<B>(ours, reference::gelu_rows_backward::<B>(input, grad));
}

pub(super) fn a_filled_tensor_has_the_values_of_its_reference_body_or_the_error_of_the_filler<
    B: DocReOps,
>() {
    let device = Default::default();
    let shape = Shape::from([70, 301]);
    let fill = |values: &mut [f32]| {
        values.iter_mut().enumerate().for_each(|(i, value)| *value = i as f32);
        Ok::<(), String>(())
    };
    let ours = B::float_filled(shape.clone(), &device, fill).unwrap();
    assert_close::<B>(ours, reference::float_filled::<B, _>(shape.clone(), &device, fill).unwrap());
    let refused = B::float_filled(shape, &device, |_| Err("the file ends"));
    assert_eq!(refused.err(), Some("the file ends"));
    let empty = B::float_filled(Shape::from([0, 3]), &device, fill).unwrap();
    assert_eq!(empty.shape(), Shape::from([0, 3]));
}

pub(super) fn tanh_equals_that_of_the_backend<B: DocReOps>() {
    let [input] = primitive_rows::<B, 1>([[70, 301]]);
    assert_close::<B>(B::tanh_rows(input.clone()), B::float_tanh(input));
}

pub(super) fn the_gradients_of_layer_normalisation_equal_those_of_the_reference_body<
    B: DocReOps,
>() {
    let [input, grad, gamma] = rows::<B, 3>([[70, 301], [70, 301], [1, 301]]);
    let (input, grad, gamma) = (unwrap(input), unwrap(grad), unwrap(gamma.reshape([301])));
    let ours = B::row_layer_norm_backward(input.clone(), gamma.clone(), grad.clone(), 1e-5);
    let reference = reference::row_layer_norm_backward::<B>(input, gamma, grad, 1e-5);
    assert_all_close::<B, 3>(ours, reference);
}

pub(super) fn outer_products_equal_those_of_the_reference_body<B: DocReOps>() {
    let [lhs, rhs] = primitive_rows::<B, 2>([[150, 13]; 2]);
    let ours = B::outer_products(lhs.clone(), rhs.clone());
    assert_close::<B>(ours, reference::outer_products::<B>(lhs, rhs));
}

pub(super) fn the_gradients_of_outer_products_equal_those_of_the_reference_body<B: DocReOps>() {
    let [lhs, rhs, grad] = primitive_rows::<B, 3>([[150, 13], [150, 13], [150, 13 * 13]]);
    let ours = B::outer_products_backward(grad.clone(), lhs.clone(), rhs.clone());
    assert_all_close::<B, 2>(ours, reference::outer_products_backward::<B>(grad, lhs, rhs));
}

/// Compares rates and scales, since the reference body draws other values.
///
/// The backward pass applies the same mask to the gradient, so a second call must drop the same
/// values.
pub(super) fn dropout_has_the_rate_and_the_scale_of_its_reference_body_and_reproduces_its_values<
    B: DocReOps,
>() {
    let mask = DropoutMask { probability: 0.3, seed: 5 };
    let ones = || unwrap(Tensor::<B, 2>::ones([200, 500], &Default::default()));
    let values = |factors: FloatTensor<B>| -> Vec<f32> {
        wrap::<B, 2>(factors).into_data().iter::<f32>().collect()
    };
    let ours = values(B::dropout(ones(), &mask));
    for factors in [&ours, &values(reference::dropout::<B>(ones(), &mask))] {
        let n_kept = factors.iter().filter(|factor| **factor != 0.0).count();
        assert!((69_000..71_000).contains(&n_kept), "{n_kept}");
        let is_factor = |x: &f32| *x == 0.0 || (*x - 1.0 / 0.7).abs() < 1e-4;
        assert!(factors.iter().all(is_factor));
    }
    assert!(B::reproduces_dropout(&Default::default()));
    assert_eq!(ours, values(B::dropout(ones(), &mask)));
}

pub(super) fn a_step_of_adamw_equals_its_reference_body<B: DocReOps>() {
    let step = AdamWStep {
        learning_rate: 0.1,
        beta_1: 0.9,
        beta_2: 0.99,
        epsilon: 1e-3,
        weight_decay: 0.5,
        grad_scale: 0.5,
        time: 2,
    };
    let [param, grad, moment_1, moment_2] = rows::<B, 4>([[70, 301]; 4]);
    let tensors = AdamWTensors { param, grad, moment_1, moment_2: moment_2.abs() }.map(unwrap);
    let ours = B::adamw_step(tensors.clone(), &step);
    let reference = reference::adamw_step::<B>(tensors, &step);
    let changed =
        |tensors: AdamWTensors<FloatTensor<B>>| [tensors.param, tensors.moment_1, tensors.moment_2];
    assert_all_close::<B, 3>(changed(ours), changed(reference));
}

pub(super) fn the_sum_of_squares_equals_its_reference_body<B: DocReOps>() {
    let [values] = primitive_rows::<B, 1>([[70, 301]]);
    assert_close::<B>(B::sum_of_squares(values.clone()), reference::sum_of_squares::<B>(values));
}
