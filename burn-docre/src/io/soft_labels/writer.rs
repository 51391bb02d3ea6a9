//! Writes a shard.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use half::f16;

use super::Shard;
use super::format::{Entry, HEADER_LEN, Header, LOGIT_LEN, payload_checksum};
use crate::io::atomic_file::{self, partial_path, sync_directory_of};
use crate::io::model_directory::ModelId;
use crate::text::encoded::DocumentKey;
use crate::{Error, Result};

/// Writes one shard of a store, document by document.
///
/// [`push`](Self::push) writes logits to disk; only the index stays in memory. The file has a name
/// with the prefix [`PARTIAL`](atomic_file::PARTIAL) until [`finish`](Self::finish). So an
/// interrupted run leaves no incomplete shard, and the next run overwrites the partial file.
#[derive(Debug)]
pub struct SoftLabelWriter {
    path: PathBuf,
    partial: PathBuf,
    shard: Shard,
    teacher: ModelId,
    n_classes: usize,
    file: BufWriter<File>,
    /// Offset of the next logits from the start of the file, in bytes.
    offset: usize,
    entries: BTreeMap<DocumentKey, Entry>,
    buffer: Vec<u8>,
    is_finished: bool,
}

impl SoftLabelWriter {
    /// Creates `shard` of the store in `directory`. Creates the directory if it is missing.
    ///
    /// # Errors
    ///
    /// If the index of the shard is not below its count, or `n_classes` is 0 or too large. If
    /// another process writes the same shard. If the file cannot be created.
    pub fn create(
        directory: &Path,
        shard: Shard,
        teacher: ModelId,
        n_classes: usize,
    ) -> Result<Self> {
        let path = shard.path(directory);
        if !shard.is_valid() || n_classes == 0 || u32::try_from(n_classes).is_err() {
            let Shard { index, count } = shard;
            let reason = format!("there is no shard {index} of {count} with {n_classes} classes");
            return Err(Error::soft_labels(&path, reason));
        }
        let partial = partial_path(&path);
        std::fs::create_dir_all(directory)
            .map_err(|source| Error::io(directory, "creating", source))?;
        let file = open_alone(&partial)?;
        let mut writer = Self {
            path,
            partial,
            shard,
            teacher,
            n_classes,
            file: BufWriter::with_capacity(1 << 20, file),
            offset: HEADER_LEN,
            entries: BTreeMap::new(),
            buffer: Vec::new(),
            is_finished: false,
        };
        writer.write(&[0; HEADER_LEN])?;
        Ok(writer)
    }

    /// Adds the logits of one document: `[n_pairs, n_classes]`, row-major.
    ///
    /// Values beyond the range of half precision are clamped to ±65504. A document whose key was
    /// pushed before is skipped.
    ///
    /// # Errors
    ///
    /// If a logit is NaN, if the number of logits is wrong, or if the key was pushed before with
    /// another number of pairs. If the file cannot be written.
    pub fn push(&mut self, key: DocumentKey, n_pairs: usize, logits: &[f32]) -> Result<()> {
        if n_pairs.checked_mul(self.n_classes) != Some(logits.len()) {
            let (n_logits, n_classes) = (logits.len(), self.n_classes);
            return Err(self.refuse(
                key,
                &format!("{n_logits} logits are not {n_pairs} pairs of {n_classes} classes"),
            ));
        }
        if let Some(earlier) = self.entries.get(&key) {
            if earlier.n_pairs == n_pairs {
                return Ok(());
            }
            let reason = format!("it had {} pairs before and has {n_pairs} now", earlier.n_pairs);
            return Err(self.refuse(key, &reason));
        }
        if let Some(at) = logits.iter().position(|logit| logit.is_nan()) {
            let (pair, class) = (at / self.n_classes, at % self.n_classes);
            return Err(self.refuse(key, &format!("NaN at pair {pair}, class {class}")));
        }
        self.encode(logits);
        let entry =
            Entry { key, offset: self.offset, n_pairs, checksum: payload_checksum(&self.buffer) };
        self.write_buffer()?;
        self.entries.insert(key, entry);
        Ok(())
    }

    /// The number of documents in the shard so far.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns true if no document has been pushed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Completes the shard and returns its path.
    ///
    /// Writes index and header, flushes everything to disk and gives the file its final name.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be written or renamed.
    pub fn finish(mut self) -> Result<PathBuf> {
        let index: Vec<u8> = self.entries.values().flat_map(|entry| entry.to_bytes()).collect();
        let header = Header {
            n_classes: self.n_classes,
            shard: self.shard,
            teacher: self.teacher,
            n_entries: self.entries.len(),
            index_offset: self.offset,
        };
        self.write(&index)?;
        self.seal(&header.to_bytes(&index))
            .map_err(|source| Error::io(&self.partial, "writing", source))?;
        std::fs::rename(&self.partial, &self.path)
            .map_err(|source| Error::io(&self.path, "renaming the finished shard to", source))?;
        self.is_finished = true;
        sync_directory_of(&self.path);
        Ok(self.path.clone())
    }

    fn seal(&mut self, header: &[u8]) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(header)?;
        self.file.flush()?;
        self.file.get_ref().sync_all()
    }

    /// Encodes the logits into the buffer, in the format of the file.
    fn encode(&mut self, logits: &[f32]) {
        let (min, max) = (f16::MIN.to_f32(), f16::MAX.to_f32());
        self.buffer.clear();
        self.buffer.reserve(logits.len() * LOGIT_LEN);
        for logit in logits {
            let half = f16::from_f32(logit.clamp(min, max));
            self.buffer.extend_from_slice(&half.to_le_bytes());
        }
    }

    fn write_buffer(&mut self) -> Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        self.write(&buffer)?;
        self.offset += buffer.len();
        self.buffer = buffer;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|source| Error::io(&self.partial, "writing", source))
    }

    fn refuse(&self, key: DocumentKey, reason: &str) -> Error {
        let reason = format!("document {}: {reason}", key);
        Error::soft_labels(&self.path, reason)
    }
}

/// Removes an unfinished shard.
impl Drop for SoftLabelWriter {
    fn drop(&mut self) {
        if !self.is_finished {
            // An error is ignored: the next run overwrites the file.
            let _ = std::fs::remove_file(&self.partial);
        }
    }
}

/// Opens, locks and empties the file.
fn open_alone(path: &Path) -> Result<File> {
    let Some(file) = atomic_file::lock(path)? else {
        return Err(Error::soft_labels(path, "another process is writing this shard"));
    };
    file.set_len(0).map_err(|source| Error::io(path, "creating", source))?;
    Ok(file)
}
