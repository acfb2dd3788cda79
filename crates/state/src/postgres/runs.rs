//! Run history: what each run did, and which ended without saying so.

use flow::{Commit, Error, Result, RunCounts, RunRecord};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::keeper::Place;
use super::rejects::plain;
use super::session::Session;
use crate::checksum::mismatch;
use crate::codes;
use crate::runs::{RUNS_KEPT_MAX, STATUSES, TRIGGERS, no_run};

const READING: &str = "reading the run history";
const WRITING: &str = "writing the run history";

/// The columns of the counts, in the order of [`values`].
const COUNTS: &str = "read_rows, unchanged, created, updated, rejected, parked, requests, retries, \
     found_only_by_compare, gone, removed, gone_waiting, gone_ignored, gone_failed";
const COUNTS_NUMBER: usize = 14;

fn values(counts: &RunCounts) -> [i64; COUNTS_NUMBER] {
    [
        counts.read,
        counts.unchanged,
        counts.created,
        counts.updated,
        counts.rejected,
        counts.parked,
        counts.requests,
        counts.retries,
        counts.found_only_by_compare,
        counts.gone,
        counts.removed,
        counts.gone_waiting,
        counts.gone_ignored,
        counts.gone_failed,
    ]
    .map(u64::cast_signed)
}

/// `$from, $from+1, ...` for the counts.
fn places(from: usize) -> String {
    (from..from + COUNTS_NUMBER).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ")
}

/// Writes a run's start or end.
pub(super) async fn put(session: &Session, (sync, part): Place, run: &RunRecord) -> Result<()> {
    let sql = format!(
        "INSERT INTO runs (id, sync, part, trigger_kind, status, started_at, ended_at, error, wake_at, {COUNTS}) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, {places}) ON CONFLICT (id) DO UPDATE SET \
         status = excluded.status, ended_at = excluded.ended_at, error = excluded.error, wake_at = excluded.wake_at, \
         ({COUNTS}) = ROW ({places}) WHERE runs.sync = excluded.sync",
        places = places(10)
    );
    let (trigger, status) = (run.trigger.as_str(), run.status.as_str());
    let error = run.error.as_deref().map(plain);
    let counts = values(&run.counts);
    let mut all: Vec<&(dyn ToSql + Sync)> = vec![
        &run.id,
        &sync,
        &part,
        &trigger,
        &status,
        &run.started_at,
        &run.ended_at,
        &error,
        &run.wake_at,
    ];
    all.extend(counts.iter().map(|count| count as &(dyn ToSql + Sync)));
    let changed = session.execute(WRITING, &sql, &all).await?;
    if changed == 1 { Ok(()) } else { Err(no_run(&run.id)) }
}

/// Writes how far a run has come.
pub(super) async fn put_counts(session: &Session, sync: i64, commit: &Commit) -> Result<()> {
    let sql = format!(
        "UPDATE runs SET committed_at = $3, ({COUNTS}) = ROW ({}) WHERE id = $1 AND sync = $2",
        places(4)
    );
    let counts = values(&commit.counts);
    let mut all: Vec<&(dyn ToSql + Sync)> = vec![&commit.run_id, &sync, &commit.at];
    all.extend(counts.iter().map(|count| count as &(dyn ToSql + Sync)));
    let changed = session.execute(WRITING, &sql, &all).await?;
    if changed == 1 { Ok(()) } else { Err(no_run(&commit.run_id)) }
}

/// Marks runs as crashed that their process left unfinished. Their counts stay as last committed, and they ended, as far
/// as anyone knows, with their last commit. Forgets the oldest runs beyond the limit. Says whether there was an unfinished
/// one.
pub(super) async fn close_unfinished(session: &Session, (sync, part): Place) -> Result<bool> {
    let sql = "UPDATE runs SET status = 'crashed', ended_at = coalesce(committed_at, started_at), \
               error = 'the process ended without finishing the run' \
               WHERE sync = $1 AND part = $2 AND status = 'running'";
    let unfinished = session.execute(WRITING, sql, &[&sync, &part]).await?;
    let sql = "DELETE FROM runs WHERE sync = $1 AND status <> 'running' AND started_at < (SELECT started_at \
               FROM runs WHERE sync = $1 ORDER BY started_at DESC LIMIT 1 OFFSET $2)";
    session.execute(WRITING, sql, &[&sync, &i64::from(RUNS_KEPT_MAX - 1)]).await?;
    Ok(unfinished > 0)
}

/// The newest runs, newest first: of one sync, or of all.
pub(super) async fn list(
    session: &Session,
    sync: Option<&str>,
    limit: u64,
) -> Result<Vec<RunRecord>> {
    let sql = format!(
        "{} WHERE $1::text IS NULL OR syncs.name = $1 \
         ORDER BY started_at DESC, runs.id COLLATE \"C\" DESC LIMIT $2",
        select()
    );
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = session.rows(READING, &sql, &[&sync, &limit]).await?;
    rows.iter().map(read).collect()
}

/// The run whose id is, or begins with, `prefix`.
pub(super) async fn find(session: &Session, prefix: &str) -> Result<Option<RunRecord>> {
    let sql =
        format!("{} WHERE starts_with(runs.id, $1) ORDER BY runs.id = $1 DESC LIMIT 2", select());
    let rows = session.rows(READING, &sql, &[&plain(prefix)]).await?;
    match rows.as_slice() {
        [] => Ok(None),
        [first, _] if first.get::<_, &str>(0) != prefix => Err(Error::new(
            &codes::E3017_AMBIGUOUS_RUN,
            format!("More than one run begins with `{prefix}`."),
        )),
        [first, ..] => read(first).map(Some),
    }
}

fn select() -> String {
    format!(
        "SELECT runs.id, syncs.name, trigger_kind, status, started_at, ended_at, error, wake_at, {COUNTS} \
         FROM runs JOIN syncs ON syncs.id = runs.sync"
    )
}

fn read(row: &Row) -> Result<RunRecord> {
    let (trigger, status): (&str, &str) = (row.get(2), row.get(3));
    let wrong = || mismatch("runs");
    let count = |place: usize| row.get::<_, i64>(8 + place).cast_unsigned();
    Ok(RunRecord {
        id: row.get(0),
        sync: row.get(1),
        trigger: TRIGGERS.into_iter().find(|one| one.as_str() == trigger).ok_or_else(wrong)?,
        status: STATUSES.into_iter().find(|one| one.as_str() == status).ok_or_else(wrong)?,
        started_at: row.get(4),
        ended_at: row.get(5),
        error: row.get(6),
        wake_at: row.get(7),
        counts: RunCounts {
            read: count(0),
            unchanged: count(1),
            created: count(2),
            updated: count(3),
            rejected: count(4),
            parked: count(5),
            requests: count(6),
            retries: count(7),
            found_only_by_compare: count(8),
            gone: count(9),
            removed: count(10),
            gone_waiting: count(11),
            gone_ignored: count(12),
            gone_failed: count(13),
        },
    })
}
