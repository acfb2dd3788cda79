//! The ledger: per row of a model, what the destination last acknowledged or refused.
//!
//! A sync's ledger is a sorted file that never changes, named by SQLite, and the changes since: those of each commit are
//! a blob in the very transaction that moves watermark, rejects and counts (D2, S1). Changes go to further sorted files
//! when they fill their memory, and are merged with the large one when that is worth its while. A kill leaves at most
//! files that nothing names, which the next owner of the sync clears away.

mod block;
mod delta;
mod fault;
mod file;
mod filter;
mod fold;
mod footer;
mod merge;
mod number;
pub(crate) mod old;
mod pairs;
mod row;
mod stream;
mod table;
mod view;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flow::{Entry, Error, Key, KeyOrder, LedgerChange, MatchHash, Result};
use rusqlite::{Connection, Transaction};
use tokio::task::JoinHandle;

pub(crate) use self::fold::{Fold, Folded};
pub(crate) use self::stream::{Rows, stream};
use self::table::Made;
use self::view::View;
use crate::fault::While;
use crate::syncs::SyncRow;
use crate::{codes, directory};

/// The folder of ledger files in the state's directory.
pub(crate) const FOLDER: &str = "ledger";
const SUFFIX: &str = ".rows";

/// Which rows a page has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Listed {
    /// All.
    All,
    /// Those that left the model and are not settled.
    Gone,
}

/// All ledgers as this process sees them.
#[derive(Clone)]
pub(crate) struct Ledgers {
    dir: PathBuf,
    known: Arc<Mutex<HashMap<i64, Arc<Mutex<View>>>>>,
    working: Arc<Mutex<HashMap<String, JoinHandle<Result<Folded>>>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A view that was left half followed catches up with the next look.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledgers {
    /// The ledgers whose files are in this state directory.
    pub(crate) fn new(dir: &Path) -> Result<Self> {
        let dir = dir.join(FOLDER);
        directory::prepare_inner(&dir)?;
        Ok(Self { dir, known: Arc::default(), working: Arc::default() })
    }

    /// Runs `look` on the sync's ledger as `connection` sees it, or newer.
    fn with<T>(
        &self,
        connection: &Connection,
        sync: &SyncRow,
        look: impl FnOnce(&mut View) -> Result<T>,
    ) -> Result<T> {
        let view = Arc::clone(
            lock(&self.known)
                .entry(sync.id)
                .or_insert_with(|| Arc::new(Mutex::new(View::new(&self.dir)))),
        );
        let mut view = lock(&view);
        view.follow(connection, sync)?;
        look(&mut view)
    }

    /// Takes the sync's files and changes in, checking them, so that damage is noticed when the lease is taken.
    pub(crate) fn check(&self, connection: &Connection, sync: &SyncRow) -> Result<()> {
        self.with(connection, sync, |_| Ok(()))
    }

    /// The entries of these rows, in this order.
    pub(crate) fn lookup(
        &self,
        connection: &Connection,
        sync: &SyncRow,
        keys: &[Key],
    ) -> Result<Vec<Option<Entry>>> {
        self.with(connection, sync, |view| view.lookup(keys))
    }

    /// Which row was last acknowledged under each match value, in this order.
    pub(crate) fn owners(
        &self,
        connection: &Connection,
        sync: &SyncRow,
        matches: &[MatchHash],
    ) -> Result<Vec<Option<Key>>> {
        self.with(connection, sync, |view| view.owners(matches))
    }

    /// Rows with one of these record ids, in one pass over the sync's ledger.
    pub(crate) fn holders(
        &self,
        connection: &Connection,
        sync: &SyncRow,
        record_ids: &[String],
    ) -> Result<Vec<(String, Key)>> {
        self.with(connection, sync, |view| view.holders(record_ids))
    }

    /// How many rows the ledger has.
    pub(crate) fn count(&self, connection: &Connection, sync: &SyncRow) -> Result<u64> {
        self.with(connection, sync, |view| view.count())
    }

    /// How many rows have a record at the destination, as far as was acknowledged.
    pub(crate) fn known(&self, connection: &Connection, sync: &SyncRow) -> Result<u64> {
        self.with(connection, sync, |view| view.known())
    }

    /// A page of rows in the ledger's order, after a key; see [`Listed`].
    pub(crate) fn page(
        &self,
        connection: &Connection,
        sync: &SyncRow,
        (listed, after, rows_max): (Listed, Option<&Key>, usize),
    ) -> Result<Vec<(Key, Entry)>> {
        self.with(connection, sync, |view| match listed {
            Listed::All => view.page(after, rows_max),
            Listed::Gone => view.gone(after, rows_max),
        })
    }

    /// All rows as they are now, if the ledger is in this order.
    pub(crate) fn rows(
        &self,
        connection: &Connection,
        sync: &SyncRow,
        order: &KeyOrder,
    ) -> Result<Option<Rows>> {
        self.with(connection, sync, |view| {
            Ok((view.made.order == *order).then(|| Rows::new(view.rows(None))))
        })
    }

    /// Replaces the memories of these rows, a later change of one row winning over an earlier one; then forgets others.
    pub(crate) fn put(
        transaction: &Transaction<'_>,
        sync: &mut SyncRow,
        (changes, forgotten): (&[LedgerChange], &[Key]),
    ) -> Result<()> {
        if changes.is_empty() && forgotten.is_empty() {
            return Ok(());
        }
        let mut made = table::get(transaction, sync)?;
        let blob = delta::blob(changes, forgotten, &made.order);
        add(transaction, sync, &mut made, &blob)
    }

    /// Forgets the acknowledged fingerprints of these rows; what else is known of them stays (D4).
    pub(crate) fn mark_dirty(
        &self,
        transaction: &Transaction<'_>,
        sync: &mut SyncRow,
        keys: &[Key],
    ) -> Result<()> {
        let mut blob = Vec::new();
        let mut made = self.with(transaction, sync, |view| {
            view.each_known(keys, |_, key, row| {
                let mut entry =
                    row::decode(row).ok_or_else(|| crate::checksum::mismatch("ledger"))?;
                if entry.acknowledged.take().is_some() {
                    let mut dirty = Vec::new();
                    row::encode(&entry, &mut dirty);
                    delta::push(key, &dirty, &mut blob);
                }
                Ok(())
            })?;
            Ok(view.made.clone())
        })?;
        if blob.is_empty() {
            return Ok(());
        }
        // Two names of one key in `keys` make the same change twice, which does no harm.
        add(transaction, sync, &mut made, &blob)
    }

    /// Forgets the whole ledger; also one that cannot be read.
    pub(crate) fn forget(transaction: &Transaction<'_>, sync: &mut SyncRow) -> Result<()> {
        let order = table::get(transaction, sync).map(|made| made.order).unwrap_or_default();
        sync.changes += 1;
        // No delta has a higher number than the sync has changes.
        let (version, folded) = (sync.changes, sync.changes);
        table::put(
            transaction,
            sync.id,
            &Made { version, order, folded, newest: folded, files: Vec::new() },
        )
    }

    /// Names a finished file in place of what is in it. Says no when the ledger was reset meanwhile.
    pub(crate) fn name(
        transaction: &Transaction<'_>,
        sync: &mut SyncRow,
        folded: &Folded,
    ) -> Result<bool> {
        let mut made = table::get(transaction, sync)?;
        let known = |name: &String| made.files.iter().any(|file| file.name == *name);
        if folded.folded < made.folded || !folded.replaces.iter().all(known) {
            return Ok(false);
        }
        made.files.retain(|file| !folded.replaces.contains(&file.name));
        made.files.insert(0, folded.named.clone());
        made.order.clone_from(&folded.order);
        made.folded = folded.folded;
        sync.changes += 1;
        made.version = sync.changes;
        table::put(transaction, sync.id, &made)?;
        sync.save(transaction)?;
        Ok(true)
    }

    /// Waits for the sync's work and lets go of it. Comes before [`Ledgers::clear`], which would take its file away, and
    /// the commit that names the file would fail.
    pub(crate) async fn abandon(&self, sync: &str) {
        let work = lock(&self.working).remove(sync);
        if let Some(work) = work {
            // What it made is named by nothing, and whether it could be made is nobody's concern any more.
            let _ = work.await;
        }
    }

    /// Removes files of the sync that nothing names: what a kill left, and the generation before the last merge.
    pub(crate) fn clear(&self, connection: &Connection, sync: &SyncRow) -> Result<()> {
        let made = table::get(connection, sync)?;
        let doing = format!("clearing {}", self.dir.display());
        let Ok(entries) = fs::read_dir(&self.dir) else { return Ok(()) };
        for entry in entries {
            let name = entry.during(&doing)?.file_name();
            let Some(name) = name.to_str() else { continue };
            let ours = name.split_once('-').is_some_and(|(owner, _)| owner == sync.name);
            if ours && !made.files.iter().any(|file| file.name == name) {
                match fs::remove_file(self.dir.join(name)) {
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    removed => removed.during(&doing)?,
                }
            }
        }
        Ok(())
    }

    /// Whether changes fill their memory.
    pub(crate) fn is_full(&self, connection: &Connection, sync: &SyncRow) -> Result<bool> {
        self.with(connection, sync, |view| Ok(view.is_full()))
    }

    /// What makes a file of them.
    pub(crate) fn fold(&self, connection: &Connection, sync: &SyncRow) -> Result<Fold> {
        self.with(connection, sync, |view| Ok(view.fold(file_name(sync))))
    }

    /// What is worth doing at the end of a run, if anything.
    pub(crate) fn fold_at_end(
        &self,
        connection: &Connection,
        sync: &SyncRow,
    ) -> Result<Option<Fold>> {
        self.with(connection, sync, |view| Ok(view.fold_at_end(file_name(sync))))
    }

    /// Whether the ledger is in this order; an empty one is from now on.
    pub(crate) fn order(
        &self,
        transaction: &Transaction<'_>,
        sync: &mut SyncRow,
        order: &KeyOrder,
    ) -> Result<bool> {
        let mut made = table::get(transaction, sync)?;
        if made.order == *order {
            return Ok(true);
        }
        if !made.files.is_empty() || made.newest > made.folded {
            return Ok(false);
        }
        sync.changes += 1;
        (made.order, made.version) = (order.clone(), sync.changes);
        table::put(transaction, sync.id, &made)?;
        sync.save(transaction)?;
        Ok(true)
    }

    /// What makes one file in another order of the whole ledger.
    pub(crate) fn reorder(
        &self,
        connection: &Connection,
        sync: &SyncRow,
        order: &KeyOrder,
    ) -> Result<Fold> {
        self.with(connection, sync, |view| Ok(view.fold_all(file_name(sync), order)))
    }

    /// Does the work on a thread where waiting for the disk is allowed.
    pub(crate) fn begin(&self, sync: &str, fold: Fold) {
        let work = tokio::task::spawn_blocking(|| fold.run());
        lock(&self.working).insert(sync.to_owned(), work);
    }

    /// The result of the sync's work, when there is some and it is done; with `wait`, once it is done.
    pub(crate) async fn finished(&self, sync: &str, wait: bool) -> Result<Option<Folded>> {
        let work = {
            let mut working = lock(&self.working);
            let ready = working.get(sync).is_some_and(|work| wait || work.is_finished());
            if ready { working.remove(sync) } else { None }
        };
        let Some(work) = work else { return Ok(None) };
        let lost = |error| {
            Error::new(&codes::E3099_UNEXPECTED, "The work on a ledger file was lost.")
                .with_source(error)
        };
        work.await.map_err(lost)?.map(Some)
    }

    /// Removes the files that were merged into another, as far as this owner of the sync made them. A generation of an
    /// earlier owner stays until the next one comes.
    pub(crate) fn remove_own(&self, folded: &Folded, epoch: i64) {
        for name in &folded.replaces {
            if name.split('-').nth(1) == Some(epoch.to_string().as_str()) {
                // What is left is cleared away by the next owner.
                let _ = fs::remove_file(self.dir.join(name));
            }
        }
    }

    /// Bytes of all ledger files.
    pub(crate) fn size_bytes(&self) -> u64 {
        let Ok(entries) = fs::read_dir(&self.dir) else { return 0 };
        let sizes = entries.flatten().filter_map(|entry| entry.metadata().ok());
        sizes.map(|file| file.len()).sum()
    }
}

/// A name no other file of the sync ever has: no two owners have one epoch, and each counts its files.
fn file_name(sync: &SyncRow) -> String {
    static MADE: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}-{}{SUFFIX}", sync.name, sync.epoch, MADE.fetch_add(1, Ordering::Relaxed))
}

fn add(
    transaction: &Transaction<'_>,
    sync: &mut SyncRow,
    made: &mut Made,
    blob: &[u8],
) -> Result<()> {
    sync.changes += 1;
    made.version = sync.changes;
    table::add(transaction, sync.id, made, blob)
}
