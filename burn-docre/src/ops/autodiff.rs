//! Analytic backward passes of [`DocReOps`], for every backend at once.

use burn::tensor::{TensorMetadata, backend::AutodiffBackend, ops::FloatTensorOps};
use burn_autodiff::{
    Autodiff, NodeId,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind, unary},
};

use super::{
    bilinear::{side_gradients, weight_gradient},
    dropout::DropoutMask,
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

/// The gradient is dropped as the input was.
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

/// `dx = dy (Φ(x) + x φ(x))`.
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

/// The gradients of attention within segments, by [`DocReOps::segment_attention_backward`].
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
        let (inputs, attention) = ops.state;
        let [query, key_value] = inputs.map(|node| checkpointer.retrieve_node_output(node));
        let grad = grads.consume::<B>(&ops.node);
        let gradients = B::segment_attention_backward(query, key_value, grad, &attention);
        for (node, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

/// With `x_hat = (x - mean) * r`, `r = 1 / sqrt(var + epsilon)` and `g = dy * gamma`:
/// `dx = r * (g - mean(g) - x_hat * mean(g * x_hat))`, `dgamma = sum(dy * x_hat)`, `dbeta = sum(dy)`.
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
        for (node, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

/// With `A_j = vec(head_j tail_j^T)` computed again and `D_j = dout W_j^T` seen as `[p, g, g]`:
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

#[cfg(test)]
mod tests {
    //! Each analytic backward pass against Burn's own differentiation of the plain formula.

    use burn::tensor::{Distribution, IndexingUpdateOp, Tensor, TensorData, Tolerance, activation};
    use burn_autodiff::Autodiff;

    use crate::{
        backend::TestBackend,
        batch::packing::{float_tensor, index_tensor},
        ops::{
            self, AttentionLayout, DocReOps, DropoutMask, Segment, SegmentAttention, Segments,
            bilinear::OUTER_PRODUCT_ROWS,
        },
    };

    type Diff = Autodiff<TestBackend>;

    fn has_cpu_kernels() -> bool {
        Diff::attention_layout(&Default::default()) == AttentionLayout::Segments
    }

    fn random<const D: usize>(shape: [usize; D]) -> Tensor<Diff, D> {
        Tensor::<Diff, D>::random(shape, Distribution::Normal(0.0, 1.0), &Default::default())
            .require_grad()
    }

    /// Gradients of `sum(output * fixed)` with respect to the inputs.
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

    #[test]
    fn the_grouped_bilinear_differentiates_like_the_plain_outer_product() {
        // The last has more than one chunk of rows. A GPU in software takes minutes for it.
        let large = has_cpu_kernels().then_some((OUTER_PRODUCT_ROWS + 3, 2, 2, 3));
        for (p, g, n_groups, d) in [(1, 4, 3, 5), (7, 4, 3, 5)].into_iter().chain(large) {
            let (head, tail) = (random([p, n_groups * g]), random([p, n_groups * g]));
            let weight = random([n_groups * g * g, d]);
            let ours = ops::grouped_bilinear(head.clone(), tail.clone(), weight.clone(), n_groups);
            let outer = head.clone().reshape([p, n_groups, g, 1])
                * tail.clone().reshape([p, n_groups, 1, g]);
            let plain = outer.reshape([p, n_groups * g * g]).matmul(weight.clone());
            assert_same_gradients([&head, &tail, &weight], ours, plain);
        }
    }

    /// Computes attention of one segment and head at a time with ordinary operations.
    ///
    /// The factors of a segment's probabilities stand at the place of its values.
    fn plain_attention(
        [query, key, value]: [&Tensor<Diff, 2>; 3],
        segments: &[Vec<i32>],
        n_heads: usize,
        scale: f64,
        factors: &Tensor<Diff, 2>,
    ) -> Tensor<Diff, 2> {
        let [n_rows, d] = query.dims();
        let device = query.device();
        let w = d / n_heads;
        let mut output = Tensor::zeros([n_rows, d], &device);
        for segment in segments {
            let rows = index_tensor::<Diff>(segment.clone(), &device);
            let heads = (0..n_heads).map(|head| {
                let part = |x: &Tensor<Diff, 2>| {
                    let x = x.clone().select(0, rows.clone());
                    x.slice([0..segment.len(), head * w..(head + 1) * w])
                };
                let scores = part(query).matmul(part(key).transpose()) * scale;
                let factors = part(factors).slice([0..segment.len(), 0..segment.len()]);
                (activation::softmax(scores, 1) * factors).matmul(part(value))
            });
            let context = Tensor::cat(heads.collect(), 1);
            output = output.select_assign(0, rows, context, IndexingUpdateOp::Add);
        }
        output
    }

    /// The factors of dropout, each segment's at the place of its values.
    ///
    /// With equal scores and a unit matrix as values, attention returns the factors divided by the
    /// segment's length. No segment may be longer than the head dimension.
    fn dropout_factors(
        attention: &SegmentAttention,
        segments: &[Vec<i32>],
        [n_rows, d]: [usize; 2],
    ) -> Tensor<Diff, 2> {
        let (mut unit, mut len_of_row) = (vec![0.0; n_rows * d], vec![0.0; n_rows]);
        let w = d / attention.n_heads;
        for segment in segments {
            for (i, &row) in segment.iter().enumerate() {
                len_of_row[row as usize] = segment.len() as f32;
                (0..attention.n_heads).for_each(|head| unit[row as usize * d + head * w + i] = 1.0);
            }
        }
        let device = Default::default();
        let equal = Tensor::<Diff, 2>::zeros([n_rows, d], &device);
        let key_value =
            Tensor::cat(vec![equal.clone(), float_tensor(unit, [n_rows, d], &device)], 1);
        let mean = ops::segment_attention(equal, key_value, attention);
        mean * float_tensor(len_of_row, [n_rows, 1], &device)
    }

    #[test]
    fn dropout_keeps_its_share_follows_its_seed_and_drops_the_gradient_alike() {
        let ones = Tensor::<Diff, 2>::ones([100, 1000], &Default::default()).require_grad();
        let mask = |seed| DropoutMask { probability: 0.1, seed };
        let dropped = |seed| ops::dropout(ones.clone(), &mask(seed));
        let values =
            |tensor: TensorData| tensor.convert::<f32>().into_vec::<f32>().expect("floats");
        let factors = values(dropped(7).into_data());
        let kept = factors.iter().filter(|factor| **factor > 0.0).count();
        assert!((89_000..91_000).contains(&kept), "{kept}");
        assert!(factors.iter().all(|factor| *factor == 0.0 || (*factor - 1.0 / 0.9).abs() < 1e-4));
        assert_eq!(factors, values(dropped(7).into_data()));
        assert_ne!(factors, values(dropped(8).into_data()));

        let gradients = (dropped(7) * 3.0).sum().backward();
        let gradient = values(ones.grad(&gradients).expect("tracked").into_data());
        assert!(gradient.iter().zip(&factors).all(|(g, factor)| (g - 3.0 * factor).abs() < 1e-5));
    }

    #[test]
    fn attention_within_segments_differentiates_like_the_plain_formula() {
        // The pair grids of two documents, of three entities and of two.
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
        let half = DropoutMask { probability: 0.5, seed: 3 };
        // Where the backend's generator draws the factors, they cannot be had a second time.
        let with_dropout = Diff::reproduces_dropout(&Default::default()).then_some(Some(half));
        let dropouts = || [None].into_iter().chain(with_dropout);
        let cases = [rows, columns].into_iter();
        for (segments, dropout) in cases.flat_map(|s| dropouts().map(move |dropout| (s, dropout))) {
            let (query, key, value) = (random([13, 6]), random([13, 6]), random([13, 6]));
            let (n_heads, scale) = (2, 0.7);
            let attention = SegmentAttention {
                segments: Segments::new(segments.to_vec()),
                n_heads,
                scale,
                dropout,
            };
            let key_value = Tensor::cat(vec![key.clone(), value.clone()], 1);
            let ours = ops::segment_attention(query.clone(), key_value, &attention);
            let members = segments.map(|segment| segment.rows().map(|row| row as i32).collect());
            let factors = dropout_factors(&attention, &members, [13, 6]);
            let n_dropped = factors.clone().into_data().iter::<f32>().filter(|f| *f == 0.0).count();
            // The segments of two rows leave 8 values that are no factors.
            assert_eq!(n_dropped > 8, dropout.is_some(), "{n_dropped}");
            let plain = plain_attention([&query, &key, &value], &members, n_heads, scale, &factors);
            assert_same_gradients([&query, &key, &value], ours, plain);
        }
    }

    #[test]
    fn gelu_and_tanh_differentiate_like_the_plain_formulas() {
        let (x, y, z) = (random([5, 7]), random([5, 7]), random([5, 7]));
        let input = || x.clone() * 2.0 + y.clone() * z.clone();
        let plain = ((input() / 2f64.sqrt()).erf() + 1.0) * input() * 0.5;
        assert_same_gradients([&x, &y, &z], ops::gelu(input()), plain);
        assert_same_gradients([&x, &y, &z], ops::tanh(input()), input().tanh());
    }

    #[test]
    fn layer_normalisation_differentiates_like_the_plain_formula() {
        // The second has more rows than a part of the parallel loops.
        for [n, d] in [[3, 6], [70, 300]] {
            let (x, gamma, beta) = (random([n, d]), random([1, d]), random([1, d]));
            let [gamma_row, beta_row] = [&gamma, &beta].map(|row| row.clone().reshape([d]));
            let ours = ops::layer_norm(x.clone(), gamma_row, beta_row, 1e-5);
            let centered = x.clone() - x.clone().mean_dim(1);
            let variance = (centered.clone() * centered.clone()).mean_dim(1);
            let plain = centered / (variance + 1e-5).sqrt() * gamma.clone() + beta.clone();
            assert_same_gradients([&x, &gamma, &beta], ours, plain);
        }
    }

    #[test]
    fn masked_softmax_differentiates_like_the_plain_formula_and_gives_padding_nothing() {
        let (x, y, z) = (random([2, 12]), random([2, 12]), random([2, 12]));
        let scores = || (x.clone() + y.clone() * z.clone()).reshape([2, 2, 2, 3]);
        let bias = float_tensor(vec![0.0, 0.0, -1e30, 0.0, 0.0, 0.0], [2, 3], &Default::default());
        let ours = ops::masked_softmax(scores(), Some(bias.clone()));
        let padding: Vec<f32> =
            ours.clone().slice([0..1, 0..2, 0..2, 2..3]).into_data().into_vec().expect("floats");
        assert_eq!(padding, [0.0; 4]);
        let plain = activation::softmax(scores() + bias.reshape([2, 1, 1, 3]), 3);
        assert_same_gradients([&x, &y, &z], ours, plain);
    }
}
