//! What can be wrong with a ledger file, as errors of ours.

use std::io;
use std::path::Path;

use flow::{Error, Result};

use crate::codes;

/// The file's bytes are not those that were written.
pub(super) fn damaged(path: &Path) -> Error {
    let text = format!("{} does not match its checksums.", path.display());
    Error::new(&codes::E3021_LEDGER_DAMAGED, text)
}

/// Says which file an operation was about.
pub(super) trait OfFile<T> {
    /// Turns the operating system's error into ours.
    fn of_file(self, path: &Path) -> Result<T>;
}

impl<T> OfFile<T> for io::Result<T> {
    fn of_file(self, path: &Path) -> Result<T> {
        self.map_err(|error| {
            let (code, what) = match error.kind() {
                io::ErrorKind::NotFound => (&codes::E3020_LEDGER_MISSING, "is missing"),
                io::ErrorKind::UnexpectedEof => (&codes::E3021_LEDGER_DAMAGED, "is cut off"),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    (&codes::E3013_DISK_FULL, "cannot be written")
                }
                _ => (&codes::E3014_DISK, "cannot be read or written"),
            };
            Error::new(code, format!("{} {what}: {error}.", path.display())).with_source(error)
        })
    }
}
