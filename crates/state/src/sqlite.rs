//! The store itself: every call becomes work for the writing or the reading connection's thread.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use flow::{
    BackfillProgress, Code, Commit, Entry, Error, Key, KeyOrder, Lease, LedgerStream, MatchHash,
    Result, RunRecord, RunStatus, Store, StoredJob, StoredMark, StoredWatermark, Target,
    Unconfirmed,
};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::fault::While;
use crate::lease::{self, Held};
use crate::ledger::{Ledgers, Listed, Rows, stream};
use crate::progress::{self, Written};
use crate::syncs::{self, SyncRow};
use crate::worker::Worker;
use crate::{
    codes, directory, jobs, marks, migrate, open, payloads, rejects, runs, target, unconfirmed,
};

/// A look at a lock takes it for an instant, so a refusal is believed only after some tries.
const LEASE_TRIES: u32 = 5;
const LEASE_PAUSE: Duration = Duration::from_millis(20);
/// Tries at a ledger whose files are merged again and again.
const LOOKS_MAX: u32 = 5;

/// The state of one project in one SQLite file. Several processes may have it open at once.
pub struct Sqlite {
    pub(crate) dir: PathBuf,
    pub(crate) writer: Worker,
    pub(crate) reader: Worker,
    pub(crate) ledgers: Ledgers,
}

impl Sqlite {
    /// Opens the state of `project` in `dir` (usually the project's `.outflow`), making both where they are
    /// missing. Reads the whole of state.db to check it, so call it where blocking is allowed.
    ///
    /// # Errors
    /// `E3001`-`E3009` for a directory or file that cannot be used; nothing in the file is changed then.
    pub fn open(dir: &Path, project: &str) -> Result<Self> {
        directory::prepare(dir)?;
        let opened = open::open(&dir.join("state.db"), project, migrate::MIGRATIONS)?;
        Ok(Self {
            dir: dir.to_owned(),
            writer: Worker::start("state-writer", opened.writer)?,
            reader: Worker::start("state-reader", opened.reader)?,
            ledgers: Ledgers::new(dir)?,
        })
    }

    /// Runs `job` in one durable transaction, if `lease` is still the newest of its sync.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        lease: &Lease,
        job: impl FnOnce(&Transaction<'_>, &mut SyncRow) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (name, epoch) = (lease.sync.clone(), lease.epoch);
        self.writer
            .run(move |connection| {
                let transaction = begin(connection)?;
                let mut sync = syncs::owned(&transaction, &name, epoch)?;
                let done = job(&transaction, &mut sync)?;
                transaction.commit().during("committing to the state")?;
                Ok(done)
            })
            .await
    }

    /// Runs `job` on one snapshot, if the sync ever ran.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        sync: &str,
        job: impl Fn(&Connection, &SyncRow) -> Result<T> + Send + 'static,
    ) -> Result<Option<T>> {
        let name = sync.to_owned();
        self.reader
            .run(move |connection| {
                look(connection, |snapshot| {
                    let sync = syncs::find(snapshot, &name)?;
                    sync.map(|sync| job(snapshot, &sync)).transpose()
                })
            })
            .await
    }

    async fn list(
        &self,
        sync: &str,
        (listed, after, rows): (Listed, Option<&Key>, usize),
    ) -> Result<Vec<(Key, Entry)>> {
        let (ledgers, after) = (self.ledgers.clone(), after.cloned());
        let found = self
            .read(sync, move |connection, sync| {
                ledgers.page(connection, sync, (listed, after.as_ref(), rows))
            })
            .await?;
        Ok(found.unwrap_or_default())
    }

    /// Takes the lock and the epoch; `None` while somebody else has the lock.
    async fn try_acquire(&self, sync: &str, at: i64) -> Result<Option<Lease>> {
        let (dir, name) = (self.dir.clone(), sync.to_owned());
        let Some(mut held) = self.writer.run(move |_| lease::take(&dir, &name, at)).await? else {
            return Ok(None);
        };
        self.ledgers.abandon(sync).await;
        let (ledgers, name) = (self.ledgers.clone(), sync.to_owned());
        self.writer
            .run(move |connection| {
                let transaction = begin(connection)?;
                let sync = syncs::own(&transaction, &name)?;
                if runs::close_unfinished(&transaction, sync.id)? {
                    unconfirmed::put_unheard(&transaction, sync.id, at)?;
                }
                transaction.commit().during("taking the lease")?;
                held.damage = check(connection, &ledgers, &sync)?;
                Ok(Some(Lease::new(name, sync.epoch, held)))
            })
            .await
    }
}

/// Begins a transaction that writes, so that two writers wait for each other at its start.
pub(crate) fn begin(connection: &mut Connection) -> Result<Transaction<'_>> {
    connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .during("waiting for the state")
}

/// Runs `job` on one snapshot; on a newer one when a ledger file it named was merged into another meanwhile, and is gone.
pub(crate) fn look<T>(
    connection: &mut Connection,
    job: impl Fn(&Connection) -> Result<T>,
) -> Result<T> {
    for attempt in 1.. {
        let snapshot = connection.transaction().during("reading the state")?;
        match job(&snapshot) {
            Err(error) if error.code() == &codes::E3020_LEDGER_MISSING && attempt < LOOKS_MAX => {}
            result => return result,
        }
    }
    unreachable!("the last look returns")
}

/// Reads what the sync's next run relies on from its first moment: the watermark, and what the ledger is made of. Its
/// rows are checked when they are read. Damage is an answer, not an error: the owner of a damaged sync can still reset it.
fn check(
    connection: &mut Connection,
    ledgers: &Ledgers,
    sync: &SyncRow,
) -> Result<Option<(&'static Code, String)>> {
    const DAMAGE: [&Code; 4] = [
        &codes::E3004_DAMAGED,
        &codes::E3007_CHECKSUM,
        &codes::E3020_LEDGER_MISSING,
        &codes::E3021_LEDGER_DAMAGED,
    ];
    let snapshot = connection.transaction().during("checking the ledger")?;
    let checked = ledgers
        .check(&snapshot, sync)
        .and_then(|()| progress::watermark(&snapshot, sync.id))
        .and_then(|_| marks::get(&snapshot, sync.id))
        .and_then(|_| ledgers.clear(&snapshot, sync));
    match checked {
        Ok(()) => Ok(None),
        Err(error) if DAMAGE.contains(&error.code()) => {
            Ok(Some((error.code(), error.message().to_owned())))
        }
        Err(error) => Err(error),
    }
}

/// Refuses a lease whose sync was found damaged when it was taken.
fn usable(lease: &Lease) -> Result<()> {
    match lease.held.downcast_ref::<Held>().and_then(|held| held.damage.as_ref()) {
        None => Ok(()),
        Some((code, damage)) => Err(Error::new(code, format!("Sync `{}`: {damage}", lease.sync))),
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn acquire(&self, sync: &str, at: i64) -> Result<Lease> {
        lease::check_name(sync)?;
        for attempt in 1.. {
            if let Some(lease) = self.try_acquire(sync, at).await? {
                return Ok(lease);
            }
            if attempt == LEASE_TRIES {
                break;
            }
            tokio::time::sleep(LEASE_PAUSE).await;
        }
        Err(lease::held(&self.dir, sync))
    }

    async fn put_run(&self, lease: &Lease, run: &RunRecord) -> Result<()> {
        usable(lease)?;
        let (run, ended) = (run.clone(), run.status != RunStatus::Running);
        self.write(lease, move |transaction, sync| runs::put(transaction, sync.id, &run)).await?;
        if ended {
            self.tidy_ledger(lease).await;
        }
        Ok(())
    }

    async fn target(&self, sync: &str) -> Result<Option<Target>> {
        let found = self.read(sync, |connection, sync| target::get(connection, &sync.name)).await?;
        Ok(found.flatten())
    }

    async fn put_target(&self, lease: &Lease, target: &Target) -> Result<()> {
        usable(lease)?;
        let target = target.clone();
        self.write(lease, move |transaction, sync| target::put(transaction, &sync.name, &target))
            .await
    }

    async fn watermark(&self, sync: &str) -> Result<Option<StoredWatermark>> {
        let found =
            self.read(sync, |connection, sync| progress::watermark(connection, sync.id)).await?;
        Ok(found.flatten())
    }

    async fn mark(&self, sync: &str) -> Result<Option<StoredMark>> {
        let found = self.read(sync, |connection, sync| marks::get(connection, sync.id)).await?;
        Ok(found.flatten())
    }

    async fn backfill(&self, sync: &str, spec: &str) -> Result<Option<BackfillProgress>> {
        let spec = spec.to_owned();
        let found = self
            .read(sync, move |connection, sync| progress::backfill(connection, sync.id, &spec))
            .await?;
        Ok(found.flatten())
    }

    async fn lookup(&self, sync: &str, keys: &[Key]) -> Result<Vec<Option<Entry>>> {
        let (count, keys) = (keys.len(), keys.to_vec());
        let ledgers = self.ledgers.clone();
        let found = self
            .read(sync, move |connection, sync| ledgers.lookup(connection, sync, &keys))
            .await?;
        Ok(found.unwrap_or_else(|| vec![None; count]))
    }

    async fn payloads(&self, sync: &str, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>> {
        let (count, keys) = (keys.len(), keys.to_vec());
        let found = self
            .read(sync, move |connection, sync| payloads::of(connection, sync.id, &keys))
            .await?;
        Ok(found.unwrap_or_else(|| vec![None; count]))
    }

    async fn payloads_after(
        &self,
        sync: &str,
        after: Option<&Key>,
        rows: usize,
    ) -> Result<Vec<(Key, Vec<u8>)>> {
        let after = after.cloned();
        let found = self
            .read(sync, move |connection, sync| {
                payloads::page(connection, sync.id, (after.as_ref(), rows))
            })
            .await?;
        Ok(found.unwrap_or_default())
    }

    async fn known_rows(&self, sync: &str) -> Result<u64> {
        let ledgers = self.ledgers.clone();
        let known =
            self.read(sync, move |connection, sync| ledgers.known(connection, sync)).await?;
        Ok(known.unwrap_or(0))
    }

    async fn owners(&self, sync: &str, matches: &[MatchHash]) -> Result<Vec<Option<Key>>> {
        let (count, matches) = (matches.len(), matches.to_vec());
        let ledgers = self.ledgers.clone();
        let found = self
            .read(sync, move |connection, sync| ledgers.owners(connection, sync, &matches))
            .await?;
        Ok(found.unwrap_or_else(|| vec![None; count]))
    }

    async fn holders(&self, sync: &str, record_ids: &[String]) -> Result<Vec<(String, Key)>> {
        let (ledgers, ids) = (self.ledgers.clone(), record_ids.to_vec());
        let found = self
            .read(sync, move |connection, sync| ledgers.holders(connection, sync, &ids))
            .await?;
        Ok(found.unwrap_or_default())
    }

    async fn order_keys(&self, lease: &Lease, order: &KeyOrder) -> Result<()> {
        usable(lease)?;
        self.reorder_ledger(lease, order).await
    }

    async fn stream(&self, sync: &str, order: &KeyOrder) -> Result<Option<Box<dyn LedgerStream>>> {
        let (ledgers, order) = (self.ledgers.clone(), order.clone());
        let rows =
            self.read(sync, move |connection, sync| ledgers.rows(connection, sync, &order)).await?;
        // Of a sync that never ran there is nothing in any order.
        let rows = rows.unwrap_or_else(|| Some(Rows::none()));
        Ok(rows.map(|rows| Box::new(stream(rows)) as Box<dyn LedgerStream>))
    }

    async fn scan(
        &self,
        sync: &str,
        after: Option<&Key>,
        rows: usize,
    ) -> Result<Vec<(Key, Entry)>> {
        self.list(sync, (Listed::All, after, rows)).await
    }

    async fn gone(
        &self,
        sync: &str,
        after: Option<&Key>,
        rows: usize,
    ) -> Result<Vec<(Key, Entry)>> {
        self.list(sync, (Listed::Gone, after, rows)).await
    }

    async fn mark_dirty(&self, lease: &Lease, keys: &[Key]) -> Result<()> {
        usable(lease)?;
        let (ledgers, keys) = (self.ledgers.clone(), keys.to_vec());
        self.write(lease, move |transaction, sync| {
            ledgers.mark_dirty(transaction, sync, &keys)?;
            sync.save(transaction)
        })
        .await
    }

    async fn commit(&self, lease: &Lease, commit: Commit) -> Result<()> {
        usable(lease)?;
        self.write(lease, move |transaction, sync| settle(transaction, sync, &commit)).await?;
        self.keep_ledger_small(lease).await
    }

    async fn end_backfill(&self, lease: &Lease, spec: &str) -> Result<()> {
        usable(lease)?;
        let spec = spec.to_owned();
        self.write(lease, move |transaction, sync| {
            progress::end_backfill(transaction, sync.id, &spec)
        })
        .await
    }

    async fn rejected_keys(
        &self,
        sync: &str,
        codes: Option<&[&str]>,
        (seen_by, rows_max): (&str, usize),
    ) -> Result<Vec<Key>> {
        let owned = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect();
        let codes: Option<Vec<String>> = codes.map(owned);
        let seen_by = seen_by.to_owned();
        let found = self
            .read(sync, move |connection, sync| {
                rejects::keys(connection, sync.id, codes.as_deref(), (&seen_by, rows_max))
            })
            .await?;
        Ok(found.unwrap_or_default())
    }

    async fn open_rejects(&self, sync: &str) -> Result<(u64, Option<i64>)> {
        let found = self.read(sync, |connection, sync| rejects::open(connection, sync.id)).await?;
        Ok(found.unwrap_or((0, None)))
    }

    async fn unconfirmed(
        &self,
        sync: &str,
        keys: &[Key],
        matches: &[MatchHash],
    ) -> Result<Vec<Unconfirmed>> {
        let (keys, matches) = (keys.to_vec(), matches.to_vec());
        let found = self
            .read(sync, move |connection, sync| {
                unconfirmed::of(connection, sync.id, (&keys, &matches))
            })
            .await?;
        Ok(found.unwrap_or_default())
    }

    async fn to_confirm(&self, sync: &str, at: i64, rows_max: usize) -> Result<Vec<Unconfirmed>> {
        let found = self
            .read(sync, move |connection, sync| {
                unconfirmed::due(connection, sync.id, (at, rows_max))
            })
            .await?;
        Ok(found.unwrap_or_default())
    }

    async fn unconfirmed_rows(&self, sync: &str) -> Result<u64> {
        let found =
            self.read(sync, |connection, sync| unconfirmed::count(connection, sync.id)).await?;
        Ok(found.unwrap_or_default())
    }

    async fn unheard_at(&self, sync: &str) -> Result<Option<i64>> {
        let found =
            self.read(sync, |connection, sync| unconfirmed::unheard(connection, sync.id)).await?;
        Ok(found.flatten())
    }

    async fn put_unheard(&self, lease: &Lease, at: i64) -> Result<()> {
        usable(lease)?;
        self.write(lease, move |transaction, sync| {
            unconfirmed::put_unheard(transaction, sync.id, at)
        })
        .await
    }

    async fn put_job(&self, lease: &Lease, job: &StoredJob) -> Result<()> {
        usable(lease)?;
        let job = job.clone();
        self.write(lease, move |transaction, sync| jobs::put(transaction, sync.id, &job)).await
    }

    async fn job_created(&self, lease: &Lease, job: &str, remote_id: &str) -> Result<()> {
        usable(lease)?;
        let (job, id) = (job.to_owned(), remote_id.to_owned());
        self.write(lease, move |transaction, sync| jobs::created(transaction, sync.id, (&job, &id)))
            .await
    }

    async fn jobs(&self, sync: &str) -> Result<Vec<StoredJob>> {
        let found = self.read(sync, |connection, sync| jobs::all(connection, sync.id)).await?;
        Ok(found.unwrap_or_default())
    }
}

/// Everything one settled range changes (D2).
fn settle(transaction: &Transaction<'_>, sync: &mut SyncRow, commit: &Commit) -> Result<()> {
    let written = Written { run_id: &commit.run_id, at: commit.at };
    Ledgers::put(transaction, sync, (&commit.ledger, &commit.forgotten))?;
    payloads::put(transaction, sync.id, (&commit.payloads, &commit.forgotten))?;
    rejects::resolve(transaction, sync.id, &commit.resolved)?;
    rejects::put(transaction, sync.id, &commit.rejects, &written)?;
    unconfirmed::put(transaction, sync.id, (&commit.confirmed, &commit.unconfirmed))?;
    jobs::forget(transaction, sync.id, &commit.ended_jobs)?;
    if let Some(watermark) = &commit.watermark {
        progress::put_watermark(transaction, sync.id, watermark, &written)?;
    }
    if let Some(mark) = &commit.mark {
        marks::put(transaction, sync.id, mark, &written)?;
    }
    if let Some(backfill) = &commit.backfill {
        progress::put_backfill(transaction, sync.id, backfill, commit.at)?;
    }
    runs::put_counts(transaction, sync.id, commit)?;
    sync.save(transaction)
}
