//! Run history: what each run did, and which ended without saying so.

use flow::{Commit, Error, Result, RunCounts, RunRecord, RunStatus, Trigger};
use rusqlite::types::Type;
use rusqlite::{Connection, Row, Transaction, named_params, params};

use crate::codes;
use crate::fault::While;

const READING: &str = "reading the run history";
const WRITING: &str = "writing the run history";
/// Runs of one sync that are remembered.
pub(crate) const RUNS_KEPT_MAX: u32 = 10_000;

const SELECT: &str = "SELECT runs.id, syncs.name, trigger_kind, status, started_at, ended_at, read_rows, \
     unchanged, created, updated, rejected, parked, requests, retries, error, \
     gone, removed, gone_waiting, gone_ignored, gone_failed, found_only_by_compare, wake_at \
     FROM runs JOIN syncs ON syncs.id = runs.sync";

/// What may start a run.
pub(crate) const TRIGGERS: [Trigger; 4] =
    [Trigger::Manual, Trigger::Schedule, Trigger::Event, Trigger::Backfill];

/// How a run may end.
pub(crate) const STATUSES: [RunStatus; 8] = [
    RunStatus::Running,
    RunStatus::Ok,
    RunStatus::Partial,
    RunStatus::Failed,
    RunStatus::Guarded,
    RunStatus::Parked,
    RunStatus::Interrupted,
    RunStatus::Crashed,
];

/// Writes a run's start or end.
pub(crate) fn put(transaction: &Transaction<'_>, sync: i64, run: &RunRecord) -> Result<()> {
    let counts = &run.counts;
    let changed = transaction
        .prepare_cached(
            "INSERT INTO runs (id, sync, trigger_kind, status, started_at, ended_at, read_rows, unchanged, \
             created, updated, rejected, parked, requests, retries, error, gone, removed, gone_waiting, \
             gone_ignored, gone_failed, found_only_by_compare, wake_at) \
             VALUES (:id, :sync, :trigger, :status, :started_at, :ended_at, :read, :unchanged, \
             :created, :updated, :rejected, :parked, :requests, :retries, :error, :gone, :removed, \
             :gone_waiting, :gone_ignored, :gone_failed, :found_only_by_compare, :wake_at) \
             ON CONFLICT (id) DO UPDATE SET status = :status, ended_at = :ended_at, read_rows = :read, \
             unchanged = :unchanged, created = :created, updated = :updated, rejected = :rejected, \
             parked = :parked, requests = :requests, retries = :retries, error = :error, \
             gone = :gone, removed = :removed, gone_waiting = :gone_waiting, \
             gone_ignored = :gone_ignored, gone_failed = :gone_failed, \
             found_only_by_compare = :found_only_by_compare, wake_at = :wake_at WHERE sync = :sync",
        )
        .and_then(|mut statement| {
            statement.execute(named_params! {
                ":id": run.id,
                ":sync": sync,
                ":trigger": run.trigger.as_str(),
                ":status": run.status.as_str(),
                ":started_at": run.started_at,
                ":ended_at": run.ended_at,
                ":read": counts.read,
                ":unchanged": counts.unchanged,
                ":created": counts.created,
                ":updated": counts.updated,
                ":rejected": counts.rejected,
                ":parked": counts.parked,
                ":requests": counts.requests,
                ":retries": counts.retries,
                ":found_only_by_compare": counts.found_only_by_compare,
                ":error": run.error,
                ":gone": counts.gone,
                ":removed": counts.removed,
                ":gone_waiting": counts.gone_waiting,
                ":gone_ignored": counts.gone_ignored,
                ":gone_failed": counts.gone_failed,
                ":wake_at": run.wake_at,
            })
        })
        .during(WRITING)?;
    if changed == 1 { Ok(()) } else { Err(no_run(&run.id)) }
}

/// Writes how far a run has come.
pub(crate) fn put_counts(transaction: &Transaction<'_>, sync: i64, commit: &Commit) -> Result<()> {
    let counts = &commit.counts;
    let changed = transaction
        .prepare_cached(
            "UPDATE runs SET committed_at = ?3, read_rows = ?4, unchanged = ?5, created = ?6, updated = ?7, \
             rejected = ?8, parked = ?9, requests = ?10, retries = ?11, gone = ?12, removed = ?13, \
             gone_waiting = ?14, gone_ignored = ?15, gone_failed = ?16, \
             found_only_by_compare = ?17 WHERE id = ?1 AND sync = ?2",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                commit.run_id,
                sync,
                commit.at,
                counts.read,
                counts.unchanged,
                counts.created,
                counts.updated,
                counts.rejected,
                counts.parked,
                counts.requests,
                counts.retries,
                counts.gone,
                counts.removed,
                counts.gone_waiting,
                counts.gone_ignored,
                counts.gone_failed,
                counts.found_only_by_compare
            ])
        })
        .during(WRITING)?;
    if changed == 1 { Ok(()) } else { Err(no_run(&commit.run_id)) }
}

/// The run was never begun for its sync.
pub(crate) fn no_run(id: &str) -> Error {
    Error::new(&codes::E3016_NO_RUN, format!("Run {id} was not begun for this sync."))
}

/// Marks runs as crashed that their process left unfinished. Their counts stay as last committed, and they
/// ended, as far as anyone knows, with their last commit. Forgets the oldest runs beyond the limit. Says whether there
/// was an unfinished one.
pub(crate) fn close_unfinished(transaction: &Transaction<'_>, sync: i64) -> Result<bool> {
    let unfinished = transaction
        .execute(
            "UPDATE runs SET status = 'crashed', ended_at = coalesce(committed_at, started_at), \
             error = 'the process ended without finishing the run' \
             WHERE sync = ?1 AND status = 'running'",
            [sync],
        )
        .during(WRITING)?;
    transaction
        .execute(
            "DELETE FROM runs WHERE sync = ?1 AND started_at < (SELECT started_at FROM runs \
             WHERE sync = ?1 ORDER BY started_at DESC LIMIT 1 OFFSET ?2)",
            (sync, RUNS_KEPT_MAX - 1),
        )
        .during(WRITING)?;
    Ok(unfinished > 0)
}

/// The newest runs, newest first: of one sync, or of all.
pub(crate) fn list(
    connection: &Connection,
    sync: Option<&str>,
    limit: u64,
) -> Result<Vec<RunRecord>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    connection
        .prepare(&format!(
            "{SELECT} WHERE ?1 IS NULL OR syncs.name = ?1 ORDER BY started_at DESC, runs.id DESC LIMIT ?2"
        ))
        .during(READING)?
        .query_map(params![sync, limit], read)
        .during(READING)?
        .collect::<rusqlite::Result<_>>()
        .during(READING)
}

/// The run whose id is, or begins with, `prefix`.
pub(crate) fn find(connection: &Connection, prefix: &str) -> Result<Option<RunRecord>> {
    let mut statement = connection
        .prepare(&format!(
            "{SELECT} WHERE substr(runs.id, 1, length(?1)) = ?1 ORDER BY runs.id = ?1 DESC LIMIT 2"
        ))
        .during(READING)?;
    let mut found: Vec<RunRecord> = statement
        .query_map([prefix], read)
        .during(READING)?
        .collect::<rusqlite::Result<_>>()
        .during(READING)?;
    let several = found.len() > 1;
    match found.is_empty() {
        true => Ok(None),
        false if several && found[0].id != prefix => Err(Error::new(
            &codes::E3017_AMBIGUOUS_RUN,
            format!("More than one run begins with `{prefix}`."),
        )),
        false => Ok(Some(found.swap_remove(0))),
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    Ok(RunRecord {
        id: row.get(0)?,
        sync: row.get(1)?,
        trigger: named(row, 2, &TRIGGERS, Trigger::as_str)?,
        status: named(row, 3, &STATUSES, RunStatus::as_str)?,
        started_at: row.get(4)?,
        ended_at: row.get(5)?,
        counts: RunCounts {
            read: row.get(6)?,
            unchanged: row.get(7)?,
            created: row.get(8)?,
            updated: row.get(9)?,
            rejected: row.get(10)?,
            parked: row.get(11)?,
            requests: row.get(12)?,
            retries: row.get(13)?,
            gone: row.get(15)?,
            removed: row.get(16)?,
            gone_waiting: row.get(17)?,
            gone_ignored: row.get(18)?,
            gone_failed: row.get(19)?,
            found_only_by_compare: row.get(20)?,
        },
        error: row.get(14)?,
        wake_at: row.get(21)?,
    })
}

/// The value whose word the column holds.
fn named<T: Copy>(
    row: &Row<'_>,
    column: usize,
    all: &[T],
    word: fn(T) -> &'static str,
) -> rusqlite::Result<T> {
    let stored: String = row.get(column)?;
    all.iter().copied().find(|value| word(*value) == stored).ok_or_else(|| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, "an unknown word".into())
    })
}
