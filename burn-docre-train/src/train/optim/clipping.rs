//! Gradient clipping by the global norm.

use burn::{
    module::{AutodiffModule, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::{
        ElementConversion, Tensor,
        backend::{AutodiffBackend, Backend},
    },
};
use burn_docre::{DocReBackend, ops};

/// The factor that limits the global norm of the gradients to `max_norm`, at most 1.
///
/// Returns `None` if the norm is not finite.
pub(super) fn clipping_factor<M, B>(
    module: &M,
    grads: &GradientsParams,
    max_norm: f64,
) -> Option<f64>
where
    M: AutodiffModule<B>,
    B: AutodiffBackend<InnerBackend: DocReBackend>,
{
    let mut squares = SquaredNorm::<B::InnerBackend> { grads, squares: Vec::new() };
    module.visit(&mut squares);
    let norm = squares.total().sqrt();
    norm.is_finite().then(|| (max_norm / (norm + 1e-6)).min(1.0))
}

/// A visitor that collects the sum of squares of each gradient, `[1]`.
pub(super) struct SquaredNorm<'a, B: Backend> {
    pub(super) grads: &'a GradientsParams,
    pub(super) squares: Vec<Tensor<B, 1>>,
}

impl<B: Backend> SquaredNorm<'_, B> {
    /// The squared global norm.
    pub(super) fn total(self) -> f64 {
        if self.squares.is_empty() {
            return 0.0;
        }
        Tensor::cat(self.squares, 0).sum().into_scalar().elem()
    }
}

impl<B> ModuleVisitor<B> for SquaredNorm<'_, B::InnerBackend>
where
    B: AutodiffBackend<InnerBackend: DocReBackend>,
{
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if let Some(grad) = self.grads.get::<B::InnerBackend, D>(param.id) {
            self.squares.push(ops::sum_of_squares(grad));
        }
    }
}
