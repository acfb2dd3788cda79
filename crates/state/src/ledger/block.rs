//! A block of sorted rows, a few KiB: each key without what it shares with the key before it.

use super::number;
use super::row::Fields;

/// A block is full from here on. Larger ones cost a single look-up more, smaller ones the directory.
const BLOCK_BYTES: usize = if cfg!(test) { 200 } else { 8 << 10 };
/// A length that does not fit half a byte.
const LONG: u8 = 15;

/// Collects rows into a block.
#[derive(Default)]
pub(super) struct Builder {
    bytes: Vec<u8>,
    first: Vec<u8>,
    last: Vec<u8>,
    rows: u64,
}

/// A finished block.
pub(super) struct Block {
    pub(super) bytes: Vec<u8>,
    pub(super) first: Vec<u8>,
    pub(super) rows: u64,
}

impl Builder {
    /// Adds a row; its key is greater than the one before.
    pub(super) fn push(&mut self, key: &[u8], row: &[u8]) {
        let shared = match self.rows {
            0 => {
                self.first.extend_from_slice(key);
                0
            }
            _ => shared(&self.last, key),
        };
        let rest = &key[shared..];
        let half = |length: usize| u8::try_from(length).map_or(LONG, |length| length.min(LONG));
        self.bytes.push(half(shared) << 4 | half(rest.len()));
        for length in [shared, rest.len()] {
            if half(length) == LONG {
                number::put((length - usize::from(LONG)) as u64, &mut self.bytes);
            }
        }
        self.bytes.extend_from_slice(rest);
        self.bytes.extend_from_slice(row);
        self.last.truncate(shared);
        self.last.extend_from_slice(rest);
        self.rows += 1;
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= BLOCK_BYTES
    }

    /// The block so far, unless there is no row in it.
    pub(super) fn take(&mut self) -> Option<Block> {
        (self.rows > 0).then(|| {
            let Self { bytes, first, rows, .. } = std::mem::take(self);
            Block { bytes, first, rows }
        })
    }
}

fn shared(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Goes through the rows of a block.
#[derive(Default)]
pub(super) struct Cursor {
    bytes: Vec<u8>,
    at: usize,
    key: Vec<u8>,
    row: (usize, usize),
}

impl Cursor {
    /// The buffer to fill with a block, before its first row.
    pub(super) fn refill(&mut self) -> &mut Vec<u8> {
        self.at = 0;
        self.row = (0, 0);
        self.key.clear();
        &mut self.bytes
    }

    /// Goes to the next row; `Some(false)` at the end, `None` where the bytes are no row.
    #[inline]
    pub(super) fn advance(&mut self) -> Option<bool> {
        let mut rest = &self.bytes[self.at..];
        let Some((head, after)) = rest.split_first() else { return Some(false) };
        rest = after;
        let mut length = |half: u8| match half {
            LONG => {
                number::take(&mut rest).and_then(|more| usize::try_from(more).ok()?.checked_add(15))
            }
            half => Some(usize::from(half)),
        };
        let (shared, suffix) = (length(head >> 4)?, length(head & 0x0F)?);
        let (suffix, after) = rest.split_at_checked(suffix)?;
        if shared > self.key.len() {
            return None;
        }
        self.key.truncate(shared);
        self.key.extend_from_slice(suffix);
        rest = after;
        let begin = self.bytes.len() - rest.len();
        Fields::take(&mut rest)?;
        self.at = self.bytes.len() - rest.len();
        self.row = (begin, self.at);
        Some(true)
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    pub(super) fn row(&self) -> &[u8] {
        &self.bytes[self.row.0..self.row.1]
    }
}
