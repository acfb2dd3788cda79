//! Which rows of the ledger a complete read did not contain: the one place that decides that a row left the model.

use std::collections::HashSet;

use flow::{Entry, Key, Result, Store};
use xxhash_rust::xxh3::xxh3_64;

use crate::intake::Chunk;

/// Rows of the ledger looked at in one go.
const PAGE_ROWS: usize = 10_000;

/// The keys of a read, as 64-bit hashes: a row whose hash another one has counts as present, which harms nothing.
#[derive(Default)]
pub(crate) struct Seen {
    keys: HashSet<u64>,
    /// Rows whose key is NULL; each may be any row of the ledger.
    pub(crate) nameless: u64,
}

impl Seen {
    /// Notes every row of the chunk that is in the model, also those the mapping refused.
    pub(crate) fn note(&mut self, chunk: &Chunk) {
        let refused = chunk.mapped.rejects.iter().map(|reject| reject.key.as_ref());
        for key in chunk.mapped.keys.iter().map(Some).chain(refused) {
            match key {
                Some(key) => _ = self.keys.insert(hash(key)),
                None => self.nameless += 1,
            }
        }
    }

    /// Whether the read had no row at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.nameless == 0
    }

    fn contains(&self, key: &Key) -> bool {
        self.keys.contains(&hash(key))
    }
}

fn hash(key: &Key) -> u64 {
    xxh3_64(key.as_str().as_bytes())
}

/// Goes through the ledger once and gives the rows that are not in the read.
pub(crate) struct Absent<'a> {
    store: &'a dyn Store,
    sync: &'a str,
    seen: &'a Seen,
    after: Option<Key>,
    ended: bool,
    /// Rows of the ledger so far.
    pub(crate) known: u64,
}

impl<'a> Absent<'a> {
    /// To be asked only about a read that was complete (R2, R3).
    pub(crate) fn new(store: &'a dyn Store, sync: &'a str, seen: &'a Seen) -> Self {
        Self { store, sync, seen, after: None, ended: false, known: 0 }
    }

    /// The next of them, in the order of their keys; `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<(Key, Entry)>>> {
        if self.ended {
            return Ok(None);
        }
        let mut rows = self.store.scan(self.sync, self.after.as_ref(), PAGE_ROWS).await?;
        self.ended = rows.len() < PAGE_ROWS;
        self.known += rows.len() as u64;
        self.after = rows.last().map(|(key, _)| key.clone());
        rows.retain(|(key, _)| !self.seen.contains(key));
        Ok(Some(rows))
    }
}
