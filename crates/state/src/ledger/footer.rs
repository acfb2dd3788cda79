//! The end of a ledger file: what is in it and the checksum of every part, so that the one checksum the state keeps
//! vouches for the whole file.
//!
//! ```text
//! rows      blocks of rows in key order
//! matches   blocks of (48 bits of match hash, row number) in that order
//! row directory      the last key; then per block: length, rows, checksum, first key
//! match directory    per block: length, entries, checksum, first hash
//! gone      numbers of rows that left the model and are not settled
//! shared    numbers of rows whose match hash another row has too, of equal ones the newest first
//! footer    this file's own facts; its checksum is the file's root
//! 4 bytes   length of the footer
//! ```

use flow::KeyOrder;
use xxhash_rust::xxh3::xxh3_64;

use super::number;

const MAGIC: &[u8; 8] = b"outflow\x01";
/// A footer is small; a longer one is damage.
pub(super) const FOOTER_BYTES_MAX: usize = 4096;

/// A part of the file and its checksum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) sum: u64,
}

/// What the footer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) order: KeyOrder,
    pub(super) rows: u64,
    pub(super) row_directory: Part,
    pub(super) match_directory: Part,
    pub(super) shared: Part,
    pub(super) gone: Part,
}

impl Footer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        number::put_bytes(self.order.name().as_bytes(), &mut out);
        number::put(self.rows, &mut out);
        for part in [self.row_directory, self.match_directory, self.shared, self.gone] {
            number::put(part.offset, &mut out);
            number::put(part.length, &mut out);
            out.extend_from_slice(&part.sum.to_le_bytes());
        }
        out
    }

    /// The footer of these bytes, when they are those of `root`.
    pub(super) fn decode(bytes: &[u8], root: u64) -> Option<Self> {
        if xxh3_64(bytes) != root {
            return None;
        }
        let mut rest = bytes.strip_prefix(MAGIC)?;
        let order = KeyOrder::named(std::str::from_utf8(number::take_bytes(&mut rest)?).ok()?)?;
        let rows = number::take(&mut rest)?;
        let mut part = || {
            let (offset, length) = (number::take(&mut rest)?, number::take(&mut rest)?);
            let (sum, after) = rest.split_first_chunk::<8>()?;
            rest = after;
            Some(Part { offset, length, sum: u64::from_le_bytes(*sum) })
        };
        let (row_directory, match_directory) = (part()?, part()?);
        let (shared, gone) = (part()?, part()?);
        Some(Self { order, rows, row_directory, match_directory, shared, gone })
    }
}

/// Where the blocks of one kind lie, and what each begins with.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// Beginnings, one after the other.
    firsts: Vec<u8>,
    /// Where each beginning ends.
    ends: Vec<u32>,
    blocks: Vec<Place>,
    offset: u64,
    rows: u64,
}

/// One block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) length: u32,
    pub(super) sum: u64,
    /// Number of its first row or entry.
    pub(super) first_row: u64,
}

impl Directory {
    /// A directory of blocks that begin at `offset`.
    pub(super) fn new(offset: u64) -> Self {
        Self { offset, ..Self::default() }
    }

    pub(super) fn push(&mut self, first: &[u8], bytes: &[u8], rows: u64) {
        self.add(first, (bytes.len() as u32, xxh3_64(bytes)), rows);
    }

    fn add(&mut self, first: &[u8], (length, sum): (u32, u64), rows: u64) {
        self.firsts.extend_from_slice(first);
        self.ends.push(self.firsts.len() as u32);
        self.blocks.push(Place { offset: self.offset, length, sum, first_row: self.rows });
        self.offset += u64::from(length);
        self.rows += rows;
    }

    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn end(&self) -> u64 {
        self.offset
    }

    pub(super) fn place(&self, block: usize) -> Option<Place> {
        self.blocks.get(block).copied()
    }

    pub(super) fn first(&self, block: usize) -> &[u8] {
        let begin = block.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.firsts[begin..self.ends[block] as usize]
    }

    /// The last block that begins at or before `wanted`.
    pub(super) fn find(&self, wanted: &[u8]) -> Option<usize> {
        self.count_before(|first| first <= wanted).checked_sub(1)
    }

    /// How many blocks, from the first on, begin so.
    pub(super) fn count_before(&self, holds: impl Fn(&[u8]) -> bool) -> usize {
        let (mut low, mut high) = (0, self.blocks.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if holds(self.first(middle)) { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// The block that holds the row with this number.
    pub(super) fn of_row(&self, row: u64) -> Option<usize> {
        self.blocks.partition_point(|block| block.first_row <= row).checked_sub(1)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.firsts.len() + self.blocks.len() * 14);
        for (index, block) in self.blocks.iter().enumerate() {
            let after = self.blocks.get(index + 1).map_or(self.rows, |next| next.first_row);
            number::put(block.length.into(), &mut out);
            number::put(after - block.first_row, &mut out);
            out.extend_from_slice(&block.sum.to_le_bytes());
            number::put_bytes(self.first(index), &mut out);
        }
        out
    }

    pub(super) fn decode(mut bytes: &[u8], offset: u64) -> Option<Self> {
        let mut directory = Self::new(offset);
        while !bytes.is_empty() {
            let length = u32::try_from(number::take(&mut bytes)?).ok()?;
            let rows = number::take(&mut bytes)?;
            let (sum, rest) = bytes.split_first_chunk::<8>()?;
            bytes = rest;
            let first = number::take_bytes(&mut bytes)?;
            directory.add(first, (length, u64::from_le_bytes(*sum)), rows);
        }
        Some(directory)
    }
}
