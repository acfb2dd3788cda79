//! Open rejects: rows that did not land and wait for a retry or a decision.

use flow::{Key, Reject, RejectRecord, Result};
use tokio_postgres::Row;

use super::progress::key;
use super::session::{Params, Session};
use crate::progress::Written;
use crate::rejects::{RejectFilter, RejectGroup, kept_reason, subjects};

const READING: &str = "reading the rejects";
const WRITING: &str = "writing the rejects";

/// A text without what text here cannot hold.
pub(super) fn plain(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

/// Writes rejects. The open reject of the same row is replaced and keeps when it was first refused; rows whose key is NULL
/// are counted per cause. The count is that of the last run that saw the row.
pub(super) async fn put(
    session: &Session,
    sync: i64,
    rejects: &[Reject],
    written: &Written<'_>,
) -> Result<()> {
    let (with_key, without): (Vec<_>, Vec<_>) =
        subjects(rejects).into_iter().partition(|(reject, _)| reject.key.is_some());
    for (some, unique) in [
        (with_key, "(sync, key) WHERE key IS NOT NULL"),
        (without, "(sync, stage, code, coalesce(field, '')) WHERE key IS NULL"),
    ] {
        if !some.is_empty() {
            put_some(session, sync, (&some, unique), written).await?;
        }
    }
    Ok(())
}

async fn put_some(
    session: &Session,
    sync: i64,
    (some, unique): (&[(&Reject, u64)], &str),
    written: &Written<'_>,
) -> Result<()> {
    let rejects = || some.iter().map(|(reject, _)| *reject);
    let keys: Vec<Option<&[u8]>> =
        rejects().map(|reject| reject.key.as_ref().map(|key| key.as_str().as_bytes())).collect();
    let stages: Vec<&str> = rejects().map(|reject| reject.stage.as_str()).collect();
    let codes: Vec<&str> = rejects().map(|reject| reject.code.id).collect();
    let fields: Vec<Option<String>> =
        rejects().map(|reject| reject.field.as_deref().map(plain)).collect();
    let reasons: Vec<String> = rejects().map(|reject| plain(&kept_reason(reject))).collect();
    let counts: Vec<i64> = some.iter().map(|(_, rows)| rows.cast_signed()).collect();
    // The same rows are read again and again; only within one run do their numbers add up.
    let sql = format!(
        "INSERT INTO rejects (sync, key, stage, code, field, reason, row_count, first_at, last_at, run_id) \
         SELECT $1::bigint, new.*, $8::bigint, $8::bigint, $9::text FROM unnest($2::bytea[], $3::text[], \
         $4::text[], $5::text[], $6::text[], $7::bigint[]) AS new ON CONFLICT {unique} DO UPDATE SET \
         stage = excluded.stage, code = excluded.code, field = excluded.field, reason = excluded.reason, \
         last_at = excluded.last_at, run_id = excluded.run_id, \
         row_count = excluded.row_count + CASE WHEN rejects.run_id = excluded.run_id \
         AND rejects.stage = excluded.stage AND rejects.code = excluded.code \
         THEN rejects.row_count ELSE 0 END"
    );
    let values: Params<'_> =
        &[&sync, &keys, &stages, &codes, &fields, &reasons, &counts, &written.at, &written.run_id];
    session.execute(WRITING, &sql, values).await.map(drop)
}

/// Closes the open rejects of these rows.
pub(super) async fn resolve(session: &Session, sync: i64, keys: &[Key]) -> Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_str().as_bytes()).collect();
    let sql = "DELETE FROM rejects WHERE sync = $1 AND key = ANY ($2::bytea[])";
    session.execute(WRITING, sql, &[&sync, &keys]).await.map(drop)
}

/// Deletes open rejects by number, and says how many there were.
pub(super) async fn discard(session: &Session, ids: &[i64]) -> Result<u64> {
    session.execute(WRITING, "DELETE FROM rejects WHERE id = ANY ($1)", &[&ids]).await
}

/// Rows with an open reject, and when the oldest was first refused.
pub(super) async fn open(session: &Session, sync: i64) -> Result<(u64, Option<i64>)> {
    let sql =
        "SELECT coalesce(sum(row_count), 0)::bigint, min(first_at) FROM rejects WHERE sync = $1";
    let row = session.row(READING, sql, &[&sync]).await?;
    Ok(row.map_or((0, None), |row| (row.get::<_, i64>(0).cast_unsigned(), row.get(1))))
}

/// Keys of rows with an open reject of one of these codes, or of any, that the run `seen_by` did not see, oldest first.
pub(super) async fn keys(
    session: &Session,
    sync: i64,
    codes: Option<&[String]>,
    (seen_by, rows_max): (&str, usize),
) -> Result<Vec<Key>> {
    let sql = "SELECT key FROM rejects WHERE sync = $1 AND ($2::text[] IS NULL OR code = ANY ($2)) \
               AND key IS NOT NULL AND run_id <> $4 ORDER BY array_position($2, code), id LIMIT $3";
    let rows_max = i64::try_from(rows_max).unwrap_or(i64::MAX);
    let rows = session.rows(READING, sql, &[&sync, &codes, &rows_max, &seen_by]).await?;
    rows.iter().map(|row| key(row.get(0), "rejects")).collect()
}

/// Open rejects, oldest first.
pub(super) async fn list(session: &Session, filter: &RejectFilter) -> Result<Vec<RejectRecord>> {
    let sql = "SELECT rejects.id, syncs.name, key, stage, code, field, reason, row_count, first_at, \
               last_at, run_id FROM rejects JOIN syncs ON syncs.id = rejects.sync \
               WHERE ($1::text IS NULL OR syncs.name = $1) AND ($2::text IS NULL OR code = $2) \
               AND ($3::bytea IS NULL OR key = $3) ORDER BY rejects.id";
    let wanted = filter.key.as_deref().map(str::as_bytes);
    let rows = session.rows(READING, sql, &[&filter.sync, &filter.code, &wanted]).await?;
    rows.iter().map(read).collect()
}

/// Open rejects by cause, the most frequent first.
pub(super) async fn groups(session: &Session, sync: Option<&str>) -> Result<Vec<RejectGroup>> {
    let sql = "SELECT syncs.name, stage, code, field, sum(row_count)::bigint, min(first_at) \
               FROM rejects JOIN syncs ON syncs.id = rejects.sync \
               WHERE $1::text IS NULL OR syncs.name = $1 GROUP BY syncs.name, stage, code, field \
               ORDER BY sum(row_count) DESC, syncs.name COLLATE \"C\", code COLLATE \"C\", \
               field COLLATE \"C\" NULLS FIRST";
    let rows = session.rows(READING, sql, &[&sync]).await?;
    let group = |row: &Row| RejectGroup {
        sync: row.get(0),
        stage: row.get(1),
        code: row.get(2),
        field: row.get(3),
        rows: row.get::<_, i64>(4).cast_unsigned(),
        oldest_at: row.get(5),
    };
    Ok(rows.iter().map(group).collect())
}

fn read(row: &Row) -> Result<RejectRecord> {
    let key = row.get::<_, Option<Vec<u8>>>(2).map(|bytes| key(bytes, "rejects")).transpose()?;
    Ok(RejectRecord {
        id: row.get(0),
        sync: row.get(1),
        key: key.map(|key| key.as_str().to_owned()),
        stage: row.get(3),
        code: row.get(4),
        field: row.get(5),
        reason: row.get(6),
        rows: row.get::<_, i64>(7).cast_unsigned(),
        first_at: row.get(8),
        last_at: row.get(9),
        run_id: row.get(10),
    })
}
