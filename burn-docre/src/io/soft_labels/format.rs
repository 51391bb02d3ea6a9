//! The binary format of a shard's header and index.

use sha2::{Digest, Sha256};

use super::Shard;
use crate::{io::model_directory::ModelId, text::encoded::DocumentKey};

const MAGIC: &[u8; 8] = b"DOCRELBL";
const VERSION: u32 = 1;

/// Length of the header in bytes; the payload follows.
pub(super) const HEADER_LEN: usize = 112;
/// Offset of the header's checksum, its last field.
const CHECKSUM_AT: usize = HEADER_LEN - 32;
/// Length of one index entry in bytes.
pub(super) const ENTRY_LEN: usize = 64;
/// Bytes of one logit.
pub(super) const LOGIT_LEN: usize = 2;

/// The header of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) n_classes: usize,
    pub(super) shard: Shard,
    pub(super) teacher: ModelId,
    pub(super) n_entries: usize,
    pub(super) index_offset: usize,
}

/// The position of one document's logits in a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: DocumentKey,
    /// From the start of the file, in bytes.
    pub(super) offset: usize,
    pub(super) n_pairs: usize,
    pub(super) checksum: [u8; 16],
}

impl Header {
    /// The bytes of the header, with the checksum of the header and of the bytes of the index.
    pub(super) fn to_bytes(self, index: &[u8]) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&(self.n_classes as u32).to_le_bytes());
        bytes[16..20].copy_from_slice(&(self.shard.index as u32).to_le_bytes());
        bytes[20..24].copy_from_slice(&(self.shard.count as u32).to_le_bytes());
        bytes[24..56].copy_from_slice(&self.teacher.0);
        bytes[56..64].copy_from_slice(&(self.n_entries as u64).to_le_bytes());
        bytes[64..72].copy_from_slice(&(self.index_offset as u64).to_le_bytes());
        let checksum = checksum_of(&bytes, index);
        bytes[CHECKSUM_AT..].copy_from_slice(&checksum);
        bytes
    }

    /// Reads and checks the header and the index of a whole shard.
    ///
    /// # Errors
    /// A description of the fault.
    pub(super) fn parse(file: &[u8]) -> Result<Self, String> {
        let Some(bytes) = file.first_chunk::<HEADER_LEN>() else {
            return Err("the file is cut off".into());
        };
        if &bytes[..8] != MAGIC {
            return Err("the file is not a shard of soft labels".into());
        }
        let version = u32_at(bytes, 8);
        if version != VERSION {
            return Err(format!("format version {version} is not supported, only {VERSION}"));
        }
        let header = Self {
            n_classes: u32_at(bytes, 12) as usize,
            shard: Shard { index: u32_at(bytes, 16) as usize, count: u32_at(bytes, 20) as usize },
            teacher: ModelId(array_at(bytes, 24)),
            n_entries: usize_at(bytes, 56)?,
            index_offset: usize_at(bytes, 64)?,
        };
        header.check_extent(file)?;
        let index = &file[header.index_offset..];
        if checksum_of(bytes, index) != bytes[CHECKSUM_AT..] {
            return Err(
                "the checksum of header and index does not match: the file is damaged".into()
            );
        }
        header.check_entries(index)?;
        Ok(header)
    }

    fn check_extent(&self, file: &[u8]) -> Result<(), String> {
        let end = self
            .n_entries
            .checked_mul(ENTRY_LEN)
            .and_then(|index_len| index_len.checked_add(self.index_offset));
        match end {
            Some(end) if end == file.len() && self.index_offset >= HEADER_LEN => Ok(()),
            Some(end) if end > file.len() => {
                Err(format!("the file is cut off: {} of {end} bytes", file.len()))
            }
            _ => Err("the sizes in the header do not fit the file: it is damaged".into()),
        }
    }

    fn check_entries(&self, index: &[u8]) -> Result<(), String> {
        let mut previous: Option<DocumentKey> = None;
        for bytes in index.chunks_exact(ENTRY_LEN) {
            let entry = Entry::parse(bytes)?;
            let end = payload_len(entry.n_pairs, self.n_classes)
                .and_then(|len| len.checked_add(entry.offset));
            let is_inside =
                entry.offset >= HEADER_LEN && end.is_some_and(|end| end <= self.index_offset);
            if !is_inside || previous.is_some_and(|previous| previous >= entry.key) {
                return Err("the index is damaged".into());
            }
            previous = Some(entry.key);
        }
        Ok(())
    }
}

impl Entry {
    pub(super) fn to_bytes(self) -> [u8; ENTRY_LEN] {
        let mut bytes = [0; ENTRY_LEN];
        bytes[..32].copy_from_slice(&self.key.0);
        bytes[32..40].copy_from_slice(&(self.offset as u64).to_le_bytes());
        bytes[40..48].copy_from_slice(&(self.n_pairs as u64).to_le_bytes());
        bytes[48..].copy_from_slice(&self.checksum);
        bytes
    }

    /// Reads an entry from its [`ENTRY_LEN`] bytes.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        Ok(Self {
            key: DocumentKey(array_at(bytes, 0)),
            offset: usize_at(bytes, 32)?,
            n_pairs: usize_at(bytes, 40)?,
            checksum: array_at(bytes, 48),
        })
    }
}

/// Bytes of the logits of `n_pairs` pairs; `None` on overflow.
pub(super) fn payload_len(n_pairs: usize, n_classes: usize) -> Option<usize> {
    n_pairs.checked_mul(n_classes)?.checked_mul(LOGIT_LEN)
}

/// The checksum of one document's logits.
pub(super) fn payload_checksum(payload: &[u8]) -> [u8; 16] {
    array_at(&Sha256::digest(payload), 0)
}

fn checksum_of(header: &[u8; HEADER_LEN], index: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(&header[..CHECKSUM_AT]).chain_update(index).finalize().into()
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

fn usize_at(bytes: &[u8], at: usize) -> Result<usize, String> {
    usize::try_from(u64::from_le_bytes(array_at(bytes, at)))
        .map_err(|_| "the file is too large for this machine".into())
}
