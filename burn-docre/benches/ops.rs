//! Benchmarks of each override of an operation and its reference body.
//!
//! The sizes are those of MiniLM with KD-DocRE's relation module on four documents of Re-DocRED.
//! Inputs are copied outside the measured time, so every body may work in place.
//!
//! ```text
//! cargo bench -p burn-docre --bench ops --features tch
//! ```

use burn::tensor::{
    Distribution, Shape, Tensor, TensorMetadata, TensorPrimitive, ops::FloatTensorOps,
};
use burn_docre::ops::{
    AdamWStep, AdamWTensors, DocReOps, DropoutMask, Segment, SegmentAttention, Segments,
    reference_bodies,
};
use divan::Bencher;

/// The number of tokens of each document, 1,000 in total.
const N_TOKENS: [usize; 4] = [170, 220, 260, 350];
/// The number of entities of each document, 1,470 pairs in total.
const N_ENTITIES: [usize; 4] = [12, 17, 19, 26];
/// MiniLM's hidden size.
const D: usize = 384;
/// MiniLM's intermediate size, between the two layers of a feed-forward block.
const D_INNER: usize = 1536;
const N_HEADS: usize = 12;
const VOCAB_SIZE: usize = 30_522;
const EMB_SIZE: usize = 768;
const GROUP_SIZE: usize = 64;
const EPSILON: f64 = 1e-12;

const MASK: DropoutMask = DropoutMask { probability: 0.1, seed: 1 };
const STEP: AdamWStep = AdamWStep {
    learning_rate: 5e-5,
    beta_1: 0.9,
    beta_2: 0.999,
    epsilon: 1e-6,
    weight_decay: 0.01,
    grad_scale: 0.5,
    time: 2,
};

fn main() {
    divan::main();
}

fn n_tokens() -> usize {
    N_TOKENS.iter().sum()
}

fn n_pairs() -> usize {
    N_ENTITIES.iter().map(|n| n * n).sum()
}

/// Attention within the documents, as in the encoder.
fn encoder_attention(dropout: Option<DropoutMask>) -> SegmentAttention {
    let first = |i: usize| N_TOKENS[..i].iter().sum();
    let segment = |i: usize| Segment { first: first(i), stride: 1, len: N_TOKENS[i] };
    let segments = Segments::new((0..N_TOKENS.len()).map(segment).collect());
    SegmentAttention { segments, n_heads: N_HEADS, scale: 0.2, dropout }
}

/// Attention along the columns of the pair grids, as in the axial stack.
fn axial_attention() -> SegmentAttention {
    let mut segments = Vec::new();
    let mut first = 0;
    for n in N_ENTITIES {
        segments.extend((first..first + n).map(|first| Segment { first, stride: n, len: n }));
        first += n * n;
    }
    SegmentAttention { segments: Segments::new(segments), n_heads: 8, scale: 0.15, dropout: None }
}

/// Defines two benchmarks of each operation for the backend `B`: of its reference body and of its
/// override.
macro_rules! benchmarks {
    ($($operation:ident: $inputs:expr => $reference:expr, $ours:expr;)*) => {
        $(
            mod $operation {
                use super::*;

                #[divan::bench(sample_count = 200, sample_size = 1, max_time = 1.5)]
                fn reference(bencher: Bencher<'_, '_>) {
                    measure(bencher, $inputs, $reference);
                }

                #[divan::bench(sample_count = 200, sample_size = 1, max_time = 1.5)]
                fn ours(bencher: Bencher<'_, '_>) {
                    measure(bencher, $inputs, $ours);
                }
            }
        )*
    };
}

/// Defines the benchmarks of all operations for a backend.
macro_rules! benchmarks_of {
    ($backend:ty) => {
        use super::*;

        type B = $backend;
        type Values = <B as burn::tensor::backend::BackendTypes>::FloatTensorPrimitive;

        fn values<const R: usize>(shape: [usize; R]) -> Values {
            let normal = Distribution::Normal(0.0, 1.0);
            let values = Tensor::<B, R>::random(shape, normal, &Default::default());
            values.into_primitive().tensor()
        }

        /// Measures `body` on copies of the inputs.
        fn measure<const N: usize, O>(
            bencher: Bencher<'_, '_>,
            inputs: [Values; N],
            body: fn([Values; N]) -> O,
        ) {
            let copy = |values: &Values| {
                let shape: Shape = values.shape();
                let n = shape.num_elements();
                let row = B::float_reshape(values.clone(), [n].into());
                let row = Tensor::<B, 1>::from_primitive(TensorPrimitive::Float(row)) + 0.0;
                B::float_reshape(row.into_primitive().tensor(), shape)
            };
            bencher.with_inputs(|| inputs.each_ref().map(copy)).bench_local_values(body);
        }

        /// The inputs of a step of AdamW. The second moment is not negative.
        fn adamw_inputs() -> [Values; 4] {
            let [param, grad, moment_1, moment_2] = [(); 4].map(|()| values([VOCAB_SIZE / 4, D]));
            [param, grad, moment_1, B::float_abs(moment_2)]
        }

        fn adamw([param, grad, moment_1, moment_2]: [Values; 4]) -> AdamWTensors<Values> {
            AdamWTensors { param, grad, moment_1, moment_2 }
        }

        benchmarks! {
            masked_softmax: [values([4, N_HEADS, 256, 256]), values([4, 256])] =>
                |[scores, bias]| reference_bodies::masked_softmax::<B>(scores, Some(bias)),
                |[scores, bias]| B::masked_softmax(scores, Some(bias));
            encoder_attention: [values([n_tokens(), D]), values([n_tokens(), 2 * D])] =>
                |[query, key_value]| {
                    let attention = encoder_attention(None);
                    reference_bodies::segment_attention::<B>(query, key_value, &attention)
                },
                |[query, key_value]| B::segment_attention(query, key_value, &encoder_attention(None));
            encoder_attention_with_dropout: [values([n_tokens(), D]), values([n_tokens(), 2 * D])] =>
                |[query, key_value]| {
                    let attention = encoder_attention(Some(MASK));
                    reference_bodies::segment_attention::<B>(query, key_value, &attention)
                },
                |[query, key_value]| {
                    B::segment_attention(query, key_value, &encoder_attention(Some(MASK)))
                };
            encoder_attention_backward:
                [values([n_tokens(), D]), values([n_tokens(), 2 * D]), values([n_tokens(), D])] =>
                |[query, key_value, grad]| {
                    let attention = encoder_attention(None);
                    reference_bodies::segment_attention_backward::<B>(
                        query, key_value, grad, &attention,
                    )
                },
                |[query, key_value, grad]| {
                    let attention = encoder_attention(None);
                    B::segment_attention_backward(query, key_value, grad, &attention)
                };
            axial_attention: [values([n_pairs(), D]), values([n_pairs(), 2 * D])] =>
                |[query, key_value]| {
                    reference_bodies::segment_attention::<B>(query, key_value, &axial_attention())
                },
                |[query, key_value]| B::segment_attention(query, key_value, &axial_attention());
            axial_attention_backward:
                [values([n_pairs(), D]), values([n_pairs(), 2 * D]), values([n_pairs(), D])] =>
                |[query, key_value, grad]| {
                    let attention = axial_attention();
                    reference_bodies::segment_attention_backward::<B>(
                        query, key_value, grad, &attention,
                    )
                },
                |[query, key_value, grad]| {
                    B::segment_attention_backward(query, key_value, grad, &axial_attention())
                };
            gelu: [values([n_tokens(), D_INNER])] =>
                |[input]| reference_bodies::gelu_rows::<B>(input),
                |[input]| B::gelu_rows(input);
            gelu_backward: [values([n_tokens(), D_INNER]), values([n_tokens(), D_INNER])] =>
                |[input, grad]| reference_bodies::gelu_rows_backward::<B>(input, grad),
                |[input, grad]| B::gelu_rows_backward(input, grad);
            tanh: [values([n_pairs(), EMB_SIZE])] =>
                |[input]| B::float_tanh(input),
                |[input]| B::tanh_rows(input);
            layer_norm_backward: [values([n_tokens(), D]), values([D]), values([n_tokens(), D])] =>
                |[input, gamma, grad]| {
                    reference_bodies::row_layer_norm_backward::<B>(input, gamma, grad, EPSILON)
                },
                |[input, gamma, grad]| B::row_layer_norm_backward(input, gamma, grad, EPSILON);
            outer_products: [values([n_pairs(), GROUP_SIZE]), values([n_pairs(), GROUP_SIZE])] =>
                |[head, tail]| reference_bodies::outer_products::<B>(head, tail),
                |[head, tail]| B::outer_products(head, tail);
            outer_products_backward:
                [
                    values([n_pairs(), GROUP_SIZE * GROUP_SIZE]),
                    values([n_pairs(), GROUP_SIZE]),
                    values([n_pairs(), GROUP_SIZE]),
                ] =>
                |[grad, head, tail]| reference_bodies::outer_products_backward::<B>(grad, head, tail),
                |[grad, head, tail]| B::outer_products_backward(grad, head, tail);
            dropout: [values([n_tokens(), D])] =>
                |[input]| reference_bodies::dropout::<B>(input, &MASK),
                |[input]| B::dropout(input, &MASK);
            adamw_step:
                adamw_inputs() =>
                |tensors| reference_bodies::adamw_step::<B>(adamw(tensors), &STEP),
                |tensors| B::adamw_step(adamw(tensors), &STEP);
            sum_of_squares: [values([VOCAB_SIZE / 4, D])] =>
                |[values]| reference_bodies::sum_of_squares::<B>(values),
                |[values]| B::sum_of_squares(values);
        }
    };
}

#[cfg(feature = "flex")]
mod flex {
    benchmarks_of!(burn_flex::Flex);

    /// Measures outer products as batched matrix products with the inner dimension 1.
    #[divan::bench(sample_count = 200, sample_size = 1, max_time = 1.5)]
    fn outer_products_as_batched_products(bencher: Bencher<'_, '_>) {
        let sides = [(); 2].map(|()| values([n_pairs(), GROUP_SIZE]));
        measure(bencher, sides, |[head, tail]| {
            let [column, row] = [[n_pairs(), GROUP_SIZE, 1], [n_pairs(), 1, GROUP_SIZE]];
            let head = B::float_reshape(head, column.into());
            B::float_matmul(head, B::float_reshape(tail, row.into()))
        });
    }
}

#[cfg(feature = "tch")]
mod tch {
    benchmarks_of!(burn_tch::LibTorch);
}
