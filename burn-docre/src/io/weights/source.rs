//! Random access to the bytes of a weight file.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    sync::{Mutex, PoisonError},
};

use crate::{Error, Result};

/// A file or bytes in memory.
///
/// Files are read by position and not mapped. The pages of a mapped file would count as memory of
/// the process while its tensors are copied.
pub(super) struct Source<'a> {
    bytes: Bytes<'a>,
    len: u64,
}

enum Bytes<'a> {
    File(Mutex<File>),
    Memory(&'a [u8]),
}

impl<'a> Source<'a> {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let io = |source| Error::io(path, "opening", source);
        let file = File::open(path).map_err(io)?;
        let len = file.metadata().map_err(io)?.len();
        Ok(Self { bytes: Bytes::File(Mutex::new(file)), len })
    }

    pub(super) fn memory(bytes: &'a [u8]) -> Self {
        Self { bytes: Bytes::Memory(bytes), len: bytes.len() as u64 }
    }

    /// The number of bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Fills `buffer` with the bytes from `offset` on. Fails if there are too few.
    pub(super) fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match &self.bytes {
            Bytes::File(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(offset))?;
                file.read_exact(buffer)
            }
            Bytes::Memory(bytes) => {
                let rest = usize::try_from(offset).ok().and_then(|start| bytes.get(start..));
                let mut rest = rest.ok_or(io::ErrorKind::UnexpectedEof)?;
                rest.read_exact(buffer)
            }
        }
    }

    /// Returns a reader of all bytes.
    pub(super) fn reader(&self) -> SourceReader<'_> {
        SourceReader { source: self, position: 0 }
    }
}

/// Reads a [`Source`] in sequence.
pub(super) struct SourceReader<'a> {
    source: &'a Source<'a>,
    position: u64,
}

impl Read for SourceReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.source.len.saturating_sub(self.position);
        let n = usize::try_from(rest).unwrap_or(usize::MAX).min(buffer.len());
        self.source.read_exact_at(self.position, &mut buffer[..n])?;
        self.position += n as u64;
        Ok(n)
    }
}

impl Seek for SourceReader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(step) => self.position.checked_add_signed(step),
            SeekFrom::End(step) => self.source.len.checked_add_signed(step),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
