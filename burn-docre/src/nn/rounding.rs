//! Rounding of a module's weights to a precision.

use burn::{
    module::{Module, ModuleMapper, Param},
    tensor::{FloatDType, Tensor, backend::Backend},
};

use super::precision::Precision;

/// Rounds the weights of a module's linear layers to `precision`.
///
/// On an autodiff backend, the gradients reach the parameters of `module`.
pub fn with_precision<B: Backend, M: Module<B>>(module: M, precision: Precision) -> M {
    match precision {
        Precision::F32 => module,
        _ => module.map(&mut Rounding { dtype: precision.dtype(), containers: Vec::new() }),
    }
}

/// A mapper that casts the weights of linear layers.
struct Rounding {
    dtype: FloatDType,
    /// The containers of the current parameter, outermost first.
    containers: Vec<String>,
}

impl<B: Backend> ModuleMapper<B> for Rounding {
    fn enter_module(&mut self, _name: &str, container_type: &str) {
        self.containers.push(container_type.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.containers.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        // Burn names a container by its kind and type.
        let is_linear_weight = D == 2 && self.containers.iter().any(|name| name == "Struct:Linear");
        if is_linear_weight { param.map(|weight| weight.cast(self.dtype)) } else { param }
    }
}
