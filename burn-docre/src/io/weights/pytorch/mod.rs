//! PyTorch's formats: the zip archives of `torch.save` since version 1.6, and the older plain
//! pickles.
//!
//! No code in a file is executed. Strides and storage offsets are respected.

mod pickle;

use std::{
    collections::{HashMap, HashSet},
    io::{BufReader, Read, Seek},
};

use zip::{CompressionMethod, ZipArchive, read::ZipFile, result::ZipError};

use self::pickle::{Id, Pickle, Storage, Tensor, Value};
use super::{
    layout::{Layout, TensorTable},
    source::Source,
};
use crate::error::Cause;

/// The keys under which training programs store the weights in a larger dictionary.
const WRAPPERS: [&str; 4] = ["state_dict", "model_state_dict", "model", "module"];
/// The maximum nesting depth of such dictionaries.
const MAX_DEPTH: usize = 3;
/// The first bytes of the old format: a pickle of its magic number.
const OLD_MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
const ZIP_MAGIC: &[u8] = b"PK\x03\x04";

/// The position of a storage in the file, in bytes, and its number of values.
#[derive(Clone, Copy)]
struct Place {
    offset: u64,
    n_values: u64,
}

/// The error of a storage that an archive lacks or that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the storage `{name}` cannot be read")]
struct StorageError {
    /// The name of the storage in the archive.
    name: String,
    source: ZipError,
}

/// Returns true if a file that begins with `bytes` is in one of these formats.
pub(super) fn begins_with(bytes: &[u8]) -> bool {
    bytes.starts_with(ZIP_MAGIC) || bytes.starts_with(OLD_MAGIC)
}

/// Locates the tensors of a state dict, which may be inside a larger dictionary.
pub(super) fn tensors(source: &Source<'_>, index: usize) -> Result<TensorTable, Cause> {
    let mut magic = [0; 4];
    source.read_exact_at(0, &mut magic)?;
    let (pickle, places) = if magic == ZIP_MAGIC { archive(source)? } else { old_format(source)? };
    let Value::Dict(entries) = pickle.value(state_dict(&pickle, pickle.root, 0)) else {
        return Err("it holds no dictionary of tensors".into());
    };
    let mut found = TensorTable::new();
    for (key, value) in entries {
        let (Some(name), Value::Tensor(tensor)) = (pickle.text(*key), pickle.value(*value)) else {
            continue;
        };
        let place = pickle.text(tensor.storage.key).and_then(|key| places.get(key));
        let layout = place.and_then(|place| layout(tensor, *place, index));
        let layout = layout.ok_or_else(|| format!("`{name}` reaches beyond its storage"))?;
        found.insert(name.to_owned(), layout);
    }
    if found.is_empty() {
        return Err("it holds no dictionary of tensors".into());
    }
    Ok(found)
}

/// Finds the dictionary of the weights: `id` itself, or one under a known key of it.
fn state_dict(pickle: &Pickle, id: Id, depth: usize) -> Id {
    let inner = WRAPPERS.iter().filter_map(|key| pickle.entry(id, key));
    let mut inner = inner.filter(|inner| matches!(pickle.value(*inner), Value::Dict(_)));
    match inner.next() {
        Some(inner) if depth < MAX_DEPTH => state_dict(pickle, inner, depth + 1),
        _ => id,
    }
}

/// The tensor's layout; `None` if it reaches beyond its storage.
fn layout(tensor: &Tensor, place: Place, source: usize) -> Option<Layout> {
    let first = tensor.storage.first.checked_add(tensor.first)? as u64;
    let size = tensor.storage.value_size() as u64;
    let layout = Layout {
        source,
        element: tensor.storage.element(),
        shape: tensor.shape.clone(),
        strides: tensor.strides.clone(),
        offset: first.checked_mul(size)?.checked_add(place.offset)?,
    };
    let end = first.checked_add(layout.span()? as u64)?;
    (end <= place.n_values).then_some(layout)
}

type Found = (Pickle, HashMap<String, Place>);

/// A zip archive: `NAME/data.pkl`, and each storage in `NAME/data/KEY`, all uncompressed.
fn archive(source: &Source<'_>) -> Result<Found, Cause> {
    let mut archive = ZipArchive::new(BufReader::new(source.reader()))?;
    let pickle_name = archive.file_names().find(|name| is_pickle(name)).map(str::to_owned);
    let pickle_name = pickle_name.ok_or("the archive has no `data.pkl`")?;
    let root = pickle_name.trim_end_matches("data.pkl").to_owned();
    check_byte_order(&mut archive, &root)?;
    let entry = archive.by_name(&pickle_name)?;
    check_stored(&entry)?;
    let pickle = Pickle::read(&mut BufReader::new(entry))?;
    let mut places = HashMap::new();
    for storage in pickle.storages() {
        let Some(key) = pickle.text(storage.key).filter(|key| !places.contains_key(*key)) else {
            continue;
        };
        let name = format!("{root}data/{key}");
        let entry = match archive.by_name(&name) {
            Ok(entry) => entry,
            Err(source) => return Err(StorageError { name, source }.into()),
        };
        check_stored(&entry)?;
        let (offset, size) = (entry.data_start(), entry.size());
        let n_values = size / storage.value_size() as u64;
        places.insert(key.to_owned(), checked(source, Place { offset, n_values }, &storage)?);
    }
    Ok((pickle, places))
}

/// Checks that the bytes of an entry are those in the archive. A small compressed entry could take
/// any amount of memory.
fn check_stored<R: Read>(entry: &ZipFile<'_, R>) -> Result<(), Cause> {
    if entry.compression() == CompressionMethod::Stored && !entry.encrypted() {
        return Ok(());
    }
    let name = entry.name();
    Err(format!("`{name}` is compressed or encrypted, which `torch.save` never does").into())
}

fn is_pickle(name: &str) -> bool {
    name.strip_suffix("data.pkl").is_some_and(|root| {
        root.is_empty() || root.ends_with('/') && root.matches('/').count() == 1
    })
}

fn check_byte_order<R: Read + Seek>(archive: &mut ZipArchive<R>, root: &str) -> Result<(), Cause> {
    let Ok(entry) = archive.by_name(&format!("{root}byteorder")) else { return Ok(()) };
    let mut order = String::new();
    entry.take(16).read_to_string(&mut order)?;
    match order.trim() {
        "little" => Ok(()),
        _ => Err("its values are in big-endian order".into()),
    }
}

/// The old format: four pickles, the list of storages, and the storages. A length precedes each
/// one.
fn old_format(source: &Source<'_>) -> Result<Found, Cause> {
    let mut reader = BufReader::new(source.reader());
    let _magic = Pickle::read(&mut reader)?;
    let _version = Pickle::read(&mut reader)?;
    let system = Pickle::read(&mut reader)?;
    let order = system.entry(system.root, "little_endian").map(|id| system.value(id));
    if matches!(order, Some(Value::Bool(false))) {
        return Err("its values are in big-endian order".into());
    }
    let pickle = Pickle::read(&mut reader)?;
    let keys = Pickle::read(&mut reader)?;
    let Value::List(list) = keys.value(keys.root) else {
        return Err("it lacks the list of its storages".into());
    };
    let known = pickle.storages().filter_map(|storage| Some((pickle.text(storage.key)?, storage)));
    let storages: HashMap<&str, Storage> = known.collect();
    let mut offset = reader.stream_position()?;
    let (mut places, mut seen) = (HashMap::new(), HashSet::new());
    for key in list.iter().filter_map(|id| keys.text(*id)) {
        let storage = storages.get(key).ok_or("it lists a storage that no tensor uses")?;
        if !seen.insert(key) {
            return Err("it lists a storage twice".into());
        }
        let mut n_values = [0; 8];
        source.read_exact_at(offset, &mut n_values)?;
        let place = Place { offset: offset + 8, n_values: u64::from_le_bytes(n_values) };
        let place = checked(source, place, storage)?;
        offset = place.offset + place.n_values * storage.value_size() as u64;
        places.insert(key.to_owned(), place);
    }
    Ok((pickle, places))
}

/// Checks that a storage ends inside the file and has all its values.
fn checked(source: &Source<'_>, place: Place, storage: &Storage) -> Result<Place, Cause> {
    let size = place.n_values.checked_mul(storage.value_size() as u64);
    let end = size.and_then(|size| size.checked_add(place.offset));
    if end.is_none_or(|end| end > source.len()) || place.n_values < storage.n_values as u64 {
        return Err("it is cut off: a storage ends beyond the file".into());
    }
    Ok(place)
}

#[cfg(test)]
mod tests;
