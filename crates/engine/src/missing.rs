//! Keys of ledger rows that an ordered read did not contain: a few in memory, the rest in a file without a name.

use std::fs::File;
use std::io::{BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};

use flow::{Error, Key, KeyOrder, Result};

use crate::codes;
use crate::spool::blocking;

/// Bytes of keys in memory.
const MEMORY_BYTES_MAX: usize = 4 << 20;

/// See the module.
pub(crate) struct Missing {
    order: KeyOrder,
    dir: PathBuf,
    /// Per key: its length, four bytes, and its bytes.
    buffer: Vec<u8>,
    spilled: Option<File>,
}

impl Missing {
    /// None yet. The file, if one is needed, is in the folder `dir`, which is there.
    pub(crate) fn new(order: KeyOrder, dir: &Path) -> Self {
        Self { order, dir: dir.to_owned(), buffer: Vec::new(), spilled: None }
    }

    /// Notes a row.
    pub(crate) fn push(&mut self, key: &[u8]) {
        self.buffer.extend_from_slice(&(key.len() as u32).to_le_bytes());
        self.buffer.extend_from_slice(key);
    }

    /// Writes what does not fit in memory to the file.
    pub(crate) async fn spill(&mut self) -> Result<()> {
        if self.buffer.len() < MEMORY_BYTES_MAX {
            return Ok(());
        }
        let (dir, buffer) = (self.dir.clone(), std::mem::take(&mut self.buffer));
        let spilled = self.spilled.take();
        let write = move || {
            let mut file = spilled.map_or_else(|| tempfile::tempfile_in(&dir), Ok)?;
            file.write_all(&buffer).map(|()| file)
        };
        self.spilled = Some(blocking(move || write().map_err(unusable)).await?);
        Ok(())
    }

    /// Goes through all of them, in order.
    pub(crate) fn keys(&self) -> Result<MissingKeys<'_>> {
        let mut spilled = None;
        if let Some(file) = &self.spilled {
            let mut file = file.try_clone().map_err(unusable)?;
            file.rewind().map_err(unusable)?;
            spilled = Some(BufReader::new(file));
        }
        Ok(MissingKeys { order: &self.order, spilled, rest: &self.buffer })
    }
}

/// Missing keys that are being gone through.
pub(crate) struct MissingKeys<'a> {
    order: &'a KeyOrder,
    spilled: Option<BufReader<File>>,
    rest: &'a [u8],
}

impl MissingKeys<'_> {
    /// The next keys; fewer only at the end.
    pub(crate) fn take(&mut self, count: usize) -> Result<Vec<Key>> {
        let mut keys = Vec::new();
        let mut bytes = Vec::new();
        while keys.len() < count && self.next(&mut bytes).map_err(unusable)? {
            let lost = || Error::new(&codes::E4007, "a noted key cannot be read back");
            keys.push(self.order.decode(&bytes).ok_or_else(lost)?);
        }
        Ok(keys)
    }

    fn next(&mut self, bytes: &mut Vec<u8>) -> std::io::Result<bool> {
        if let Some(file) = &mut self.spilled {
            let mut length = [0; 4];
            if file.read(&mut length[..1])? == 1 {
                file.read_exact(&mut length[1..])?;
                bytes.resize(u32::from_le_bytes(length) as usize, 0);
                return file.read_exact(bytes).map(|()| true);
            }
            self.spilled = None;
        }
        let Some((length, rest)) = self.rest.split_first_chunk::<4>() else { return Ok(false) };
        let (key, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        bytes.clear();
        bytes.extend_from_slice(key);
        self.rest = rest;
        Ok(true)
    }
}

fn unusable(error: std::io::Error) -> Error {
    Error::new(&codes::E4006, format!("keys of missing rows cannot be kept: {error}"))
        .with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn any_number_of_keys_comes_back_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let order = KeyOrder::default();
        let mut missing = Missing::new(order, dir.path());
        let key = |n: u32| format!("{n:0width$}", width = 1 + n as usize % 60);
        for n in 0..200_000 {
            missing.push(key(n).as_bytes());
            missing.spill().await.unwrap();
        }
        assert!(missing.spilled.is_some() && !missing.buffer.is_empty());
        for _ in 0..2 {
            let (mut keys, mut found) = (missing.keys().unwrap(), Vec::new());
            loop {
                let some = keys.take(999).unwrap();
                let last = some.len() < 999;
                found.extend(some);
                if last {
                    break;
                }
            }
            let expected: Vec<_> = (0..200_000).map(|n| Key::from_stored(key(n))).collect();
            assert!(found == expected);
        }
    }
}
