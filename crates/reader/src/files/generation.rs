//! The files of a model as they were when the read was opened: a change to any of them fails the read (R2).

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use flow::{Error, Result, Retry};

use super::options::Format;
use super::store::Stored;
use crate::codes;

/// One file.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Below the connection's folder, for people.
    pub(super) name: String,
    /// Bytes.
    pub(super) size: u64,
    /// Differs whenever the content does.
    pub(super) stamp: String,
    pub(super) place: Place,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.size, &self.stamp) == (&other.name, other.size, &other.stamp)
    }
}

/// Where its bytes are.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// On this machine.
    Local(PathBuf),
    /// In an object store.
    Stored(Stored),
}

/// All files of a model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Generation {
    pub(super) format: Format,
    /// In the order of their names.
    pub(super) entries: Vec<Entry>,
}

impl Generation {
    /// Whether every file is still what it was. New files are not looked for: the next run reads them.
    ///
    /// # Errors
    /// `E1106` for the first that is not.
    pub(super) fn unchanged(&self) -> Result<()> {
        for entry in &self.entries {
            let now = match &entry.place {
                Place::Local(path) => path.metadata().ok().map(|meta| stamp(&meta)),
                Place::Stored(object) => object.stamp(&entry.name)?,
            };
            if now.as_ref() != Some(&entry.stamp) {
                return Err(changed(&entry.name));
            }
        }
        Ok(())
    }
}

/// What tells one content of a local file from another: which file it is, its size, and when it changed.
pub(super) fn stamp(meta: &Metadata) -> String {
    format!(
        "{}:{}:{}:{}.{}:{}.{}",
        meta.dev(),
        meta.ino(),
        meta.len(),
        meta.mtime(),
        meta.mtime_nsec(),
        meta.ctime(),
        meta.ctime_nsec()
    )
}

/// The error for a file that is no longer what was listed.
pub(super) fn changed(name: &str) -> Error {
    let message = format!("{name} was changed or removed while it was being read");
    Error::new(&codes::E1106_CHANGED, message).with_retry(Retry::Backoff)
}
