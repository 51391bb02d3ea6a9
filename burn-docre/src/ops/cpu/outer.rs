//! Outer products of rows, and their gradients.

use rayon::prelude::*;

use super::{
    parts::{NullaryFnOnce, PART, vectorized},
    softmax::dot,
};

/// Computes the outer product of each pair of rows: `[p, g]`, `[p, g]` → `[p, g * g]`.
pub(crate) fn outer_products(lhs: &[f32], rhs: &[f32], g: usize, product: &mut [f32]) {
    let rows_per_part = rows_per_part(g);
    let products = product.par_chunks_mut(rows_per_part * g * g);
    let sides = lhs.par_chunks(rows_per_part * g).zip(rhs.par_chunks(rows_per_part * g));
    products.zip(sides).for_each(|(products, (lhs, rhs))| {
        vectorized(Products { products, lhs, rhs, g });
    });
}

/// The loop of [`outer_products`].
struct Products<'a> {
    products: &'a mut [f32],
    lhs: &'a [f32],
    rhs: &'a [f32],
    g: usize,
}

impl NullaryFnOnce for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { products, lhs, rhs, g } = self;
        let sides = lhs.chunks_exact(g).zip(rhs.chunks_exact(g));
        for (product, (left, right)) in products.chunks_exact_mut(g * g).zip(sides) {
            for (out, left) in product.chunks_exact_mut(g).zip(left) {
                out.iter_mut().zip(right).for_each(|(out, right)| *out = left * right);
            }
        }
    }
}

/// Computes the gradients of both sides in one pass over `grad [p, g * g]`, the gradient of their
/// product.
pub(crate) fn outer_products_backward(
    grad: &[f32],
    [lhs, rhs]: [&[f32]; 2],
    g: usize,
    [d_lhs, d_rhs]: [&mut [f32]; 2],
) {
    let rows_per_part = rows_per_part(g);
    let part = rows_per_part * g;
    let sides = lhs.par_chunks(part).zip(rhs.par_chunks(part));
    let gradients = d_lhs.par_chunks_mut(part).zip(d_rhs.par_chunks_mut(part));
    grad.par_chunks(part * g).zip(sides).zip(gradients).for_each(
        |((grad, (lhs, rhs)), (d_lhs, d_rhs))| {
            vectorized(Backward { grad, lhs, rhs, d_lhs, d_rhs, g });
        },
    );
}

/// The loop of [`outer_products_backward`].
struct Backward<'a> {
    grad: &'a [f32],
    lhs: &'a [f32],
    rhs: &'a [f32],
    d_lhs: &'a mut [f32],
    d_rhs: &'a mut [f32],
    g: usize,
}

impl NullaryFnOnce for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { grad, lhs, rhs, d_lhs, d_rhs, g } = self;
        let sides = lhs.chunks_exact(g).zip(rhs.chunks_exact(g));
        let gradients = d_lhs.chunks_exact_mut(g).zip(d_rhs.chunks_exact_mut(g));
        let rows = grad.chunks_exact(g * g).zip(sides).zip(gradients);
        for ((grad, (left, right)), (d_left, d_right)) in rows {
            d_right.fill(0.0);
            for ((grad, left), d_left) in grad.chunks_exact(g).zip(left).zip(d_left) {
                *d_left = dot(grad, right);
                d_right.iter_mut().zip(grad).for_each(|(d_right, grad)| *d_right += left * grad);
            }
        }
    }
}

fn rows_per_part(g: usize) -> usize {
    (PART / (g * g)).max(1)
}
