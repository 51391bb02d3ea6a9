//! The reference body of the grouped bilinear form, and its parts of bounded size.

use std::ops::Range;

use burn::tensor::{DType, Tensor, backend::Backend};

use super::{
    matmul::matmul,
    primitive::{FloatTensor, add, concatenate, unwrap, wrap},
};

/// The most rows of an outer product in memory. With groups of 64 they take 64 MiB of f32.
pub(crate) const OUTER_PRODUCT_ROWS: usize = 4096;

/// A function that computes the outer products of rows: `[n, g]`, `[n, g]` → `[n, g * g]`.
pub(super) type OuterProducts<B> = fn(FloatTensor<B>, FloatTensor<B>) -> FloatTensor<B>;

/// A function that computes the gradients of both factors of outer products.
///
/// The arguments are the gradient of the products, `[n, g * g]`, and both factors, `[n, g]`.
pub(super) type OuterProductsBackward<B> =
    fn(FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) -> [FloatTensor<B>; 2];

/// The sizes of a grouped bilinear form.
#[derive(Clone, Copy)]
struct Groups {
    /// The number of rows.
    p: usize,
    /// The number of groups.
    n_groups: usize,
    /// The size of a group.
    g: usize,
}

/// One chunk of rows of one group.
struct Part {
    /// The position of the chunk.
    chunk: usize,
    /// The rows of the chunk.
    rows: Range<usize>,
    /// The position of the group.
    group: usize,
    g: usize,
}

impl Groups {
    /// Reads the sizes from the shape of one side, `[p, n_groups * g]`.
    fn new<B: Backend>(side: &Tensor<B, 2>, n_groups: usize) -> Self {
        let [p, emb] = side.dims();
        Self { p, n_groups, g: emb / n_groups }
    }

    fn n_chunks(&self) -> usize {
        self.p.div_ceil(OUTER_PRODUCT_ROWS)
    }

    /// Iterates over the groups of each chunk of rows.
    fn parts(self) -> impl Iterator<Item = Part> {
        (0..self.n_chunks()).flat_map(move |chunk| {
            let first = chunk * OUTER_PRODUCT_ROWS;
            let rows = first..(first + OUTER_PRODUCT_ROWS).min(self.p);
            (0..self.n_groups).map(move |group| Part {
                chunk,
                rows: rows.clone(),
                group,
                g: self.g,
            })
        })
    }
}

impl Part {
    /// The columns of the group in either side.
    fn columns(&self) -> Range<usize> {
        self.group * self.g..(self.group + 1) * self.g
    }

    /// The rows of the group in the weight.
    fn weight_rows(&self) -> Range<usize> {
        let n = self.g * self.g;
        self.group * n..(self.group + 1) * n
    }

    /// The part of one side, `[n, g]`.
    fn of_side<B: Backend>(&self, side: &Tensor<B, 2>) -> FloatTensor<B> {
        unwrap(side.clone().slice([self.rows.clone(), self.columns()]))
    }

    /// The part of the output's gradient, `[n, d]`.
    fn of_grad<B: Backend>(&self, grad: &Tensor<B, 2>) -> Tensor<B, 2> {
        let d = grad.dims()[1];
        grad.clone().slice([self.rows.clone(), 0..d])
    }

    /// The group's weight, `[g * g, d]`.
    fn of_weight<B: Backend>(&self, weight: &Tensor<B, 2>) -> Tensor<B, 2> {
        let d = weight.dims()[1];
        weight.clone().slice([self.weight_rows(), 0..d])
    }
}

pub(super) fn grouped_bilinear<B: Backend>(
    head: FloatTensor<B>,
    tail: FloatTensor<B>,
    weight: FloatTensor<B>,
    n_groups: usize,
    outer_products: OuterProducts<B>,
) -> FloatTensor<B> {
    let [head, tail, weight] = [head, tail, weight].map(wrap::<B, 2>);
    let groups = Groups::new(&head, n_groups);
    let mut sums = vec![None; groups.n_chunks()];
    for part in groups.parts() {
        let outer = wrap(outer_products(part.of_side(&head), part.of_side(&tail)));
        add(&mut sums[part.chunk], matmul(outer, part.of_weight(&weight)));
    }
    unwrap(concatenate(sums.into_iter().flatten().collect()))
}

/// The gradient of the weight, in the data type `dtype`.
pub(super) fn weight_gradient<B: Backend>(
    [head, tail]: [&Tensor<B, 2>; 2],
    grad: &Tensor<B, 2>,
    n_groups: usize,
    dtype: DType,
    outer_products: OuterProducts<B>,
) -> Tensor<B, 2> {
    let groups = Groups::new(head, n_groups);
    let mut sums = vec![None; n_groups];
    for part in groups.parts() {
        let outer = wrap::<B, 2>(outer_products(part.of_side(head), part.of_side(tail)));
        let term = matmul(outer.transpose(), part.of_grad(grad).cast(dtype));
        add(&mut sums[part.group], term);
    }
    concatenate(sums.into_iter().flatten().collect()).cast(dtype)
}

/// Computes the gradients of the two sides.
pub(super) fn side_gradients<B: Backend>(
    [head, tail, weight]: [&Tensor<B, 2>; 3],
    grad: &Tensor<B, 2>,
    n_groups: usize,
    outer_products_backward: OuterProductsBackward<B>,
) -> [Tensor<B, 2>; 2] {
    let groups = Groups::new(head, n_groups);
    let mut sides = [(); 2].map(|()| vec![Vec::new(); groups.n_chunks()]);
    for part in groups.parts() {
        let d_outer = matmul(part.of_grad(grad), part.of_weight(weight).transpose());
        let gradients =
            outer_products_backward(unwrap(d_outer), part.of_side(head), part.of_side(tail));
        for (chunks, gradient) in sides.iter_mut().zip(gradients) {
            chunks[part.chunk].push(wrap::<B, 2>(gradient));
        }
    }
    sides.map(|chunks| {
        concatenate(chunks.into_iter().map(|groups| Tensor::cat(groups, 1)).collect())
    })
}
