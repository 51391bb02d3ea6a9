//! The analytic backward passes of [`DocReOps`], written once for every backend.

use burn::tensor::{Shape, TensorMetadata, backend::AutodiffBackend, ops::FloatTensorOps};
use burn_autodiff::{
    Autodiff, NodeId,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind, unary},
};

use super::{
    bilinear::{side_gradients, weight_gradient},
    dropout::DropoutMask,
    mention_pairs::MentionPairRows,
    operations::DocReOps,
    primitive::{FloatTensor, unwrap, wrap},
    reference::dropout_factors,
    segment_grid,
    segments::{AttentionLayout, SegmentAttention},
};

impl<B: DocReOps, C: CheckpointStrategy> DocReOps for Autodiff<B, C> {
    fn attention_layout(device: &B::Device) -> AttentionLayout {
        B::attention_layout(device)
    }

    fn reproduces_dropout(device: &B::Device) -> bool {
        B::reproduces_dropout(device)
    }

    fn float_filled<E>(
        shape: Shape,
        device: &B::Device,
        fill: impl FnOnce(&mut [f32]) -> Result<(), E>,
    ) -> Result<FloatTensor<Self>, E> {
        Ok(Self::from_inner(B::float_filled(shape, device, fill)?))
    }

    fn masked_softmax(
        scores: FloatTensor<Self>,
        key_bias: Option<FloatTensor<Self>>,
    ) -> FloatTensor<Self> {
        let output = B::masked_softmax(scores.primitive, key_bias.map(|bias| bias.primitive));
        match MaskedSoftmax.prepare::<C>([scores.node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(output.clone(), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn segment_attention(
        query: FloatTensor<Self>,
        key_value: FloatTensor<Self>,
        attention: &SegmentAttention,
    ) -> FloatTensor<Self> {
        let device = Self::float_device(&query);
        if attention.dropout.is_some() && !B::reproduces_dropout(&device) {
            // Burn differentiates the reference body and keeps the factors for the backward pass.
            return segment_grid::segment_attention::<Self>(query, key_value, attention);
        }
        let output =
            B::segment_attention(query.primitive.clone(), key_value.primitive.clone(), attention);
        let nodes = [query.node.clone(), key_value.node.clone()];
        match WithinSegments.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let inputs = [prep.checkpoint(&query), prep.checkpoint(&key_value)];
                prep.finish((inputs, attention.clone()), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn gelu_rows(input: FloatTensor<Self>) -> FloatTensor<Self> {
        match Gelu.prepare::<C>([input.node.clone()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = prep.checkpoint(&input);
                prep.finish(state, B::gelu_rows(input.primitive))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::gelu_rows(input.primitive)),
        }
    }

    fn tanh_rows(input: FloatTensor<Self>) -> FloatTensor<Self> {
        let output = B::tanh_rows(input.primitive);
        match Tanh.prepare::<C>([input.node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(output.clone(), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn row_layer_norm(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let nodes = [input.node.clone(), gamma.node.clone(), beta.node.clone()];
        let output = |input: FloatTensor<B>, gamma: FloatTensor<B>| {
            B::row_layer_norm(input, gamma, beta.primitive.clone(), epsilon)
        };
        match LayerNorm.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&input), prep.checkpoint(&gamma), epsilon);
                prep.finish(state, output(input.primitive, gamma.primitive))
            }
            OpsKind::UnTracked(prep) => prep.finish(output(input.primitive, gamma.primitive)),
        }
    }

    fn dropout(input: FloatTensor<Self>, mask: &DropoutMask) -> FloatTensor<Self> {
        let device = Self::float_device(&input);
        if !B::reproduces_dropout(&device) {
            let factors = dropout_factors::<B>(input.primitive.shape(), mask, &device);
            return Self::float_mul(input, Self::from_inner(factors));
        }
        let output = B::dropout(input.primitive, mask);
        match Dropout.prepare::<C>([input.node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(*mask, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn grouped_bilinear(
        head: FloatTensor<Self>,
        tail: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        n_groups: usize,
    ) -> FloatTensor<Self> {
        let nodes = [head.node.clone(), tail.node.clone(), weight.node.clone()];
        match GroupedBilinear.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let inputs =
                    [prep.checkpoint(&head), prep.checkpoint(&tail), prep.checkpoint(&weight)];
                let output =
                    B::grouped_bilinear(head.primitive, tail.primitive, weight.primitive, n_groups);
                prep.finish((inputs, n_groups), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::grouped_bilinear(
                head.primitive,
                tail.primitive,
                weight.primitive,
                n_groups,
            )),
        }
    }

    fn mention_pair_context(
        attention: FloatTensor<Self>,
        values: FloatTensor<Self>,
        pairs: &MentionPairRows,
    ) -> FloatTensor<Self> {
        let nodes = [attention.node.clone(), values.node.clone()];
        let output =
            B::mention_pair_context(attention.primitive.clone(), values.primitive.clone(), pairs);
        match MentionPairContext.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let inputs = [prep.checkpoint(&attention), prep.checkpoint(&values)];
                prep.finish((inputs, pairs.clone()), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// Registers the gradients of the parents that require one.
fn register<B: DocReOps, S, const N: usize>(
    grads: &mut Gradients,
    ops: &Ops<S, N>,
    gradients: [FloatTensor<B>; N],
) {
    for (node, gradient) in ops.parents.iter().zip(gradients) {
        if let Some(node) = node {
            grads.register::<B>(node.id, gradient);
        }
    }
}

/// `dx = y * (dy - sum(dy * y))` over the last dimension.
#[derive(Debug)]
struct MaskedSoftmax;

impl<B: DocReOps> Backward<B, 1> for MaskedSoftmax {
    type State = FloatTensor<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let output = wrap::<B, 4>(ops.state);
        unary::<B, _>(ops.parents, ops.node, grads, |grad| {
            let weighted = wrap::<B, 4>(grad) * output.clone();
            let sum = weighted.clone().sum_dim(3);
            unwrap(weighted - output * sum)
        });
    }
}

/// `dx = M ∘ dy`, with the factors `M` computed again from the mask.
#[derive(Debug)]
struct Dropout;

impl<B: DocReOps> Backward<B, 1> for Dropout {
    type State = DropoutMask;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        unary::<B, _>(ops.parents, ops.node, grads, |grad| B::dropout(grad, &ops.state));
    }
}

/// `dx = dy (Φ(x) + x φ(x))`, with the standard normal distribution Φ and its density φ.
#[derive(Debug)]
struct Gelu;

impl<B: DocReOps> Backward<B, 1> for Gelu {
    type State = NodeId;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let input = checkpointer.retrieve_node_output(ops.state);
        unary::<B, _>(ops.parents, ops.node, grads, |grad| B::gelu_rows_backward(input, grad));
    }
}

/// `dx = dy (1 - y^2)`.
#[derive(Debug)]
struct Tanh;

impl<B: DocReOps> Backward<B, 1> for Tanh {
    type State = FloatTensor<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let output = wrap::<B, 2>(ops.state);
        unary::<B, _>(ops.parents, ops.node, grads, |grad| {
            unwrap(wrap::<B, 2>(grad) * (output.clone() * output * -1.0 + 1.0))
        });
    }
}

/// Attention within segments, whose gradients [`DocReOps::segment_attention_backward`] computes.
#[derive(Debug)]
struct WithinSegments;

impl<B: DocReOps> Backward<B, 2> for WithinSegments {
    type State = ([NodeId; 2], SegmentAttention);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let (inputs, attention) = &ops.state;
        let [query, key_value] = inputs.map(|node| checkpointer.retrieve_node_output(node));
        let grad = grads.consume::<B>(&ops.node);
        let gradients = B::segment_attention_backward(query, key_value, grad, attention);
        register::<B, _, _>(grads, &ops, gradients);
    }
}

/// With `x_hat = (x - mean) * r`, `r = 1 / sqrt(var + epsilon)` and `g = dy * gamma`:
/// `dx = r * (g - mean(g) - x_hat * mean(g * x_hat))`, `dgamma = sum(dy * x_hat)`,
/// `dbeta = sum(dy)`.
#[derive(Debug)]
struct LayerNorm;

impl<B: DocReOps> Backward<B, 3> for LayerNorm {
    type State = (NodeId, NodeId, f64);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let (input, gamma, epsilon) = ops.state;
        let input = checkpointer.retrieve_node_output(input);
        let gamma = checkpointer.retrieve_node_output(gamma);
        let grad = grads.consume::<B>(&ops.node);
        let gradients = B::row_layer_norm_backward(input, gamma, grad, epsilon);
        register::<B, _, _>(grads, &ops, gradients);
    }
}

/// With `A_j = vec(head_j tail_j^T)` computed again and `D_j = dout W_j^T` as `[p, g, g]`:
/// `dW_j = A_j^T dout`, `dhead_j = D_j tail_j`, `dtail_j = D_j^T head_j`.
#[derive(Debug)]
struct GroupedBilinear;

impl<B: DocReOps> Backward<B, 3> for GroupedBilinear {
    type State = ([NodeId; 3], usize);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let ([head, tail, weight], n_groups) = ops.state;
        let head = wrap::<B, 2>(checkpointer.retrieve_node_output(head));
        let tail = wrap::<B, 2>(checkpointer.retrieve_node_output(tail));
        let weight = wrap::<B, 2>(checkpointer.retrieve_node_output(weight));
        let grad = wrap::<B, 2>(grads.consume::<B>(&ops.node));

        let [node_head, node_tail, node_weight] = ops.parents;
        if let Some(node) = node_weight {
            let dtype = weight.dtype();
            let d_weight =
                weight_gradient([&head, &tail], &grad, n_groups, dtype, B::outer_products);
            grads.register::<B>(node.id, unwrap(d_weight));
        }
        if node_head.is_some() || node_tail.is_some() {
            let operands = [&head, &tail, &weight];
            let [d_head, d_tail] =
                side_gradients(operands, &grad, n_groups, B::outer_products_backward);
            if let Some(node) = node_head {
                grads.register::<B>(node.id, unwrap(d_head));
            }
            if let Some(node) = node_tail {
                grads.register::<B>(node.id, unwrap(d_tail));
            }
        }
    }
}

/// The context of mention pairs, whose gradients [`DocReOps::mention_pair_context_backward`]
/// computes.
#[derive(Debug)]
struct MentionPairContext;

impl<B: DocReOps> Backward<B, 2> for MentionPairContext {
    type State = ([NodeId; 2], MentionPairRows);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let (inputs, pairs) = &ops.state;
        let [attention, values] = inputs.map(|node| checkpointer.retrieve_node_output(node));
        let grad = grads.consume::<B>(&ops.node);
        let gradients = B::mention_pair_context_backward(attention, values, grad, pairs);
        register::<B, _, _>(grads, &ops, gradients);
    }
}

#[cfg(test)]
pub(super) mod tests {
    //! Tests that compare each analytic backward pass with Burn's differentiation of the formula.

    use burn::tensor::{IndexingUpdateOp, Tensor, TensorData, Tolerance, activation};
    use burn_autodiff::Autodiff;

    use crate::{
        backend::TestBackend,
        batch::packing::{float_tensor, index_tensor},
        ops::{self, Draws, DropoutMask, MentionPairRows, Segment, SegmentAttention, Segments},
    };

    pub(in crate::ops) type Diff = Autodiff<TestBackend>;

    /// Draws tracked inputs.
    fn inputs<const N: usize>(shapes: [[usize; 2]; N]) -> [Tensor<Diff, 2>; N] {
        let mut draws = Draws::new();
        shapes.map(|shape| (draws.rows(shape) * 2.0).detach().require_grad())
    }

    /// Compares two outputs, and the gradients of `sum(output * weights)` for fixed weights.
    fn assert_same_gradients<const D: usize>(
        inputs: [&Tensor<Diff, 2>; 3],
        ours: Tensor<Diff, D>,
        plain: Tensor<Diff, D>,
    ) {
        let tolerance = Tolerance::rel_abs(1e-4, 1e-4);
        ours.to_data().assert_approx_eq::<f32>(&plain.to_data(), tolerance);
        let weights = ours.clone().detach().sin();
        let gradients = |output: Tensor<Diff, D>| -> Vec<TensorData> {
            let gradients = (output * weights.clone()).sum().backward();
            let gradient = |input: &&Tensor<Diff, 2>| input.grad(&gradients).expect("tracked");
            inputs.iter().map(|input| gradient(input).into_data()).collect()
        };
        for (ours, plain) in gradients(ours).iter().zip(&gradients(plain)) {
            ours.assert_approx_eq::<f32>(plain, tolerance);
        }
    }

    /// The sizes of a grouped bilinear form: `p` pairs, groups of `g` values, output size `d`.
    pub(in crate::ops) struct BilinearSizes {
        pub(in crate::ops) p: usize,
        pub(in crate::ops) g: usize,
        pub(in crate::ops) n_groups: usize,
        pub(in crate::ops) d: usize,
    }

    pub(in crate::ops) fn assert_bilinear_gradients(
        BilinearSizes { p, g, n_groups, d }: BilinearSizes,
    ) {
        let side = [p, n_groups * g];
        let [head, tail, weight] = inputs([side, side, [n_groups * g * g, d]]);
        let ours = ops::grouped_bilinear(head.clone(), tail.clone(), weight.clone(), n_groups);
        let outer =
            head.clone().reshape([p, n_groups, g, 1]) * tail.clone().reshape([p, n_groups, 1, g]);
        let plain = outer.reshape([p, n_groups * g * g]).matmul(weight.clone());
        assert_same_gradients([&head, &tail, &weight], ours, plain);
    }

    #[test]
    fn the_grouped_bilinear_differentiates_like_the_plain_outer_product() {
        for p in [1, 7] {
            assert_bilinear_gradients(BilinearSizes { p, g: 4, n_groups: 3, d: 5 });
        }
    }

    /// Computes attention with ordinary operations, one segment and attention head at a time.
    ///
    /// `factors [rows, d]` has the factors of dropout. Column `j` of a row and attention head is
    /// the factor of the probability of key `j` of the row's segment.
    fn plain_attention(
        [query, key, value]: [&Tensor<Diff, 2>; 3],
        attention: &SegmentAttention,
        factors: &Tensor<Diff, 2>,
    ) -> Tensor<Diff, 2> {
        let [n_rows, d] = query.dims();
        let device = query.device();
        let head_dim = d / attention.n_heads;
        let mut output = Tensor::zeros([n_rows, d], &device);
        for segment in attention.segments.iter() {
            let rows = segment.rows().map(|row| row as i32).collect();
            let rows = index_tensor::<Diff>(rows, &device);
            let contexts = (0..attention.n_heads).map(|i| {
                let part = |x: &Tensor<Diff, 2>| {
                    let x = x.clone().select(0, rows.clone());
                    x.slice([0..segment.len, i * head_dim..(i + 1) * head_dim])
                };
                let scores = part(query).matmul(part(key).transpose()) * attention.scale;
                let factors = part(factors).slice([0..segment.len, 0..segment.len]);
                (activation::softmax(scores, 1) * factors).matmul(part(value))
            });
            let context = Tensor::cat(contexts.collect(), 1);
            output = output.select_assign(0, rows, context, IndexingUpdateOp::Add);
        }
        output
    }

    /// The number of rows of [`pair_grids`].
    pub(in crate::ops) const N_ROWS: usize = 13;
    /// The hidden size of the tests of attention.
    pub(in crate::ops) const D: usize = 6;

    /// Returns the rows and the columns of two pair grids, of three entities and of two.
    pub(in crate::ops) fn pair_grids() -> [[Segment; 5]; 2] {
        let segment = |first, stride, len| Segment { first, stride, len };
        let rows = [
            segment(0, 1, 3),
            segment(3, 1, 3),
            segment(6, 1, 3),
            segment(9, 1, 2),
            segment(11, 1, 2),
        ];
        let columns = [
            segment(0, 3, 3),
            segment(1, 3, 3),
            segment(2, 3, 3),
            segment(9, 2, 2),
            segment(10, 2, 2),
        ];
        [rows, columns]
    }

    pub(in crate::ops) fn attention_within(
        segments: &[Segment],
        dropout: Option<DropoutMask>,
    ) -> SegmentAttention {
        let segments = Segments::new(segments.to_vec());
        SegmentAttention { segments, n_heads: 2, scale: 0.7, dropout }
    }

    /// Compares attention with the plain formula, for given factors of dropout `[rows, d]`.
    pub(in crate::ops) fn assert_attention_gradients(
        attention: &SegmentAttention,
        factors: &Tensor<Diff, 2>,
    ) {
        let [query, key, value] = inputs([[N_ROWS, D]; 3]);
        let key_value = Tensor::cat(vec![key.clone(), value.clone()], 1);
        let ours = ops::segment_attention(query.clone(), key_value, attention);
        let plain = plain_attention([&query, &key, &value], attention, factors);
        assert_same_gradients([&query, &key, &value], ours, plain);
    }

    #[test]
    fn attention_within_segments_differentiates_like_the_plain_formula() {
        for segments in pair_grids() {
            let ones = Tensor::ones([N_ROWS, D], &Default::default());
            assert_attention_gradients(&attention_within(&segments, None), &ones);
        }
    }

    /// Attention `A V` is linear in the values `V`, so `sum(dV ∘ V)` equals the loss
    /// `sum(A V ∘ weights)`. A backward pass with other factors of dropout breaks the equality.
    #[test]
    fn the_backward_pass_of_attention_has_the_dropout_factors_of_the_forward_pass() {
        let half = DropoutMask { probability: 0.5, seed: 3 };
        for segments in pair_grids() {
            let [query, key_value] = inputs([[N_ROWS, D], [N_ROWS, 2 * D]]);
            let attention = attention_within(&segments, Some(half));
            let output = ops::segment_attention(query, key_value.clone(), &attention);
            let loss = (output.clone() * output.detach().sin()).sum();
            let gradients = loss.backward();
            let d_key_value = key_value.grad(&gradients).expect("tracked");
            let product = (d_key_value * key_value.inner()).slice([0..N_ROWS, D..2 * D]).sum();
            let (sum, loss): (f32, f32) = (product.into_scalar(), loss.into_scalar());
            assert!((sum - loss).abs() < 1e-3, "{sum} differs from the loss {loss}");
        }
    }

    #[test]
    fn gelu_and_tanh_differentiate_like_the_plain_formulas() {
        let [x, y, z] = inputs([[5, 7]; 3]);
        let input = || x.clone() * 2.0 + y.clone() * z.clone();
        let plain = ((input() / 2f64.sqrt()).erf() + 1.0) * input() * 0.5;
        assert_same_gradients([&x, &y, &z], ops::gelu(input()), plain);
        assert_same_gradients([&x, &y, &z], ops::tanh(input()), input().tanh());
    }

    #[test]
    fn layer_normalisation_differentiates_like_the_plain_formula() {
        // The second input has more values than one parallel part of the CPU kernels.
        for [n, d] in [[3, 6], [70, 300]] {
            let [x, gamma, beta] = inputs([[n, d], [1, d], [1, d]]);
            let [gamma_row, beta_row] = [&gamma, &beta].map(|row| row.clone().reshape([d]));
            let ours = ops::layer_norm(x.clone(), gamma_row, beta_row, 1e-5);
            let centered = x.clone() - x.clone().mean_dim(1);
            let variance = (centered.clone() * centered.clone()).mean_dim(1);
            let plain = centered / (variance + 1e-5).sqrt() * gamma.clone() + beta.clone();
            assert_same_gradients([&x, &gamma, &beta], ours, plain);
        }
    }

    #[test]
    fn masked_softmax_differentiates_like_the_plain_formula_and_gives_padding_probability_0() {
        let [x, y, z] = inputs([[2, 12]; 3]);
        let scores = || (x.clone() + y.clone() * z.clone()).reshape([2, 2, 2, 3]);
        let bias = float_tensor(vec![0.0, 0.0, -1e30, 0.0, 0.0, 0.0], [2, 3], &Default::default());
        let ours = ops::masked_softmax(scores(), Some(bias.clone()));
        let padding: Vec<f32> =
            ours.clone().slice([0..1, 0..2, 0..2, 2..3]).into_data().into_vec().expect("floats");
        assert_eq!(padding, [0.0; 4]);
        let plain = activation::softmax(scores() + bias.reshape([2, 1, 1, 3]), 3);
        assert_same_gradients([&x, &y, &z], ours, plain);
    }

    /// The shape of the attention in the tests of mention pairs: five mentions of two documents.
    const MENTIONS: [usize; 3] = [5, 2, 4];

    /// The context of one mention pair with ordinary operations, `[1, r]`.
    fn plain_context(
        attention: &Tensor<Diff, 3>,
        values: Tensor<Diff, 2>,
        [head, tail]: [usize; 2],
    ) -> Tensor<Diff, 2> {
        let [_, n_heads, l] = MENTIONS;
        let of = |mention: usize| {
            attention.clone().slice([mention..mention + 1, 0..n_heads, 0..l]).reshape([n_heads, l])
        };
        let product = of(head) * of(tail);
        let weights = product.clone() / product.sum_dim(1);
        weights.sum_dim(0).matmul(values)
    }

    /// Nine mention pairs, which fill a test's chunk of eight, none, and two.
    fn mention_pairs() -> MentionPairRows {
        let head = vec![0, 0, 1, 2, 1, 2, 2, 0, 0, 3, 4];
        let tail = vec![1, 2, 0, 0, 2, 1, 1, 2, 2, 4, 3];
        MentionPairRows::new(head, tail, vec![0..9, 9..9, 9..11])
    }

    #[test]
    fn the_context_of_mention_pairs_differentiates_like_the_plain_formula() {
        let [m, n_heads, l] = MENTIONS;
        let r = 3;
        let [x, y, z] = inputs([[m, n_heads * l], [3 * l, r], [3 * l, r]]);
        let attention = || activation::softmax(x.clone().reshape(MENTIONS), 2);
        let values = || y.clone() * z.clone();
        let pairs = mention_pairs();
        let ours = ops::mention_pair_context(attention(), values().reshape([3, l, r]), &pairs);
        let first = [[0, 1], [0, 2], [1, 0], [2, 0], [1, 2], [2, 1], [2, 1], [0, 2], [0, 2]];
        let second = [[3, 4], [4, 3]];
        let of = |document: usize, pairs: &[[usize; 2]]| -> Vec<_> {
            let values = values().slice([document * l..(document + 1) * l, 0..r]);
            let context = |pair: &[usize; 2]| plain_context(&attention(), values.clone(), *pair);
            pairs.iter().map(context).collect()
        };
        let plain = Tensor::cat([of(0, &first), of(2, &second)].concat(), 0);
        assert_same_gradients([&x, &y, &z], ours, plain);
    }

    #[test]
    fn mentions_that_share_no_token_have_no_context_and_no_gradient() {
        let attention = vec![1.0, 0.0, /**/ 0.5, 0.5, /**/ 0.0, 1.0, /**/ 1.0, 0.0];
        let attention = float_tensor::<Diff, 3>(attention, [2, 2, 2], &Default::default());
        let attention = attention.require_grad();
        let values = Tensor::<Diff, 3>::ones([1, 2, 1], &Default::default());
        let pairs = MentionPairRows::new(vec![0], vec![1], vec![0..1, 1..1]);
        let context = ops::mention_pair_context(attention.clone(), values, &pairs);
        // The second attention head contributes 1, the first, without a common token, 0.
        assert_eq!(context.to_data().to_vec::<f32>().unwrap(), [1.0]);
        let gradients = context.sum().backward();
        let gradient: Vec<f32> =
            attention.grad(&gradients).expect("tracked").into_data().to_vec().unwrap();
        assert_eq!(gradient, [0.0; 8]);
    }
}
