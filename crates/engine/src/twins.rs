//! Which match values more than one new row of a run wants. Values wait in files once there are many, so that memory does
//! not grow with the rows (L2).

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use flow::{Error, MatchHash, Result};

use crate::codes;

/// Values are kept apart by their last bits, so that each part fits into memory at the end.
const PARTS: usize = 64;
/// Values of a part in memory.
const PART_VALUES_MAX: usize = 4096;
const VALUE_BYTES: usize = 16;

/// Collects match values.
pub(crate) struct Twins<'a> {
    dir: &'a Path,
    parts: Vec<Part>,
}

#[derive(Default)]
struct Part {
    values: Vec<u128>,
    file: Option<File>,
}

impl<'a> Twins<'a> {
    /// Files are made under `dir`; they have no name.
    pub(crate) fn new(dir: &'a Path) -> Self {
        Self { dir, parts: std::iter::repeat_with(Part::default).take(PARTS).collect() }
    }

    /// A new row wants this value.
    pub(crate) fn add(&mut self, value: MatchHash) -> Result<()> {
        let part = &mut self.parts[(value.0 % PARTS as u128) as usize];
        part.values.push(value.0);
        if part.values.len() < PART_VALUES_MAX {
            return Ok(());
        }
        part.spill(self.dir).map_err(|error| unusable(self.dir, error))
    }

    /// Values that were added more than once, none of them taken yet.
    pub(crate) fn found(self) -> Result<Wanted> {
        let mut wanted = Wanted::default();
        for part in self.parts {
            let mut values = part.all().map_err(|error| unusable(self.dir, error))?;
            values.sort_unstable();
            let twins = values.windows(2).filter(|pair| pair[0] == pair[1]);
            wanted.taken.extend(twins.map(|pair| (pair[0], false)));
        }
        Ok(wanted)
    }
}

impl Part {
    fn spill(&mut self, dir: &Path) -> std::io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(tempfile::tempfile_in(dir)?),
        };
        let bytes: Vec<u8> = self.values.drain(..).flat_map(u128::to_le_bytes).collect();
        file.write_all(&bytes)
    }

    fn all(self) -> std::io::Result<Vec<u128>> {
        let mut values = self.values;
        if let Some(mut file) = self.file {
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(0))?;
            file.read_to_end(&mut bytes)?;
            let (chunks, _) = bytes.as_chunks::<VALUE_BYTES>();
            values.extend(chunks.iter().map(|chunk| u128::from_le_bytes(*chunk)));
        }
        Ok(values)
    }
}

/// Match values that several rows want: the first gets it, as in a run.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    taken: HashMap<u128, bool>,
}

impl Wanted {
    pub(crate) fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// Whether another row has the value already; it is taken from now on.
    pub(crate) fn take(&mut self, value: MatchHash) -> bool {
        self.taken.get_mut(&value.0).is_some_and(|taken| std::mem::replace(taken, true))
    }
}

fn unusable(dir: &Path, error: std::io::Error) -> Error {
    Error::new(&codes::E4006, format!("{}: {error}", dir.display())).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins_are_found_in_memory_and_in_files_and_the_first_takes_the_value() {
        let dir = tempfile::tempdir().unwrap();
        let mut twins = Twins::new(dir.path());
        let spread = |n: u128| MatchHash(n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        for n in 0..400_000 {
            twins.add(spread(n)).unwrap();
        }
        assert!(twins.parts.iter().all(|part| part.file.is_some()), "some are in files");
        for n in [3, 399_999, 3] {
            twins.add(spread(n)).unwrap();
        }
        let mut wanted = twins.found().unwrap();
        assert_eq!(wanted.taken.len(), 2);
        assert!(!wanted.take(spread(3)) && wanted.take(spread(3)) && wanted.take(spread(3)));
        assert!(!wanted.take(spread(4)) && !wanted.take(spread(4)), "nobody else wants it");
    }
}
