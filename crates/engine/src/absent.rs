//! Which rows of the ledger a complete read did not contain: the one place that decides that a row left the model.

use std::collections::HashSet;

use flow::{Entry, Key, Result, Store};
use xxhash_rust::xxh3::xxh3_64;

use crate::intake::Chunk;
use crate::missing::{Missing, MissingKeys};

/// Rows of the ledger looked at in one go.
const PAGE_ROWS: usize = 10_000;

/// What a read contained: its keys, as 64-bit hashes (a row whose hash another one has counts as present, which harms
/// nothing). Of a read that is merged with the ledger, only what it did not contain.
#[derive(Default)]
pub(crate) struct Seen {
    keys: HashSet<u64>,
    rows: u64,
    merged: bool,
    /// What a merged read did not contain; `None` until its clean end, and where its order did not tell.
    pub(crate) missing: Option<Missing>,
    /// Rows whose key is NULL; each may be any row of the ledger.
    pub(crate) nameless: u64,
}

impl Seen {
    /// From here on the read is merged.
    pub(crate) fn merge(&mut self) {
        self.merged = true;
    }

    /// Whether it is known what the read did not contain.
    pub(crate) fn is_known(&self) -> bool {
        !self.merged || self.missing.is_some()
    }

    /// Notes every row of the chunk that is in the model, also those the mapping refused.
    pub(crate) fn note(&mut self, chunk: &Chunk) {
        let refused = chunk.mapped.rejects.iter().map(|reject| reject.key.as_ref());
        self.rows += chunk.rows;
        if self.merged {
            self.nameless += refused.filter(Option::is_none).count() as u64;
            return;
        }
        for key in chunk.mapped.keys.iter().map(Some).chain(refused) {
            match key {
                Some(key) => _ = self.keys.insert(hash(key)),
                None => self.nameless += 1,
            }
        }
    }

    /// Whether the read had no row at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Whether the read had the row.
    pub(crate) fn contains(&self, key: &Key) -> bool {
        self.keys.contains(&hash(key))
    }
}

fn hash(key: &Key) -> u64 {
    xxh3_64(key.as_str().as_bytes())
}

/// Goes through the ledger once, unless the read was merged with it, and gives the rows that are not in the read.
pub(crate) struct Absent<'a> {
    store: &'a dyn Store,
    sync: &'a str,
    seen: &'a Seen,
    missing: Option<MissingKeys<'a>>,
    after: Option<Key>,
    ended: bool,
}

impl<'a> Absent<'a> {
    /// To be asked only about a read that was complete (R2, R3).
    pub(crate) fn new(store: &'a dyn Store, sync: &'a str, seen: &'a Seen) -> Result<Self> {
        let missing = seen.missing.as_ref().map(Missing::keys).transpose()?;
        Ok(Self { store, sync, seen, missing, after: None, ended: false })
    }

    /// The next of them, in the ledger's order; `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<(Key, Entry)>>> {
        if self.ended {
            return Ok(None);
        }
        if let Some(missing) = &mut self.missing {
            let keys = missing.take(PAGE_ROWS)?;
            self.ended = keys.len() < PAGE_ROWS;
            let entries = self.store.lookup(self.sync, &keys).await?;
            let known = keys.into_iter().zip(entries);
            return Ok(Some(known.filter_map(|(key, entry)| Some((key, entry?))).collect()));
        }
        let mut rows = self.store.scan(self.sync, self.after.as_ref(), PAGE_ROWS).await?;
        self.ended = rows.len() < PAGE_ROWS;
        self.after = rows.last().map(|(key, _)| key.clone());
        rows.retain(|(key, _)| !self.seen.contains(key));
        Ok(Some(rows))
    }
}
