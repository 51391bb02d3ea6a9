//! Teacher logits on disk: half precision, sharded, memory-mapped.
//!
//! A store is a directory of shard files, such as `labels-00000-of-00003.bin`. A document's key
//! identifies its logits. Each shard has the id of the teacher that computed it. Logits that are
//! missing or of another teacher are an error, so no run lacks distillation without notice.
//!
//! Shards can be written on different machines. A shard gets its final name when it is complete.
//!
//! ```text
//! header   magic, version, n_classes, shard index and count, teacher,
//!          number of entries, offset of the index, checksum
//! payload  the logits of every document, pairs × classes, little-endian half precision
//! index    sorted by key: key, offset, number of pairs, checksum of the logits
//! ```
//!
//! The header's checksum covers header and index. It is verified when the shard is opened. The
//! checksum of a document's logits is verified when they are read.

mod format;
mod store;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};

pub use store::SoftLabelStore;
pub use writer::SoftLabelWriter;

/// One part of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// The index of this part, from 0.
    pub index: usize,
    /// The number of parts of the store.
    pub count: usize,
}

impl Shard {
    /// The shard of a store that has only one.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// The shard's file in the store `directory`.
    pub fn path(self, directory: &Path) -> PathBuf {
        directory.join(self.to_string())
    }

    /// Parses the file name of a shard. `None` for any other file name.
    fn from_file_name(name: &str) -> Option<Self> {
        let (index, count) =
            name.strip_prefix("labels-")?.strip_suffix(".bin")?.split_once("-of-")?;
        let shard = Self { index: index.parse().ok()?, count: count.parse().ok()? };
        (shard.to_string() == name).then_some(shard)
    }

    fn is_valid(self) -> bool {
        self.index < self.count && u32::try_from(self.count).is_ok()
    }
}

/// The shard's file name.
impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "labels-{:05}-of-{:05}.bin", self.index, self.count)
    }
}

#[cfg(test)]
mod tests;
