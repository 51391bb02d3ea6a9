//! Rounding of a module's weights to a precision.

use burn::{
    module::{Module, ModuleMapper, Param},
    tensor::{FloatDType, Tensor, backend::Backend},
};

use super::precision::Precision;

/// Rounds the weights of a module's linear layers to `precision`.
///
/// On an autodiff backend the gradients reach the parameters of the module that was passed in.
pub fn with_precision<B: Backend, M: Module<B>>(module: M, precision: Precision) -> M {
    match precision {
        Precision::F32 => module,
        _ => module.map(&mut Rounding { dtype: precision.dtype(), containers: Vec::new() }),
    }
}

struct Rounding {
    dtype: FloatDType,
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
        let is_matrix = D == 2 && self.containers.iter().any(|name| name == "Struct:Linear");
        if is_matrix { param.map(|weight| weight.cast(self.dtype)) } else { param }
    }
}
