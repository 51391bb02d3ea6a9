//! Opens weight files and reads their tensors.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    layout::{Layout, TensorTable},
    pytorch, safetensors,
    source::Source,
    weight::Weight,
};
use crate::{Error, Result, input};

/// The suffix of the file that lists the shards of a model.
const INDEX: &str = ".index.json";

/// An open weight file: safetensors, either format of PyTorch, or the shards of one model.
///
/// Opening the file locates its tensors. Each is read from the file on request. `'a` is the
/// lifetime of bytes in memory. For a file on disk it is `'static`.
pub struct WeightFile<'a> {
    path: PathBuf,
    sources: Vec<Source<'a>>,
    tensors: TensorTable,
}

/// `model.safetensors.index.json` or `pytorch_model.bin.index.json`.
#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

impl ShardIndex {
    fn read(path: &Path) -> Result<Self> {
        input::read_json(path, "not a list of weight files")
    }

    /// The paths of the shards that the list at `path` names.
    fn shards(&self, path: &Path) -> Result<Vec<PathBuf>> {
        let names: BTreeSet<&String> = self.weight_map.values().collect();
        let shard = |name: &String| {
            if Path::new(name).file_name().is_none_or(|plain| plain != name.as_str()) {
                let reason =
                    format!("the shard {name:?} is no file name; shards lie beside this list");
                return Err(Error::format(path, reason));
            }
            Ok(path.with_file_name(name))
        };
        names.into_iter().map(shard).collect()
    }
}

/// The files that [`WeightFile::open`] reads: `path` itself, and the shards that it lists.
///
/// # Errors
/// If the list of shards cannot be read.
pub(in crate::io) fn files_of(path: &Path) -> Result<Vec<PathBuf>> {
    let mut files = vec![path.to_path_buf()];
    if is_index(path) {
        files.extend(ShardIndex::read(path)?.shards(path)?);
    }
    Ok(files)
}

fn is_index(path: &Path) -> bool {
    path.to_string_lossy().ends_with(INDEX)
}

impl WeightFile<'static> {
    /// Opens a weight file, or the shards that an `.index.json` lists.
    ///
    /// The content of a file determines its format. In a PyTorch file, the state dict may be inside
    /// a dictionary, under `state_dict`, `model_state_dict`, `model` or `module`. No code in the
    /// file is executed.
    ///
    /// # Errors
    /// If a file cannot be read, is cut off or damaged, or has another format.
    pub fn open(path: &Path) -> Result<Self> {
        if is_index(path) {
            return Self::open_shards(path);
        }
        Self::of_source(path, Source::open(path)?)
    }

    fn open_shards(path: &Path) -> Result<Self> {
        let index = ShardIndex::read(path)?;
        let mut file =
            Self { path: path.to_path_buf(), sources: Vec::new(), tensors: TensorTable::new() };
        for shard in index.shards(path)? {
            let source = Source::open(&shard)?;
            file.tensors.extend(tensors(&shard, &source, file.sources.len())?);
            file.sources.push(source);
        }
        match index.weight_map.keys().find(|name| !file.contains(name)) {
            Some(name) => Err(Error::weight(path, name, "listed here, but missing in its shard")),
            None => Ok(file),
        }
    }
}

impl<'a> WeightFile<'a> {
    /// Opens a weight file in memory, in any format that [`open`](Self::open) supports.
    ///
    /// Errors name it `model.safetensors`.
    ///
    /// # Errors
    /// If the bytes are cut off, damaged or of another format.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self> {
        Self::of_source(Path::new("model.safetensors"), Source::memory(bytes))
    }

    fn of_source(path: &Path, source: Source<'a>) -> Result<Self> {
        let tensors = tensors(path, &source, 0)?;
        Ok(Self { path: path.to_path_buf(), sources: vec![source], tensors })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of all tensors in the file, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The names of the tensors of floating-point values, sorted.
    pub(super) fn float_names(&self) -> impl Iterator<Item = &str> {
        let floats = self.tensors.iter().filter(|(_, layout)| layout.element.size().is_some());
        floats.map(|(name, _)| name.as_str())
    }

    /// Returns true if the file has a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The dimensions of a tensor; `None` if there is no such tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|layout| &layout.shape[..])
    }

    /// Reads one tensor, converted to f32.
    ///
    /// # Errors
    /// If there is no such tensor, or its values are not floating-point numbers.
    pub fn read(&self, name: &str) -> Result<Weight> {
        self.stored(name)?.read()
    }

    /// Finds a tensor and checks that all its values can be read.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(super) fn stored(&self, name: &str) -> Result<StoredWeight<'_>> {
        let layout =
            self.tensors.get(name).ok_or_else(|| Error::weight(&self.path, name, "missing"))?;
        let stored = StoredWeight {
            path: &self.path,
            name: name.to_owned(),
            source: &self.sources[layout.source],
            layout: layout.clone(),
        };
        layout.check(stored.source).map_err(|error| stored.not_read(error))?;
        Ok(stored)
    }
}

/// A tensor of a file. Its values have not been read.
pub(super) struct StoredWeight<'a> {
    path: &'a Path,
    name: String,
    source: &'a Source<'a>,
    layout: Layout,
}

impl StoredWeight<'_> {
    /// Transposes a matrix. Tensors of other rank are unchanged.
    pub(super) fn transposed(self) -> Self {
        Self { layout: self.layout.transposed(), ..self }
    }

    /// Reads the values, converted to f32, in row-major order into `values`.
    ///
    /// # Errors
    /// If the file cannot be read.
    ///
    /// # Panics
    /// If the length of `values` is not the number of values.
    pub(super) fn fill(&self, values: &mut [f32]) -> Result<()> {
        self.layout.fill(self.source, values).map_err(|error| self.not_read(error))
    }

    /// Reads the values into memory of their own.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn read(self) -> Result<Weight> {
        let shape = self.layout.shape.clone();
        let mut values = vec![0.0; shape.iter().product()];
        self.fill(&mut values)?;
        Ok(Weight { shape, values })
    }

    /// Refuses infinite values and NaN: predictions and losses would not be numbers.
    ///
    /// # Errors
    /// [`Error::Weight`] with the first such value.
    pub(super) fn check_finite(&self, values: &[f32]) -> Result<()> {
        match values.iter().find(|value| !value.is_finite()) {
            None => Ok(()),
            Some(value) => {
                let reason =
                    format!("has the value {value}; the file is damaged, use another copy");
                Err(Error::weight(self.path, &self.name, reason))
            }
        }
    }

    fn not_read(&self, error: io::Error) -> Error {
        Error::weight(self.path, &self.name, "not read").with_source(error)
    }
}

/// Returns the prefix of the name `weight` in `file`, up to a dot. It is empty if there is no such
/// weight.
///
/// # Errors
/// If the file has the weight under several prefixes, as a file of several models.
pub(in crate::io) fn prefix_of<'a>(file: &'a WeightFile<'_>, weight: &str) -> Result<&'a str> {
    let prefixes = file.names().filter_map(|name| name.strip_suffix(weight));
    let found: Vec<&str> =
        prefixes.filter(|prefix| prefix.is_empty() || prefix.ends_with('.')).collect();
    match found[..] {
        [] => Ok(""),
        [prefix] => Ok(prefix),
        _ => {
            let reason = format!(
                "has `{weight}` several times, under the prefixes {found:?}; use a file of one \
                 model"
            );
            Err(Error::format(file.path(), reason))
        }
    }
}

fn tensors(path: &Path, source: &Source<'_>, index: usize) -> Result<TensorTable> {
    let mut beginning = [0; 16];
    let n = source.len().min(beginning.len() as u64) as usize;
    source.read_exact_at(0, &mut beginning[..n]).map_err(|e| Error::io(path, "reading", e))?;
    let beginning = &beginning[..n];
    if safetensors::begins_with(beginning) {
        safetensors::tensors(source, index)
            .map_err(|e| Error::format(path, "not a complete safetensors file").with_source(e))
    } else if pytorch::begins_with(beginning) {
        pytorch::tensors(source, index)
            .map_err(|e| Error::format(path, "not a supported PyTorch weight file").with_source(e))
    } else if beginning.starts_with(b"version https") {
        Err(Error::format(path, "a pointer of Git LFS; fetch the weights with `git lfs pull`"))
    } else {
        Err(Error::format(path, "neither a safetensors file nor a PyTorch weight file"))
    }
}
