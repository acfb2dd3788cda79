//! Open rejects: rows that did not land and wait for a retry or a decision.

use std::collections::BTreeMap;

use flow::{Key, Reject, RejectRecord, Result};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::fault::While;
use crate::progress::Written;

const READING: &str = "reading the rejects";
const WRITING: &str = "writing the rejects";
/// Characters of a reason that are kept; a destination may answer with a page of HTML.
const REASON_CHARS_MAX: usize = 2_000;

const SELECT: &str = "SELECT rejects.id, syncs.name, key, stage, code, field, reason, row_count, first_at, last_at, \
     run_id FROM rejects JOIN syncs ON syncs.id = rejects.sync";

/// Which open rejects; a `None` does not narrow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RejectFilter {
    /// Of this sync.
    pub sync: Option<String>,
    /// With this error code.
    pub code: Option<String>,
    /// Of the row with this key, as [`flow::Key::as_str`] gives it.
    pub key: Option<String>,
}

/// Open rejects of one sync with the same cause.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RejectGroup {
    /// The sync.
    pub sync: String,
    /// `validate` or `destination`.
    pub stage: String,
    /// Error code.
    pub code: String,
    /// Field or column at fault.
    pub field: Option<String>,
    /// Rows of the model that did not land for this cause.
    pub rows: u64,
    /// When the oldest of them was first refused, in microseconds since 1970.
    pub oldest_at: i64,
}

/// What one commit says about one row, or about the rows without a key that share a cause.
type Subject<'a> = (Option<&'a Key>, Option<(&'static str, &'static str, Option<&'a str>)>);

/// Writes rejects. The open reject of the same row is replaced and keeps when it was first refused; rows whose
/// key is NULL are counted per cause. The count is that of the last run that saw the row.
pub(crate) fn put(
    transaction: &Transaction<'_>,
    sync: i64,
    rejects: &[Reject],
    written: &Written<'_>,
) -> Result<()> {
    for (reject, rows) in subjects(rejects) {
        put_one(transaction, sync, (reject, rows), written)?;
    }
    Ok(())
}

/// One reject per row, or per cause of rows without a key, and for how many rows it stands.
pub(crate) fn subjects(rejects: &[Reject]) -> Vec<(&Reject, u64)> {
    let mut subjects: BTreeMap<Subject<'_>, (&Reject, u64)> = BTreeMap::new();
    for reject in rejects {
        let cause = (reject.stage.as_str(), reject.code.id, reject.field.as_deref());
        let subject = (reject.key.as_ref(), reject.key.is_none().then_some(cause));
        let known = subjects.entry(subject).or_insert((reject, 0));
        known.1 = if same_cause(known.0, reject) { known.1 + 1 } else { 1 };
        known.0 = reject;
    }
    subjects.into_values().collect()
}

/// As much of the reason as is kept.
pub(crate) fn kept_reason(reject: &Reject) -> String {
    reject.reason.chars().take(REASON_CHARS_MAX).collect()
}

fn same_cause(a: &Reject, b: &Reject) -> bool {
    (a.stage, a.code.id) == (b.stage, b.code.id)
}

fn put_one(
    transaction: &Transaction<'_>,
    sync: i64,
    (reject, rows): (&Reject, u64),
    written: &Written<'_>,
) -> Result<()> {
    let reason = kept_reason(reject);
    let (stage, code) = (reject.stage.as_str(), reject.code.id);
    let Some(id) = open_one(transaction, sync, reject)? else {
        return transaction
            .prepare_cached(
                "INSERT INTO rejects (sync, key, stage, code, field, reason, row_count, first_at, last_at, run_id) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9)",
            )
            .and_then(|mut statement| {
                statement.execute(params![
                    sync,
                    reject.key.as_ref().map(Key::as_str),
                    stage,
                    code,
                    reject.field,
                    reason,
                    rows,
                    written.at,
                    written.run_id
                ])
            })
            .map(|_| ())
            .during(WRITING);
    };
    // The same rows are read again and again; only within one run do their numbers add up.
    transaction
        .prepare_cached(
            "UPDATE rejects SET stage = ?2, code = ?3, field = ?4, reason = ?5, last_at = ?7, run_id = ?8, \
             row_count = CASE WHEN run_id = ?8 AND stage = ?2 AND code = ?3 THEN row_count + ?6 ELSE ?6 END \
             WHERE id = ?1",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                id,
                stage,
                code,
                reject.field,
                reason,
                rows,
                written.at,
                written.run_id
            ])
        })
        .map(|_| ())
        .during(WRITING)
}

/// The number of the open reject that `reject` replaces.
fn open_one(transaction: &Transaction<'_>, sync: i64, reject: &Reject) -> Result<Option<i64>> {
    let found = match &reject.key {
        Some(key) => transaction
            .prepare_cached("SELECT id FROM rejects WHERE sync = ?1 AND key = ?2")
            .and_then(|mut statement| {
                statement.query_row((sync, key.as_str()), |row| row.get(0)).optional()
            }),
        None => transaction
            .prepare_cached(
                "SELECT id FROM rejects WHERE sync = ?1 AND stage = ?2 AND code = ?3 \
                 AND ifnull(field, '') = ifnull(?4, '') AND key IS NULL",
            )
            .and_then(|mut statement| {
                statement
                    .query_row(
                        params![sync, reject.stage.as_str(), reject.code.id, reject.field],
                        |row| row.get(0),
                    )
                    .optional()
            }),
    };
    found.during(READING)
}

/// Closes the open rejects of these rows.
pub(crate) fn resolve(transaction: &Transaction<'_>, sync: i64, keys: &[Key]) -> Result<()> {
    let mut statement = transaction
        .prepare_cached("DELETE FROM rejects WHERE sync = ?1 AND key = ?2")
        .during(WRITING)?;
    for key in keys {
        statement.execute((sync, key.as_str())).during(WRITING)?;
    }
    Ok(())
}

/// Deletes open rejects by number, and says how many there were.
pub(crate) fn discard(transaction: &Transaction<'_>, ids: &[i64]) -> Result<u64> {
    let mut statement = transaction.prepare("DELETE FROM rejects WHERE id = ?1").during(WRITING)?;
    let mut discarded = 0;
    for id in ids {
        discarded += statement.execute([id]).during(WRITING)? as u64;
    }
    Ok(discarded)
}

/// Rows with an open reject, and when the oldest was first refused.
pub(crate) fn open(connection: &Connection, sync: i64) -> Result<(u64, Option<i64>)> {
    connection
        .prepare_cached(
            "SELECT coalesce(sum(row_count), 0), min(first_at) FROM rejects WHERE sync = ?1",
        )
        .and_then(|mut statement| statement.query_row([sync], |row| Ok((row.get(0)?, row.get(1)?))))
        .during(READING)
}

/// Keys of rows with an open reject of one of these codes, or of any, that the run `seen_by` did not see, oldest first.
pub(crate) fn keys(
    connection: &Connection,
    sync: i64,
    codes: Option<&[String]>,
    (seen_by, rows_max): (&str, usize),
) -> Result<Vec<Key>> {
    let mut statement = connection
        .prepare_cached(
            "SELECT key FROM rejects WHERE sync = ?1 AND (?2 IS NULL OR code = ?2) AND key IS NOT NULL \
             AND run_id <> ?4 ORDER BY id LIMIT ?3",
        )
        .during(READING)?;
    let mut keys = Vec::new();
    let codes: Vec<_> = match codes {
        Some(codes) => codes.iter().map(Some).collect(),
        None => vec![None],
    };
    for code in codes {
        let left = i64::try_from(rows_max - keys.len()).unwrap_or(i64::MAX);
        let found = statement
            .query_map(params![sync, code, left, seen_by], |row| row.get::<_, String>(0))
            .during(READING)?;
        for key in found {
            keys.push(Key::from_stored(key.during(READING)?));
        }
    }
    Ok(keys)
}

/// Open rejects, oldest first.
pub(crate) fn list(connection: &Connection, filter: &RejectFilter) -> Result<Vec<RejectRecord>> {
    connection
        .prepare(&format!(
            "{SELECT} WHERE (?1 IS NULL OR syncs.name = ?1) AND (?2 IS NULL OR code = ?2) \
             AND (?3 IS NULL OR key = ?3) ORDER BY rejects.id"
        ))
        .during(READING)?
        .query_map(params![filter.sync, filter.code, filter.key], read)
        .during(READING)?
        .collect::<rusqlite::Result<_>>()
        .during(READING)
}

/// Open rejects by cause, the most frequent first.
pub(crate) fn groups(connection: &Connection, sync: Option<&str>) -> Result<Vec<RejectGroup>> {
    connection
        .prepare(
            "SELECT syncs.name, stage, code, field, sum(row_count), min(first_at) \
             FROM rejects JOIN syncs ON syncs.id = rejects.sync WHERE ?1 IS NULL OR syncs.name = ?1 \
             GROUP BY syncs.name, stage, code, field ORDER BY sum(row_count) DESC, syncs.name, code, field",
        )
        .during(READING)?
        .query_map([sync], |row| {
            Ok(RejectGroup {
                sync: row.get(0)?,
                stage: row.get(1)?,
                code: row.get(2)?,
                field: row.get(3)?,
                rows: row.get(4)?,
                oldest_at: row.get(5)?,
            })
        })
        .during(READING)?
        .collect::<rusqlite::Result<_>>()
        .during(READING)
}

fn read(row: &Row<'_>) -> rusqlite::Result<RejectRecord> {
    Ok(RejectRecord {
        id: row.get(0)?,
        sync: row.get(1)?,
        key: row.get(2)?,
        stage: row.get(3)?,
        code: row.get(4)?,
        field: row.get(5)?,
        reason: row.get(6)?,
        rows: row.get(7)?,
        first_at: row.get(8)?,
        last_at: row.get(9)?,
        run_id: row.get(10)?,
    })
}
