//! Reading a store.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use half::f16;
use half::slice::HalfFloatSliceExt;
use memmap2::Mmap;

use super::Shard;
use super::format::{ENTRY_LEN, Entry, Header, LOGIT_LEN, payload_checksum};
use crate::{Error, Result, io::model_directory::ModelId, text::encoded::DocumentKey};

/// A complete store of teacher logits, memory-mapped: cheap to open and to share between threads.
#[derive(Debug)]
pub struct SoftLabelStore {
    directory: PathBuf,
    n_classes: usize,
    shards: Vec<MappedShard>,
}

impl SoftLabelStore {
    /// Opens the store in `directory`, which must hold all its shards, made by `teacher` for
    /// `n_classes` classes.
    ///
    /// # Errors
    ///
    /// [`Error::SoftLabels`] when a shard is missing, damaged, or from another teacher or class
    /// count.
    pub fn open(directory: &Path, teacher: ModelId, n_classes: usize) -> Result<Self> {
        let shards = complete_set(directory)?
            .into_iter()
            .map(|shard| MappedShard::open(directory, shard, teacher, n_classes))
            .collect::<Result<_>>()?;
        Ok(Self { directory: directory.to_path_buf(), n_classes, shards })
    }

    /// Opens one shard alone, to see what it holds; `None` if it is not there.
    ///
    /// # Errors
    ///
    /// [`Error::SoftLabels`] when it is damaged, or from another teacher or class count.
    pub fn open_shard(
        directory: &Path,
        shard: Shard,
        teacher: ModelId,
        n_classes: usize,
    ) -> Result<Option<Self>> {
        match MappedShard::open(directory, shard, teacher, n_classes) {
            Ok(shard) => {
                let directory = directory.to_path_buf();
                Ok(Some(Self { directory, n_classes, shards: vec![shard] }))
            }
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether `directory` holds a shard of any store.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn has_begun(directory: &Path) -> Result<bool> {
        Ok(!shards_in(directory)?.is_empty())
    }

    /// The teacher's logits for the document `key`, `n_pairs` × classes, pair after pair.
    ///
    /// # Errors
    ///
    /// [`Error::SoftLabels`] when the store does not have them, has another number of pairs, or is
    /// damaged.
    pub fn get(&self, key: DocumentKey, n_pairs: usize) -> Result<Vec<f32>> {
        let found = self.shards.iter().find_map(|shard| Some((shard, shard.find(key)?)));
        let Some((shard, entry)) = found else {
            let reason = format!(
                "no logits for document {}: the labels were made for another corpus or another \
                 preprocessing of it; remove them and label the documents anew",
                key
            );
            return Err(refuse(&self.directory, reason));
        };
        if entry.n_pairs != n_pairs {
            let reason = format!(
                "document {} has {n_pairs} entity pairs, its labels are for {}; remove them \
                 and label the documents anew",
                key, entry.n_pairs
            );
            return Err(refuse(&shard.path, reason));
        }
        shard.logits(&entry, self.n_classes)
    }

    /// Whether the store has logits for the document `key`; they are not read.
    pub fn contains(&self, key: DocumentKey) -> bool {
        self.shards.iter().any(|shard| shard.find(key).is_some())
    }

    /// The number of documents in the store; one that stands in two shards counts twice.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.n_entries()).sum()
    }

    /// Whether the store holds no document.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The shards of the one store in `directory`, in order.
fn complete_set(directory: &Path) -> Result<Vec<Shard>> {
    let mut found = shards_in(directory)?;
    found.sort_unstable_by_key(|shard| (shard.count, shard.index));
    let Some(Shard { count, .. }) = found.first().copied() else {
        let reason = "there are none here; label the documents first".into();
        return Err(refuse(directory, reason));
    };
    if let Some(other) = found.iter().find(|shard| shard.count != count) {
        let reason =
            format!("shards of several sets: {} beside {}; remove the old one", found[0], other);
        return Err(refuse(directory, reason));
    }
    let missing =
        (0..count).find(|&index| found.get(index).is_none_or(|found| found.index != index));
    match missing.map(|index| Shard { index, count }) {
        Some(shard) => {
            let reason = format!(
                "{shard} is missing; label the documents of part {} of {count}",
                shard.index + 1
            );
            Err(refuse(directory, reason))
        }
        None => Ok(found),
    }
}

fn shards_in(directory: &Path) -> Result<Vec<Shard>> {
    let read = |source| Error::io(directory, "reading", source);
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(read)?,
    };
    let mut shards = Vec::new();
    for entry in entries {
        let name = entry.map_err(read)?.file_name();
        shards.extend(name.to_str().and_then(Shard::from_file_name));
    }
    Ok(shards)
}

/// One shard, mapped and checked.
#[derive(Debug)]
struct MappedShard {
    path: PathBuf,
    bytes: Mmap,
    header: Header,
}

impl MappedShard {
    fn open(directory: &Path, shard: Shard, teacher: ModelId, n_classes: usize) -> Result<Self> {
        let path = shard.path(directory);
        let bytes = map(&path)?;
        let header = Header::parse(&bytes).map_err(|reason| refuse(&path, reason))?;
        check_identity(&header, shard, teacher, n_classes)
            .map_err(|reason| refuse(&path, reason))?;
        Ok(Self { path, bytes, header })
    }

    fn n_entries(&self) -> usize {
        self.header.n_entries
    }

    fn find(&self, key: DocumentKey) -> Option<Entry> {
        let (entries, _) = self.bytes[self.header.index_offset..].as_chunks::<ENTRY_LEN>();
        let at = entries.binary_search_by(|entry| entry[..key.0.len()].cmp(&key.0)).ok()?;
        Entry::parse(&entries[at]).ok()
    }

    fn logits(&self, entry: &Entry, n_classes: usize) -> Result<Vec<f32>> {
        // Checked against the file's length when the shard was opened.
        let len = entry.n_pairs * n_classes * LOGIT_LEN;
        let payload = &self.bytes[entry.offset..entry.offset + len];
        if payload_checksum(payload) != entry.checksum {
            let reason = format!("the logits of document {} are damaged", entry.key);
            return Err(refuse(&self.path, reason));
        }
        // Copied first: the bytes in the file need not be aligned for `f16`.
        let (bytes, _) = payload.as_chunks::<LOGIT_LEN>();
        let halves: Vec<f16> = bytes.iter().map(|bytes| f16::from_le_bytes(*bytes)).collect();
        Ok(halves.to_f32_vec())
    }
}

fn map(path: &Path) -> Result<Mmap> {
    let io = |source| Error::io(path, "reading", source);
    let file = File::open(path).map_err(io)?;
    // SAFETY: the map is read-only and the file is not expected to change under it: the writer
    // never touches a file that has its final name, it only replaces the name, which leaves a
    // mapped file as it is.
    unsafe { Mmap::map(&file) }.map_err(io)
}

fn check_identity(
    header: &Header,
    shard: Shard,
    teacher: ModelId,
    n_classes: usize,
) -> Result<(), String> {
    if header.shard != shard {
        return Err(format!("the file was renamed: it is {}", header.shard));
    }
    if header.teacher != teacher {
        return Err(format!(
            "made by another teacher ({}) than the one given ({}); remove them and label the documents anew",
            header.teacher, teacher
        ));
    }
    if header.n_classes != n_classes {
        return Err(format!("made for {} classes, not {n_classes}", header.n_classes));
    }
    Ok(())
}

fn refuse(path: &Path, reason: String) -> Error {
    Error::soft_labels(path, reason)
}
