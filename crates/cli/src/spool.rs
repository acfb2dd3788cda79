//! What killed processes left in the spool folder: removed at the start of a run, unless another process is at work.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

/// Name of the file that every process at work holds a shared lock on.
const LOCK: &str = "lock";

/// The spool folder in use: while this lives, no other process removes what is in it. A killed process lets go of it.
#[derive(Debug)]
pub(crate) struct InUse {
    _lock: Option<File>,
}

impl InUse {
    /// Removes what is left over when nobody else is at work, and marks the folder as in use.
    pub(crate) fn claim(dir: &Path) -> Self {
        let lock = lock(dir).inspect_err(|error| {
            tracing::warn!(dir = %dir.display(), %error, "the spool folder could not be cleaned");
        });
        Self { _lock: lock.ok() }
    }
}

fn lock(dir: &Path) -> io::Result<File> {
    fs::create_dir_all(dir)?;
    let lock = OpenOptions::new().create(true).append(true).open(dir.join(LOCK))?;
    if lock.try_lock().is_ok() {
        // Process ids say nothing here: they come again, and containers share folders but not ids.
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            }
        }
        lock.unlock()?;
    }
    lock.lock_shared()?;
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_are_removed_unless_another_process_is_at_work() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let dir = dir.path().join("spool");
        let left = dir.join("12345-abc");
        let leave = || {
            fs::create_dir_all(&left).expect("made");
            fs::write(left.join("00000001.parquet"), "x").expect("written");
        };
        leave();
        let first = InUse::claim(&dir);
        assert!(!left.exists());
        leave();
        let second = InUse::claim(&dir);
        assert!(left.exists(), "the first one may be using it");
        drop(first);
        drop(second);
        drop(InUse::claim(&dir));
        assert!(!left.exists());
    }
}
