//! The bytes of one file, front to back or by ranges, never beyond the size it had when it was listed.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use ::parquet::errors::ParquetError;
use ::parquet::file::reader::{ChunkReader, Length};
use bytes::Bytes;
use flow::{Error, Result, Retry};

use super::generation::{Entry, Place, changed, stamp};
use crate::codes;

/// Bytes asked for at a time where a file is read front to back.
const CHUNK_BYTES: usize = 1 << 20;

/// An open file.
#[derive(Debug, Clone)]
pub(super) struct Input {
    size: u64,
    handle: Handle,
}

#[derive(Debug, Clone)]
enum Handle {
    Local(Arc<File>),
}

impl Input {
    /// Opens a file of a generation.
    ///
    /// # Errors
    /// `E1102` when it cannot be opened, `E1106` when it is no longer what was listed.
    pub(super) fn open(entry: &Entry) -> Result<Self> {
        let handle = match &entry.place {
            Place::Local(path) => {
                let file = File::open(path).map_err(|error| unreadable(&entry.name, error))?;
                let meta = file.metadata().map_err(|error| unreadable(&entry.name, error))?;
                if stamp(&meta) != entry.stamp {
                    return Err(changed(&entry.name));
                }
                Handle::Local(Arc::new(file))
            }
        };
        Ok(Self { size: entry.size, handle })
    }

    /// As many bytes from `start` as fit and are there.
    fn read_at(&self, start: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(start)).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let Handle::Local(file) = &self.handle;
        match file.read_at(&mut buffer[..wanted], start)? {
            // The size that was listed is a promise (R3).
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter")),
            read => Ok(read),
        }
    }

    fn range(&self, start: u64, length: usize) -> io::Result<Bytes> {
        let mut buffer = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match self.read_at(start + filled as u64, &mut buffer[filled..])? {
                0 => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "past the end of the file",
                    ));
                }
                read => filled += read,
            }
        }
        Ok(Bytes::from(buffer))
    }

    /// The bytes front to back from `start`.
    pub(super) fn from(&self, start: u64) -> Sequence {
        Sequence { input: self.clone(), at: start, chunk: Bytes::new() }
    }
}

impl Length for Input {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Input {
    type T = Sequence;

    fn get_read(&self, start: u64) -> Result<Sequence, ParquetError> {
        Ok(self.from(start))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        self.range(start, length).map_err(|error| ParquetError::External(Box::new(error)))
    }
}

/// A file front to back.
#[derive(Debug)]
pub(super) struct Sequence {
    input: Input,
    at: u64,
    chunk: Bytes,
}

impl Read for Sequence {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() {
            let left =
                usize::try_from(self.input.size.saturating_sub(self.at)).unwrap_or(usize::MAX);
            self.chunk = self.input.range(self.at, left.min(CHUNK_BYTES))?;
            self.at += self.chunk.len() as u64;
        }
        let taken = self.chunk.split_to(self.chunk.len().min(buffer.len()));
        buffer[..taken.len()].copy_from_slice(&taken);
        Ok(taken.len())
    }
}

/// The error for a file that cannot be opened or read.
pub(super) fn unreadable(name: &str, error: io::Error) -> Error {
    let message = format!("{name} cannot be read: {error}");
    Error::new(&codes::E1102_UNREADABLE, message).with_retry(match error.kind() {
        io::ErrorKind::PermissionDenied => Retry::Never,
        _ => Retry::Backoff,
    })
}

/// The error for a file whose content is not what its format says.
pub(super) fn broken(name: &str, what: impl std::fmt::Display) -> Error {
    Error::new(&codes::E1107_BROKEN_FILE, format!("{name}: {what}")).with_retry(Retry::Backoff)
}

/// The same for what a reader of the format says.
pub(super) fn broken_by(
    name: &str,
    error: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    broken(name, &error).with_source(error)
}
