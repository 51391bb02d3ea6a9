//! Transfers weights between files and modules.

use std::collections::BTreeSet;

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Shape, Tensor, backend::Backend},
};

use super::{
    file::{StoredWeight, WeightFile},
    weight::Weight,
};
use crate::{
    Error, Result,
    ops::{self, DocReOps},
};

/// A module with the weights of a file.
#[derive(Debug)]
pub struct Loaded<M> {
    /// The module.
    pub module: M,
    /// The names of the unused floating-point tensors of the file, sorted.
    pub unused: Vec<String>,
}

/// Replaces every parameter of `module` by the tensor of its renamed path in `file`.
///
/// Parameters that have not been initialised are not drawn at random first. Each tensor is read
/// into the memory that becomes the parameter.
///
/// # Errors
/// [`Error::Weights`] with every missing or misshapen weight and every unused tensor.
/// [`Error::Weight`] if a tensor cannot be read, or has a value that is infinite or not a number.
pub fn load<B: DocReOps, M: Module<B>>(
    module: M,
    file: &WeightFile<'_>,
    rename: impl Fn(&str) -> String,
) -> Result<Loaded<M>> {
    let mut loader = Loader {
        file,
        rename,
        path: ParameterPath::default(),
        used: BTreeSet::new(),
        faults: Vec::new(),
        failure: None,
    };
    let module = module.map(&mut loader);
    let Loader { used, faults, failure, .. } = loader;
    if let Some(error) = failure {
        return Err(error);
    }
    let unused =
        file.float_names().filter(|name| !used.contains(*name)).map(str::to_owned).collect();
    if faults.is_empty() {
        Ok(Loaded { module, unused })
    } else {
        Err(Error::Weights { path: file.path().to_path_buf(), faults, unused })
    }
}

/// Loads a module from a file that must have the weights of `module` and no others.
///
/// # Errors
/// As [`load`], and if the file has other tensors of floating-point values.
pub(in crate::io) fn load_exactly<B: DocReOps, M: Module<B>>(
    module: M,
    file: &WeightFile<'_>,
    rename: impl Fn(&str) -> String,
) -> Result<M> {
    let Loaded { module, unused } = load(module, file, rename)?;
    if unused.is_empty() {
        Ok(module)
    } else {
        Err(Error::Weights { path: file.path().to_path_buf(), faults: Vec::new(), unused })
    }
}

/// Returns every parameter of `module` with its renamed path, in the module's order.
pub fn collect<B: Backend, M: Module<B>>(
    module: &M,
    rename: impl Fn(&str) -> String,
) -> Vec<(String, Weight)> {
    let mut collector = Collector { rename, path: ParameterPath::default(), weights: Vec::new() };
    module.visit(&mut collector);
    collector.weights
}

/// The position of a visitor in a module.
#[derive(Default)]
struct ParameterPath {
    names: Vec<String>,
    containers: Vec<String>,
}

impl ParameterPath {
    fn enter(&mut self, name: &str, container: &str) {
        // Names omit the variant of an enum, which the configuration determines.
        if !container.starts_with("Enum:") {
            self.names.push(name.to_string());
        }
        self.containers.push(container.to_string());
    }

    fn exit(&mut self, container: &str) {
        if !container.starts_with("Enum:") {
            self.names.pop();
        }
        self.containers.pop();
    }

    fn is_linear_weight(&self) -> bool {
        self.containers.last().is_some_and(|container| container == "Struct:Linear")
            && self.names.last().is_some_and(|name| name == "weight")
    }

    /// The path with PyTorch's names for the parameters of a normalisation.
    fn dotted(&self) -> String {
        let mut names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        if self.containers.last().is_some_and(|container| container == "Struct:LayerNorm") {
            match names.last_mut() {
                Some(name) if *name == "gamma" => *name = "weight",
                Some(name) if *name == "beta" => *name = "bias",
                _ => {}
            }
        }
        names.join(".")
    }
}

struct Loader<'a, F> {
    file: &'a WeightFile<'a>,
    rename: F,
    path: ParameterPath,
    used: BTreeSet<String>,
    /// Descriptions of the weights that do not fit.
    faults: Vec<String>,
    /// The first error in reading.
    failure: Option<Error>,
}

impl<'a, F: Fn(&str) -> String> Loader<'a, F> {
    /// Finds the weight of the current path.
    ///
    /// Returns `None` and records the fault if it does not fit or cannot be read.
    fn find(&mut self, expected: &[usize]) -> Option<StoredWeight<'a>> {
        let name = (self.rename)(&self.path.dotted());
        let is_transposed = self.path.is_linear_weight();
        let mut in_file = expected.to_vec();
        if is_transposed {
            in_file.reverse();
        }
        let shape = self.file.shape(&name);
        let stored = match shape {
            None => {
                self.faults.push(format!("`{name}` is missing"));
                None
            }
            Some(shape) if shape != in_file => {
                self.faults
                    .push(format!("`{name}` has the shape {shape:?}, the model needs {in_file:?}"));
                None
            }
            Some(_) if self.failure.is_some() || !self.faults.is_empty() => None,
            Some(_) => self.file.stored(&name).map_err(|error| self.failure = Some(error)).ok(),
        };
        self.used.insert(name);
        stored.map(|stored| if is_transposed { stored.transposed() } else { stored })
    }
}

impl<B: DocReOps, F: Fn(&str) -> String> ModuleMapper<B> for Loader<'_, F> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, container_type: &str) {
        self.path.exit(container_type);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let shape: Shape = param.lazy_shape();
        let Some(stored) = self.find(shape.as_slice()) else { return param };
        let read = ops::filled::<B, D, _>(shape, &param.lazy_device(), |values| {
            stored.fill(values)?;
            stored.check_finite(values)
        });
        match read {
            // `Param::consume` and `Param::map` would initialise the old value first.
            Ok(tensor) => {
                let id = param.id;
                param.transform_for_load(tensor, id)
            }
            Err(error) => {
                self.failure = Some(error);
                param
            }
        }
    }
}

struct Collector<F> {
    rename: F,
    path: ParameterPath,
    weights: Vec<(String, Weight)>,
}

impl<B: Backend, F: Fn(&str) -> String> ModuleVisitor<B> for Collector<F> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, container_type: &str) {
        self.path.exit(container_type);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let data = param.val().into_data().convert::<f32>();
        let weight = Weight {
            shape: data.shape.as_slice().to_vec(),
            values: data.into_vec::<f32>().expect("just converted to f32"),
        };
        let weight = if self.path.is_linear_weight() { weight.transposed() } else { weight };
        self.weights.push(((self.rename)(&self.path.dotted()), weight));
    }
}
