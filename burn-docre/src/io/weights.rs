//! Weights by name: between a Burn module and a safetensors or PyTorch file.
//!
//! A parameter's *path* is its place in the module (`layers.0.query.weight`); a rename function turns it into the name
//! in the file. Files keep PyTorch's conventions: linear weights are `[out, in]`, layer normalisation has `weight` and
//! `bias`.

use std::{
    collections::HashMap,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Tensor, TensorData, backend::Backend},
};
use burn_store::{TensorSnapshot, pytorch::PytorchReader};
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::{Error, Result, io::atomic_file::write_atomically};

/// A tensor read from a file or taken from a module, in f32 and row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// Its numbers.
    pub values: Vec<f32>,
}

impl Weight {
    /// A matrix with rows and columns exchanged; anything else unchanged.
    fn transposed(self) -> Self {
        let [rows, columns] = self.shape[..] else { return self };
        let mut values = vec![0.0; self.values.len()];
        for row in 0..rows {
            for column in 0..columns {
                values[column * rows + row] = self.values[row * columns + column];
            }
        }
        Self { shape: vec![columns, rows], values }
    }
}

/// An open weight file.
pub struct WeightFile {
    path: PathBuf,
    content: Content,
}

enum Content {
    /// Mapped, or in memory.
    Safetensors(Box<dyn AsRef<[u8]> + Send + Sync>),
    Pytorch(HashMap<String, TensorSnapshot>),
}

impl WeightFile {
    /// Opens a `.safetensors` file, or anything else as a PyTorch archive (`.bin`, `.pt`).
    ///
    /// # Errors
    /// If the file cannot be read, is truncated, or is of neither format.
    pub fn open(path: &Path) -> Result<Self> {
        let is_safetensors = path.extension().is_some_and(|e| e == "safetensors");
        let file = File::open(path).map_err(|e| Error::io(path, "opening", e))?;
        let content = if is_safetensors {
            // SAFETY: the map is read-only; a file that another process truncates meanwhile is outside our contract.
            let map = unsafe { Mmap::map(&file) }.map_err(|e| Error::io(path, "mapping", e))?;
            SafeTensors::deserialize(&map).map_err(|e| {
                Error::format(path, format!("not a complete safetensors file: {e}"))
            })?;
            Content::Safetensors(Box::new(map))
        } else {
            let reader = PytorchReader::new(path)
                .map_err(|e| Error::format(path, format!("not a PyTorch weight file: {e}")))?;
            Content::Pytorch(reader.into_tensors())
        };
        Ok(Self { path: path.to_path_buf(), content })
    }

    /// Reads the bytes of a `.safetensors` file, which errors call `model.safetensors`.
    ///
    /// # Errors
    /// If the bytes are truncated or of another format.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        let path = Path::new("model.safetensors");
        SafeTensors::deserialize(&bytes).map_err(|error| {
            Error::format(path, "not a complete safetensors file").with_source(error)
        })?;
        let content = Content::Safetensors(Box::new(bytes));
        Ok(Self { path: path.to_path_buf(), content })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of all tensors in the file, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names = match &self.content {
            Content::Safetensors(map) => SafeTensors::deserialize((**map).as_ref())
                .map(|tensors| tensors.names().into_iter().map(String::from).collect())
                .unwrap_or_default(),
            Content::Pytorch(tensors) => tensors.keys().cloned().collect::<Vec<_>>(),
        };
        names.sort();
        names
    }

    /// Whether the file has a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        match &self.content {
            Content::Safetensors(map) => SafeTensors::deserialize((**map).as_ref())
                .is_ok_and(|tensors| tensors.tensor(name).is_ok()),
            Content::Pytorch(tensors) => tensors.contains_key(name),
        }
    }

    /// Reads one tensor, converted to f32.
    ///
    /// # Errors
    /// If there is no such tensor, or it is not of floating point numbers.
    pub fn read(&self, name: &str) -> Result<Weight> {
        match &self.content {
            Content::Safetensors(map) => {
                let tensors = SafeTensors::deserialize((**map).as_ref())
                    .map_err(|e| Error::format(&self.path, e.to_string()))?;
                let view = tensors.tensor(name).map_err(|_| self.error(name, "missing"))?;
                Ok(Weight { shape: view.shape().to_vec(), values: self.floats(name, &view)? })
            }
            Content::Pytorch(tensors) => {
                let snapshot = tensors.get(name).ok_or_else(|| self.error(name, "missing"))?;
                let data = snapshot.to_data().map_err(|e| self.error(name, format!("{e:?}")))?;
                let shape = data.shape.as_slice().to_vec();
                let values = data
                    .convert::<f32>()
                    .into_vec::<f32>()
                    .map_err(|e| self.error(name, format!("{e:?}")))?;
                Ok(Weight { shape, values })
            }
        }
    }

    fn floats(&self, name: &str, view: &TensorView<'_>) -> Result<Vec<f32>> {
        let bytes = view.data();
        let pairs = || bytes.chunks_exact(2).map(|b| [b[0], b[1]]);
        match view.dtype() {
            Dtype::F32 => Ok(bytes
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect()),
            Dtype::F16 => Ok(pairs().map(|b| half::f16::from_le_bytes(b).to_f32()).collect()),
            Dtype::BF16 => Ok(pairs().map(|b| half::bf16::from_le_bytes(b).to_f32()).collect()),
            other => Err(self.error(name, format!("numbers of type {other:?} are not supported"))),
        }
    }

    fn error(&self, name: &str, reason: impl ToString) -> Error {
        Error::weight(&self.path, name, reason)
    }
}

/// Replaces every parameter of `module` by the tensor that `file` has under its renamed path.
///
/// # Errors
/// If a weight is missing or has another shape; the first one is named.
pub fn load<B: Backend, M: Module<B>>(
    module: M,
    file: &WeightFile,
    rename: impl Fn(&str) -> String,
) -> Result<M> {
    let mut loader = Loader { file, rename, path: ParameterPath::default(), failure: None };
    let module = module.map(&mut loader);
    match loader.failure {
        Some(error) => Err(error),
        None => Ok(module),
    }
}

/// Every parameter of `module` under its renamed path, in the module's order.
pub fn collect<B: Backend, M: Module<B>>(
    module: &M,
    rename: impl Fn(&str) -> String,
) -> Vec<(String, Weight)> {
    let mut collector = Collector { rename, path: ParameterPath::default(), weights: Vec::new() };
    module.visit(&mut collector);
    collector.weights
}

/// Writes a safetensors file atomically; equal weights give equal bytes.
///
/// # Errors
/// If the file cannot be written.
pub fn write_safetensors(path: &Path, weights: &[(String, Weight)]) -> Result<()> {
    let bytes = |weight: &Weight| -> Vec<u8> {
        weight.values.iter().flat_map(|value| value.to_le_bytes()).collect()
    };
    let buffers: Vec<_> = weights.iter().map(|(_, weight)| bytes(weight)).collect();
    let views = weights.iter().zip(&buffers).map(|((name, weight), buffer)| {
        TensorView::new(Dtype::F32, weight.shape.clone(), buffer)
            .map(|view| (name.clone(), view))
            .map_err(|e| Error::format(path, e.to_string()))
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    let serialized = safetensors::serialize(views, Some(metadata))
        .map_err(|e| Error::format(path, e.to_string()))?;
    write_atomically(path, |out| out.write_all(&serialized))
}

/// Where a visitor stands in a module.
#[derive(Default)]
struct ParameterPath {
    names: Vec<String>,
    containers: Vec<String>,
}

impl ParameterPath {
    fn enter(&mut self, name: &str, container: &str) {
        // The variant of an enum is not a part of the name: which head a model has is the configuration's business.
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
    file: &'a WeightFile,
    rename: F,
    path: ParameterPath,
    failure: Option<Error>,
}

impl<F: Fn(&str) -> String> Loader<'_, F> {
    fn read(&self, expected: &[usize]) -> Result<Weight> {
        let name = (self.rename)(&self.path.dotted());
        let weight = self.file.read(&name)?;
        let weight = if self.path.is_linear_weight() { weight.transposed() } else { weight };
        if weight.shape != expected {
            let reason = format!("has the shape {:?}, the model needs {expected:?}", weight.shape);
            return Err(self.file.error(&name, reason));
        }
        Ok(weight)
    }
}

impl<B: Backend, F: Fn(&str) -> String> ModuleMapper<B> for Loader<'_, F> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, container_type: &str) {
        self.path.exit(container_type);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        if self.failure.is_some() {
            return param;
        }
        match self.read(param.lazy_shape().as_slice()) {
            Ok(weight) => {
                let (id, old, mapper) = param.consume();
                let data = TensorData::new(weight.values, weight.shape);
                let new = Tensor::from_data(data, &old.device());
                let new = new.set_require_grad(old.is_require_grad());
                Param::from_mapped_value(id, new, mapper)
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
