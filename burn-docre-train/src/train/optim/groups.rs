//! The two parameter groups: the encoders, and the relation module with everything else.

use burn::{
    module::{AutodiffModule, Module, ModuleVisitor, Param, ParamId},
    tensor::{
        Tensor,
        backend::{AutodiffBackend, Backend},
    },
};
use hashbrown::HashSet;

/// A parameter group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// The encoders.
    Encoder,
    /// All other parameters.
    Relation,
}

/// A module whose encoders form a parameter group of their own.
pub trait ParameterGroups<B: AutodiffBackend>: AutodiffModule<B> {
    /// The parameters of the encoders.
    ///
    /// Loading a checkpoint changes the ids, so callers must not keep the result.
    fn encoder_parameters(&self) -> HashSet<ParamId>;
}

/// A visitor that collects the ids of float parameters.
#[derive(Debug, Default)]
pub struct ParameterIds(pub HashSet<ParamId>);

impl<B: Backend> ModuleVisitor<B> for ParameterIds {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.0.insert(param.id);
    }
}

/// The group of the parameter `id`; `encoder` holds the ids of all encoder parameters.
pub(super) fn group(encoder: &HashSet<ParamId>, id: ParamId) -> Group {
    if encoder.contains(&id) { Group::Encoder } else { Group::Relation }
}

/// Numbers of parameters by group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParameterCount {
    /// Parameters of the encoders.
    pub encoder: usize,
    /// Parameters of all other modules.
    pub relation: usize,
}

impl ParameterCount {
    /// Counts the float parameters of `module`.
    pub fn of<B: AutodiffBackend, M: ParameterGroups<B>>(module: &M) -> Self {
        let encoder = module.encoder_parameters();
        let mut visitor = Count { encoder: &encoder, count: Self::default() };
        Module::visit(module, &mut visitor);
        visitor.count
    }
}

struct Count<'a> {
    encoder: &'a HashSet<ParamId>,
    count: ParameterCount,
}

impl<B: Backend> ModuleVisitor<B> for Count<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let size = param.shape().num_elements();
        match group(self.encoder, param.id) {
            Group::Encoder => self.count.encoder += size,
            Group::Relation => self.count.relation += size,
        }
    }
}
