//! The two parameter groups: the encoder, and everything else.

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Tensor, backend::Backend},
};

/// The module path, from the trained module down, under which the encoder's parameters lie.
const ENCODER_PATH: [&str; 2] = ["model", "encoder"];

/// Which of the two parameter groups a parameter belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// The text encoder.
    Encoder,
    /// Everything else.
    Head,
}

/// Follows a visit of a module, so that each parameter's group is known when it is visited.
///
/// Parameter ids change when a checkpoint is loaded; the path does not.
#[derive(Default)]
pub(super) struct ModulePath(Vec<String>);

impl ModulePath {
    pub(super) fn enter(&mut self, name: &str) {
        self.0.push(name.to_string());
    }

    pub(super) fn exit(&mut self) {
        self.0.pop();
    }

    pub(super) fn group(&self) -> Group {
        match self.0.get(..2) {
            Some(start) if start == ENCODER_PATH => Group::Encoder,
            _ => Group::Head,
        }
    }
}

/// Numbers of parameters by group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParameterCount {
    /// In the encoder.
    pub encoder: usize,
    /// In everything else.
    pub head: usize,
}

impl ParameterCount {
    /// Counts the float parameters of `module`.
    pub fn of<B: Backend, M: Module<B>>(module: &M) -> Self {
        let mut visitor = Count { path: ModulePath::default(), count: Self::default() };
        module.visit(&mut visitor);
        visitor.count
    }
}

struct Count {
    path: ModulePath,
    count: ParameterCount,
}

impl<B: Backend> ModuleVisitor<B> for Count {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let size = param.shape().num_elements();
        match self.path.group() {
            Group::Encoder => self.count.encoder += size,
            Group::Head => self.count.head += size,
        }
    }
}
