//! The quota ledger in a file of its own beside the state: one page of text per account, changed in one short transaction.
//!
//! It is not part of the state: it says what happened within the last windows, is written several times a second while
//! something is sent, and must wait for no commit. Losing it costs a window of waiting at most, so that a damaged file is
//! put aside and begun anew.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use flow::{Clock, Error, QuotaChange, QuotaMoment, QuotaStore, Result};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::worker::Worker;
use crate::{codes, directory, process};

/// How long a conversation waits for another process's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// The table; what stands on a page is the business of those who write it.
const SCHEMA: &str = include_str!("../../../sql/state/quota.sql");

/// The quota ledger of one state directory. Opening it is pure: the file is made when it is first used.
pub struct QuotaFile {
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    worker: Mutex<Option<Arc<Worker>>>,
    names: AtomicU64,
}

impl std::fmt::Debug for QuotaFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "QuotaFile({})", self.dir.display())
    }
}

impl QuotaFile {
    /// The ledger in `dir`, the directory of the state.
    pub fn new(dir: &Path, clock: Arc<dyn Clock>) -> Self {
        Self { dir: dir.to_owned(), clock, worker: Mutex::default(), names: AtomicU64::new(0) }
    }

    fn worker(&self) -> Result<Arc<Worker>> {
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(worker) = &*worker {
            return Ok(Arc::clone(worker));
        }
        directory::prepare(&self.dir)?;
        let path = self.dir.join("quota.db");
        let started = Arc::new(Worker::start("state-quota", open(&path)?)?);
        Ok(Arc::clone(worker.insert(started)))
    }
}

#[async_trait]
impl QuotaStore for QuotaFile {
    fn name(&self) -> String {
        // A second connection of this process is somebody else, and lives as long.
        format!("{} {}", process::name(), self.names.fetch_add(1, Ordering::Relaxed))
    }

    async fn change(&self, account: &str, change: QuotaChange) -> Result<()> {
        let worker = self.worker()?;
        let (account, clock) = (account.to_owned(), Arc::clone(&self.clock));
        let changed =
            worker.run(move |connection| apply(connection, (&account, change), &*clock)).await;
        if let Err(error) = &changed
            && error.code() == &codes::E3071_QUOTA_DAMAGED
        {
            // The next conversation begins a new file.
            *self.worker.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        changed
    }
}

/// Opens the file, making it where it is missing; one that cannot be read is put aside.
fn open(path: &Path) -> Result<Connection> {
    match connect(path) {
        Err(error) if error.code() == &codes::E3071_QUOTA_DAMAGED => {
            tracing::warn!(path = %path.display(), %error, "the quota ledger is begun anew");
            for name in ["quota.db", "quota.db-wal", "quota.db-shm"] {
                let old = path.with_file_name(name);
                let _ = std::fs::rename(&old, path.with_file_name(format!("{name}.damaged")));
            }
            connect(path)
        }
        opened => opened,
    }
}

fn connect(path: &Path) -> Result<Connection> {
    let opened = || -> rusqlite::Result<Connection> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // A page survives a kill of the process; a crash of the machine takes longer than a window.
        connection.pragma_update(None, "synchronous", "OFF")?;
        connection.pragma_update(None, "cell_size_check", "ON")?;
        connection.pragma_update(None, "trusted_schema", "OFF")?;
        connection.execute_batch(SCHEMA)?;
        Ok(connection)
    };
    let connection = opened().map_err(|error| failed("opening the quota ledger", error))?;
    directory::protect_file(path)?;
    Ok(connection)
}

fn apply(
    connection: &mut Connection,
    (account, change): (&str, QuotaChange),
    clock: &dyn Clock,
) -> Result<()> {
    let wall_micros = clock.now_micros();
    let moved = || -> rusqlite::Result<()> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let page: Option<String> = transaction
            .prepare_cached("SELECT page FROM accounts WHERE account = ?1")?
            .query_row([account], |row| row.get(0))
            .optional()?;
        // Only now, as others may have been waited for.
        let (name, micros) = process::shared_now().unwrap_or(("wall", wall_micros));
        let moment = QuotaMoment { clock: name, micros, wall_micros, is_gone: &process::is_gone };
        if let Some(page) = change(page.as_deref(), &moment) {
            transaction
                .prepare_cached(
                    "INSERT INTO accounts (account, page) VALUES (?1, ?2) \
                     ON CONFLICT (account) DO UPDATE SET page = ?2",
                )?
                .execute([account, &page])?;
        }
        transaction.commit()
    };
    moved().map_err(|error| failed("changing the quota ledger", error))
}

fn failed(doing: &str, error: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    let damaged = matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
        || matches!(&error, rusqlite::Error::InvalidColumnType(..));
    let code = if damaged { &codes::E3071_QUOTA_DAMAGED } else { &codes::E3070_QUOTA_FILE };
    Error::new(code, format!("{} while {doing}: {error}.", code.title.trim_end_matches('.')))
        .with_source(error)
}
