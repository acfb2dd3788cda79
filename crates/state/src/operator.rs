//! What the operator's commands ask of the state besides the port: lists, details, discarding and resetting.

use std::fs;

use async_trait::async_trait;
use flow::{Lease, RejectRecord, Result, RunRecord, Store, StoredWatermark};
use rusqlite::{Connection, Transaction};

use crate::fault::While;
use crate::lease::{self, Holder};
use crate::ledger::Ledgers;
use crate::rejects::{self, RejectFilter, RejectGroup};
use crate::sqlite::{Sqlite, begin, look};
use crate::syncs::{self, SyncRow};
use crate::{jobs, progress, runs, target, unconfirmed};

/// What the state knows about one sync.
#[derive(Debug, Clone)]
pub struct SyncState {
    /// The sync.
    pub sync: String,
    /// How far it has come.
    pub watermark: Option<StoredWatermark>,
    /// Rows remembered.
    pub ledger_rows: u64,
    /// Rows with an open reject.
    pub open_rejects: u64,
    /// When the oldest open reject was first refused, in microseconds since 1970.
    pub oldest_reject_at: Option<i64>,
    /// Backfills that have begun and not ended.
    pub open_backfills: u64,
    /// Rows whose record a request may still change that nobody heard of; they are confirmed by another write.
    pub unconfirmed_rows: u64,
    /// Jobs whose end nobody has seen.
    pub open_jobs: u64,
    /// The newest run.
    pub last_run: Option<RunRecord>,
    /// Who runs it right now.
    pub held_by: Option<Holder>,
}

/// A store as the operator's commands know it: the port, and what only people ask.
#[async_trait]
pub trait State: Store {
    /// Where it is, for people: a folder, or a server and a schema.
    fn place(&self) -> String;

    /// The newest runs, newest first: of `sync`, or of all.
    ///
    /// # Errors
    /// `E3xxx` when the state cannot be read.
    async fn runs(&self, sync: Option<&str>, limit: u64) -> Result<Vec<RunRecord>>;

    /// The run whose id is, or begins with, `id_or_prefix`.
    ///
    /// # Errors
    /// `E3017` when several runs begin so.
    async fn run(&self, id_or_prefix: &str) -> Result<Option<RunRecord>>;

    /// Open rejects, oldest first.
    ///
    /// # Errors
    /// `E3xxx` when the state cannot be read.
    async fn rejects(&self, filter: &RejectFilter) -> Result<Vec<RejectRecord>>;

    /// Open rejects by cause, the most frequent first: of `sync`, or of all.
    ///
    /// # Errors
    /// `E3xxx` when the state cannot be read.
    async fn reject_groups(&self, sync: Option<&str>) -> Result<Vec<RejectGroup>>;

    /// Forgets open rejects by number and says how many there were. The ledger still knows the refused payloads,
    /// so that they are not sent again until the row changes.
    ///
    /// # Errors
    /// `E3xxx` when the state cannot be written.
    async fn discard_rejects(&self, ids: &[i64]) -> Result<u64>;

    /// Forgets the watermark, the ledger, the backfills and the rejects of the lease's sync, and keeps its run
    /// history. The next run is a first load that upserts every row. Works on a damaged ledger too.
    ///
    /// # Errors
    /// `E3011` when another run has taken the sync over, `E3xxx` when the state cannot be written.
    async fn reset(&self, lease: &Lease) -> Result<()>;

    /// Every sync that ever ran, by name.
    ///
    /// # Errors
    /// `E3xxx` when the state cannot be read.
    async fn syncs(&self) -> Result<Vec<SyncState>>;

    /// Bytes the state takes where it is kept, with everything that belongs to it.
    ///
    /// # Errors
    /// `E3xxx` when the state cannot be read.
    async fn size_bytes(&self) -> Result<u64>;
}

#[async_trait]
impl State for Sqlite {
    fn place(&self) -> String {
        self.dir.display().to_string()
    }

    async fn runs(&self, sync: Option<&str>, limit: u64) -> Result<Vec<RunRecord>> {
        let sync = sync.map(str::to_owned);
        self.reader.run(move |connection| runs::list(connection, sync.as_deref(), limit)).await
    }

    async fn run(&self, id_or_prefix: &str) -> Result<Option<RunRecord>> {
        let prefix = id_or_prefix.to_owned();
        self.reader.run(move |connection| runs::find(connection, &prefix)).await
    }

    async fn rejects(&self, filter: &RejectFilter) -> Result<Vec<RejectRecord>> {
        let filter = filter.clone();
        self.reader.run(move |connection| rejects::list(connection, &filter)).await
    }

    async fn reject_groups(&self, sync: Option<&str>) -> Result<Vec<RejectGroup>> {
        let sync = sync.map(str::to_owned);
        self.reader.run(move |connection| rejects::groups(connection, sync.as_deref())).await
    }

    async fn discard_rejects(&self, ids: &[i64]) -> Result<u64> {
        let ids = ids.to_vec();
        self.writer
            .run(move |connection| {
                let transaction = begin(connection)?;
                let discarded = rejects::discard(&transaction, &ids)?;
                transaction.commit().during("discarding rejects")?;
                Ok(discarded)
            })
            .await
    }

    async fn reset(&self, lease: &Lease) -> Result<()> {
        let ledgers = self.ledgers.clone();
        ledgers.abandon(&lease.sync).await;
        self.write(lease, move |transaction, sync| {
            Ledgers::forget(transaction, sync)?;
            forget(transaction, sync.id)?;
            target::forget(transaction, &sync.name)?;
            sync.ledger_rows = 0;
            sync.save(transaction)
        })
        .await?;
        let name = lease.sync.clone();
        self.read(&name, move |connection, sync| ledgers.clear(connection, sync)).await.map(|_| ())
    }

    async fn syncs(&self) -> Result<Vec<SyncState>> {
        let (dir, ledgers) = (self.dir.clone(), self.ledgers.clone());
        self.reader
            .run(move |connection| {
                look(connection, |snapshot| {
                    let known = syncs::all(snapshot)?;
                    known
                        .iter()
                        .map(|sync| {
                            let held_by = lease::holder(&dir, &sync.name);
                            let ledger_rows = ledgers.count(snapshot, sync)?;
                            Ok(SyncState { held_by, ledger_rows, ..state_of(snapshot, sync)? })
                        })
                        .collect()
                })
            })
            .await
    }

    async fn size_bytes(&self) -> Result<u64> {
        let (dir, ledgers) = (self.dir.clone(), self.ledgers.clone());
        self.reader
            .run(move |_| {
                let size = |name| fs::metadata(dir.join(name)).map_or(0, |file| file.len());
                let database: u64 =
                    ["state.db", "state.db-wal", "state.db-shm"].into_iter().map(size).sum();
                Ok(database + ledgers.size_bytes())
            })
            .await
    }
}

fn forget(transaction: &Transaction<'_>, sync: i64) -> Result<()> {
    unconfirmed::forget(transaction, sync)?;
    for table in ["watermarks", "marks", "backfills", "rejects", "jobs", "job_rows", "payloads"] {
        transaction
            .execute(&format!("DELETE FROM {table} WHERE sync = ?1"), [sync])
            .during("forgetting the sync's state")?;
    }
    Ok(())
}

fn state_of(connection: &Connection, sync: &SyncRow) -> Result<SyncState> {
    let (open_rejects, oldest_reject_at) = rejects::open(connection, sync.id)?;
    let open_backfills = connection
        .query_row("SELECT count(*) FROM backfills WHERE sync = ?1", [sync.id], |row| row.get(0))
        .during("counting the backfills")?;
    Ok(SyncState {
        sync: sync.name.clone(),
        watermark: progress::watermark(connection, sync.id)?,
        ledger_rows: 0,
        open_rejects,
        oldest_reject_at,
        open_backfills,
        unconfirmed_rows: unconfirmed::count(connection, sync.id)?,
        open_jobs: jobs::count(connection, sync.id)?,
        last_run: runs::list(connection, Some(&sync.name), 1)?.pop(),
        held_by: None,
    })
}
