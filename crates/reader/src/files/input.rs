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
use super::store::Stored;
use crate::codes;

/// Bytes asked for at a time where a file is read front to back.
const CHUNK_BYTES: usize = 1 << 20;
/// The same where every part is a request.
const REQUEST_BYTES: usize = 8 << 20;

/// An open file.
#[derive(Debug, Clone)]
pub(super) struct Input {
    size: u64,
    handle: Handle,
}

#[derive(Debug, Clone)]
enum Handle {
    Local(Arc<File>),
    Stored(Stored, String),
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
            Place::Stored(object) => Handle::Stored(object.clone(), entry.name.clone()),
        };
        Ok(Self { size: entry.size, handle })
    }

    /// Exactly these bytes. The size that was listed is a promise (R3).
    fn range(&self, start: u64, length: usize) -> io::Result<Bytes> {
        if start.saturating_add(length as u64) > self.size {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "past the end of the file"));
        }
        if length == 0 {
            return Ok(Bytes::new());
        }
        match &self.handle {
            Handle::Local(file) => {
                let mut buffer = vec![0; length];
                file.read_exact_at(&mut buffer, start)?;
                Ok(Bytes::from(buffer))
            }
            Handle::Stored(object, name) => {
                object.range(name, start, length).map_err(io::Error::other)
            }
        }
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
            let most = match self.input.handle {
                Handle::Local(_) => CHUNK_BYTES,
                Handle::Stored(..) => REQUEST_BYTES,
            };
            let left =
                usize::try_from(self.input.size.saturating_sub(self.at)).unwrap_or(usize::MAX);
            self.chunk = self.input.range(self.at, left.min(most))?;
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

/// The same for what a reader of the format says. The object store's own errors come through it, wrapped.
pub(super) fn broken_by(
    name: &str,
    error: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    let mut inner: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(cause) = inner {
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let ours = wrapped.and_then(|error| error.downcast_ref::<Error>());
        if let Some(ours) = ours.or_else(|| cause.downcast_ref::<Error>()) {
            return Error::new(ours.code(), ours.message()).with_retry(ours.retry());
        }
        inner = cause.source();
    }
    broken(name, &error).with_source(error)
}
