//! What a run would do about rows that left the model, worked out before anything is sent and without remembering it.

use std::collections::HashSet;

use flow::{Entry, Gone, GoneHow, Key, Result, Store};

use crate::absent::{Absent, Seen};
use crate::gone::{Standing, standing};
use crate::intake::Chunk;
use crate::weigh::{Beholder, Scale};
use crate::{Remember, Removed, Sync};

/// Rows looked at in one go.
const PAGE_ROWS: usize = 10_000;
/// Rows that are looked at for what they have in common.
const GONE_MAX: usize = 100_000;
/// Keys shown.
const SAMPLES: usize = 3;

/// Rows that left the model. `gone = due + waiting + ignored + failed`.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// Rows whose record would be removed.
    pub(crate) due: u64,
    /// Rows whose grace is not over.
    pub(crate) waiting: u64,
    /// Rows that need nothing.
    pub(crate) ignored: u64,
    /// Rows whose record cannot be removed.
    pub(crate) failed: u64,
    /// The rows whose record would be removed, where a guard may ask what they have in common; at most [`GONE_MAX`].
    pub(crate) gone: HashSet<Key>,
    /// Some of the rows whose record would be removed.
    pub(crate) samples: Vec<Key>,
    /// The read was complete and had no row.
    pub(crate) nothing_read: bool,
}

/// What is noted of a read for it.
pub(crate) struct Noted {
    /// What becomes of rows that left; `None` where nothing does, and nothing is noted.
    removed: Option<Removed>,
    /// The read is of every row.
    whole: bool,
    /// Somebody may ask what the rows have in common.
    compared: bool,
    seen: Seen,
    /// Rows that say that they left, and rows of the log that are not there.
    said: HashSet<Key>,
    /// Rows whose record goes to another row of the read.
    released: HashSet<Key>,
}

impl Noted {
    pub(crate) fn new(sync: &Sync, whole: bool) -> Self {
        let (said, released) = (HashSet::new(), HashSet::new());
        let compared = sync.remember() != Remember::Nothing;
        let (removed, seen) = (sync.removed.clone(), Seen::default());
        Self { removed, whole, compared, seen, said, released }
    }

    /// A batch of the read, and rows whose record one of its rows takes.
    pub(crate) fn see<'k>(&mut self, chunk: &Chunk, released: impl Iterator<Item = &'k Key>) {
        if self.removed.is_none() {
            return;
        }
        self.seen.note(chunk);
        self.said.extend(chunk.said.iter().chain(&chunk.gone).cloned());
        self.released.extend(released.cloned());
    }

    /// Weighs the rows of the ledger that are gone, and shows those whose record would be removed.
    pub(crate) async fn weigh(
        self,
        scale: &Scale<'_>,
        beholder: &mut dyn Beholder,
    ) -> Result<Left> {
        let Some(removed) = &self.removed else { return Ok(Left::default()) };
        let (sync, now) = (scale.sync, scale.meta.started_at);
        let store = scale.ports.store.as_ref();
        let mut left = Left { nothing_read: self.whole && self.seen.is_empty(), ..Left::default() };
        // A row without a key may be any of them.
        let whole = self.whole && self.seen.nameless == 0;
        if whole {
            let mut absent = Absent::new(store, &sync.name, &self.seen)?;
            while let Some(rows) = absent.next().await? {
                self.count((&mut left, beholder), (removed, store, &sync.name), rows, now).await?;
            }
            return Ok(left);
        }
        let mut said: Vec<Key> = self.said.iter().cloned().collect();
        said.sort_unstable();
        for keys in said.chunks(PAGE_ROWS) {
            let entries = store.lookup(&sync.name, keys).await?;
            let known = keys.iter().zip(entries).filter_map(|(key, entry)| Some((key, entry?)));
            let rows = known.map(|(key, entry)| (key.clone(), entry)).collect();
            self.count((&mut left, beholder), (removed, store, &sync.name), rows, now).await?;
        }
        let mut after = None;
        loop {
            let mut page = store.gone(&sync.name, after.as_ref(), PAGE_ROWS).await?;
            let last = page.len() < PAGE_ROWS;
            after = page.last().map(|(key, _)| key.clone());
            page.retain(|(key, entry)| {
                let says = entry.gone.is_some_and(|gone| gone.how == GoneHow::Said);
                says && !self.seen.contains(key) && !self.said.contains(key)
            });
            self.count((&mut left, beholder), (removed, store, &sync.name), page, now).await?;
            if last {
                return Ok(left);
            }
        }
    }

    async fn count(
        &self,
        (left, beholder): (&mut Left, &mut dyn Beholder),
        (removed, store, sync): (&Removed, &dyn Store, &str),
        rows: Vec<(Key, Entry)>,
        now: i64,
    ) -> Result<()> {
        let mut due = Vec::new();
        for (key, entry) in rows {
            let gone = entry.gone.unwrap_or(Gone { since: now, how: GoneHow::Absent });
            match standing(removed, &entry, gone, now) {
                _ if gone.how == GoneHow::Settled => {}
                _ if self.released.contains(&key) => left.ignored += 1,
                Standing::Waits => left.waiting += 1,
                Standing::Forget => left.ignored += 1,
                Standing::Unknown | Standing::Refused => left.failed += 1,
                Standing::Due => due.push((key, entry)),
            }
        }
        let ids: Vec<String> =
            due.iter().filter_map(|(_, entry)| entry.remote_id.clone()).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let holders = store.holders(sync, &ids).await?;
        let here = |key: &Key| self.seen.contains(key) && !self.said.contains(key);
        let kept: HashSet<String> =
            holders.into_iter().filter(|(_, key)| here(key)).map(|(id, _)| id).collect();
        for (key, entry) in due {
            if entry.remote_id.as_ref().is_some_and(|id| kept.contains(id)) {
                left.ignored += 1;
                continue;
            }
            left.due += 1;
            beholder.behold_gone(&key, &entry)?;
            if left.samples.len() < SAMPLES {
                left.samples.push(key.clone());
            }
            if self.compared && left.gone.len() < GONE_MAX {
                left.gone.insert(key);
            }
        }
        Ok(())
    }
}
