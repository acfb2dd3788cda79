//! Sorts the match hashes of a new file: any number of them in 8 MB, with a file to help.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

use flow::Result;

use super::fault::OfFile;

/// Pairs sorted in memory at a time.
const PAIRS_MAX: usize = if cfg!(test) { 30 } else { 1 << 19 };
/// Pairs read at a time from each sorted run.
const PAIRS_READ: usize = if cfg!(test) { 7 } else { 4096 };
const BYTES: usize = 16;

/// 48 bits of a match hash, how new the row is, and its number in the file, so that plain numbers sort as wanted: equal
/// hashes by newest row first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pair(u128);

impl Pair {
    pub(super) fn new(match_hash: u128, recency: u32, row: u64) -> Self {
        let row = u128::from(row & ((1 << 48) - 1));
        Self(u128::from(short(match_hash)) << 80 | u128::from(!recency) << 48 | row)
    }

    pub(super) fn hash(self) -> u64 {
        (self.0 >> 80) as u64
    }

    pub(super) fn row(self) -> u64 {
        self.0 as u64 & ((1 << 48) - 1)
    }
}

/// The 48 bits of a match hash that are in the index. The row itself has all of them.
pub(super) fn short(match_hash: u128) -> u64 {
    (match_hash >> 32) as u64 & ((1 << 48) - 1)
}

/// Collects pairs.
pub(super) struct Sorter {
    pairs: Vec<Pair>,
    path: PathBuf,
    /// Sorted runs, one after the other, each of [`PAIRS_MAX`] pairs.
    spilled: Option<(File, u64)>,
}

impl Sorter {
    /// A sorter that may use a file of that name for a while.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { pairs: Vec::new(), path, spilled: None }
    }

    pub(super) fn push(&mut self, pair: Pair) -> Result<()> {
        self.pairs.push(pair);
        if self.pairs.len() < PAIRS_MAX {
            return Ok(());
        }
        self.pairs.sort_unstable();
        let bytes: Vec<u8> = self.pairs.iter().flat_map(|pair| pair.0.to_le_bytes()).collect();
        self.pairs.clear();
        if self.spilled.is_none() {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(true).mode(0o600);
            let file = options.open(&self.path).of_file(&self.path)?;
            // Nobody else needs its name, and a kill leaves nothing behind.
            fs::remove_file(&self.path).of_file(&self.path)?;
            self.spilled = Some((file, 0));
        }
        if let Some((file, runs)) = &mut self.spilled {
            file.write_all(&bytes).of_file(&self.path)?;
            *runs += 1;
        }
        Ok(())
    }

    /// All pairs, in order.
    pub(super) fn finish(mut self, mut each: impl FnMut(Pair) -> Result<()>) -> Result<()> {
        self.pairs.sort_unstable();
        let Some((file, runs)) = self.spilled else {
            return self.pairs.into_iter().try_for_each(each);
        };
        let mut sources: Vec<Run> = (0..runs)
            .map(|run| Run { next: run * PAIRS_MAX as u64, left: PAIRS_MAX, ..Run::default() })
            .collect();
        for source in &mut sources {
            source.fill(&file).of_file(&self.path)?;
        }
        sources.push(Run { pairs: self.pairs, ..Run::default() });
        let mut heap: std::collections::BinaryHeap<_> = sources
            .iter()
            .enumerate()
            .filter_map(|(index, source)| {
                source.peek().map(|pair| std::cmp::Reverse((pair, index)))
            })
            .collect();
        while let Some(mut top) = heap.peek_mut() {
            let std::cmp::Reverse((pair, index)) = *top;
            each(pair)?;
            let source = &mut sources[index];
            source.advance(&file).of_file(&self.path)?;
            match source.peek() {
                Some(pair) => *top = std::cmp::Reverse((pair, index)),
                None => drop(std::collections::binary_heap::PeekMut::pop(top)),
            }
        }
        Ok(())
    }
}

/// A sorted run, partly in memory.
#[derive(Default)]
struct Run {
    pairs: Vec<Pair>,
    at: usize,
    /// Number of the next pair in the file, and how many are left there.
    next: u64,
    left: usize,
}

impl Run {
    fn peek(&self) -> Option<Pair> {
        self.pairs.get(self.at).copied()
    }

    fn advance(&mut self, file: &File) -> std::io::Result<()> {
        self.at += 1;
        if self.at == self.pairs.len() { self.fill(file) } else { Ok(()) }
    }

    fn fill(&mut self, file: &File) -> std::io::Result<()> {
        let count = self.left.min(PAIRS_READ);
        let mut bytes = vec![0; count * BYTES];
        file.read_exact_at(&mut bytes, self.next * BYTES as u64)?;
        self.pairs.clear();
        self.pairs
            .extend(bytes.as_chunks::<BYTES>().0.iter().map(|b| Pair(u128::from_le_bytes(*b))));
        self.at = 0;
        self.next += count as u64;
        self.left -= count;
        Ok(())
    }
}
