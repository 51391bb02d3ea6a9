//! Reads a store.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use half::f16;
use half::slice::HalfFloatSliceExt;
use memmap2::Mmap;

use super::Shard;
use super::format::{ENTRY_LEN, Entry, Header, LOGIT_LEN, payload_checksum};
use crate::{Error, Result, io::model_directory::ModelId, text::encoded::DocumentKey};

/// A memory-mapped store of teacher logits. Threads can share it.
#[derive(Debug)]
pub struct SoftLabelStore {
    directory: PathBuf,
    n_classes: usize,
    shards: Vec<MappedShard>,
}

impl SoftLabelStore {
    /// Opens the store in `directory`, with the logits of `teacher` for `n_classes` classes.
    ///
    /// # Errors
    ///
    /// [`Error::SoftLabels`] if a shard is missing, damaged, or of another teacher or class count.
    /// [`Error::Io`] if the directory or a shard cannot be read.
    pub fn open(directory: &Path, teacher: ModelId, n_classes: usize) -> Result<Self> {
        let shards = complete_set(directory)?
            .into_iter()
            .map(|shard| MappedShard::open(directory, shard, teacher, n_classes))
            .collect::<Result<_>>()?;
        Ok(Self { directory: directory.to_path_buf(), n_classes, shards })
    }

    /// Opens a single shard. Returns `None` if its file does not exist.
    ///
    /// # Errors
    ///
    /// [`Error::SoftLabels`] if the shard is damaged, or of another teacher or class count.
    /// [`Error::Io`] if it cannot be read.
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

    /// The number of shards of the store in `directory`, of which some may be missing. `None` if the
    /// directory has no complete shard.
    ///
    /// # Errors
    ///
    /// If the directory cannot be read.
    pub fn n_shards(directory: &Path) -> Result<Option<usize>> {
        Ok(shards_in(directory)?.first().map(|shard| shard.count))
    }

    /// Reads the teacher's logits for the document `key`: `[n_pairs, r]`, row-major.
    ///
    /// # Errors
    ///
    /// [`Error::SoftLabels`] if the store lacks the document, has another number of pairs for it,
    /// or is damaged.
    pub fn get(&self, key: DocumentKey, n_pairs: usize) -> Result<Vec<f32>> {
        let found = self.shards.iter().find_map(|shard| Some((shard, shard.find(key)?)));
        let Some((shard, entry)) = found else {
            let reason = format!(
                "no logits for document {}: the labels were made for another corpus or another \
                 preprocessing of it; remove them and label the documents again",
                key
            );
            return Err(refuse(&self.directory, reason));
        };
        if entry.n_pairs != n_pairs {
            let reason = format!(
                "document {} has {n_pairs} entity pairs, its labels are for {}; remove them \
                 and label the documents again",
                key, entry.n_pairs
            );
            return Err(refuse(&shard.path, reason));
        }
        shard.logits(&entry, self.n_classes)
    }

    /// Returns true if the store has logits for the document `key`. The logits are not read.
    pub fn contains(&self, key: DocumentKey) -> bool {
        self.shards.iter().any(|shard| shard.find(key).is_some())
    }

    /// The number of documents in the store. A document in two shards counts twice.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.n_entries()).sum()
    }

    /// Returns true if the store has no document.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Lists the shards of the only store in `directory`, in order.
///
/// # Errors
/// If a shard is missing, or if the directory has shards of several stores.
fn complete_set(directory: &Path) -> Result<Vec<Shard>> {
    let mut found = shards_in(directory)?;
    found.sort_unstable_by_key(|shard| (shard.count, shard.index));
    let Some(Shard { count, .. }) = found.first().copied() else {
        let reason = "the directory has none; label the documents first".into();
        return Err(refuse(directory, reason));
    };
    if let Some(other) = found.iter().find(|shard| shard.count != count) {
        let reason =
            format!("shards of several stores: {} and {}; remove the old ones", found[0], other);
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

/// A memory-mapped shard, whose header and index have been checked.
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
        // The range is inside the file: `Header::parse` checked it when the shard was opened.
        let len = entry.n_pairs * n_classes * LOGIT_LEN;
        let payload = &self.bytes[entry.offset..entry.offset + len];
        if payload_checksum(payload) != entry.checksum {
            let reason = format!("the logits of document {} are damaged", entry.key);
            return Err(refuse(&self.path, reason));
        }
        // The bytes in the file need not be aligned for `f16`, so they are copied first.
        let (bytes, _) = payload.as_chunks::<LOGIT_LEN>();
        let halves: Vec<f16> = bytes.iter().map(|bytes| f16::from_le_bytes(*bytes)).collect();
        Ok(halves.to_f32_vec())
    }
}

fn map(path: &Path) -> Result<Mmap> {
    let io = |source| Error::io(path, "reading", source);
    let file = File::open(path).map_err(io)?;
    // SAFETY: the map is read-only, and the file does not change while it is mapped. The writer
    // never modifies a file with its final name. It replaces the name by renaming another file,
    // which leaves the mapped file unchanged.
    unsafe { Mmap::map(&file) }.map_err(io)
}

fn check_identity(
    header: &Header,
    shard: Shard,
    teacher: ModelId,
    n_classes: usize,
) -> Result<(), String> {
    if header.shard != shard {
        return Err(format!("the file was renamed; its original name is {}", header.shard));
    }
    if header.teacher != teacher {
        return Err(format!(
            "computed by another teacher ({}) than the given one ({}); remove them and label the \
             documents again",
            header.teacher, teacher
        ));
    }
    if header.n_classes != n_classes {
        return Err(format!(
            "computed for {} classes, not {n_classes}; remove them and label the documents again",
            header.n_classes
        ));
    }
    Ok(())
}

fn refuse(path: &Path, reason: String) -> Error {
    Error::soft_labels(path, reason)
}
