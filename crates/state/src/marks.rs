//! The last snapshot of a sync whose every change is settled, as the source and the engine remember it.

use flow::{Mark, Result, StoredMark};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::checksum::{Checksum, verify};
use crate::fault::While;
use crate::progress::Written;

const MARKS: u8 = 9;

/// The mark of a sync.
pub(crate) fn get(connection: &Connection, sync: i64) -> Result<Option<StoredMark>> {
    let found = connection
        .prepare_cached(
            "SELECT mark, mapping, compared_at, run_id, at, sum FROM marks WHERE sync = ?1",
        )
        .and_then(|mut statement| {
            statement
                .query_row([sync], |row| {
                    let mark = row.get::<_, Option<String>>(0)?.map(Mark);
                    let stored =
                        StoredMark { mark, mapping: row.get(1)?, compared_at: row.get(2)? };
                    Ok((stored, row.get::<_, String>(3)?, row.get(4)?, row.get(5)?))
                })
                .optional()
        })
        .during("reading the mark")?;
    let Some((stored, run_id, at, expected)) = found else { return Ok(None) };
    verify("marks", expected, sum(sync, &stored, &Written { run_id: &run_id, at }))?;
    Ok(Some(stored))
}

/// Replaces the mark of a sync.
pub(crate) fn put(
    transaction: &Transaction<'_>,
    sync: i64,
    stored: &StoredMark,
    written: &Written<'_>,
) -> Result<()> {
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO marks (sync, mark, mapping, compared_at, run_id, at, sum) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                sync,
                stored.mark.as_ref().map(|mark| &mark.0),
                stored.mapping,
                stored.compared_at,
                written.run_id,
                written.at,
                sum(sync, stored, written)
            ])
        })
        .map(|_| ())
        .during("writing the mark")
}

/// The checksum of a mark.
pub(crate) fn sum(sync: i64, stored: &StoredMark, written: &Written<'_>) -> i64 {
    let mark = stored.mark.as_ref().map_or("", |mark| &mark.0);
    Checksum::default()
        .begin(MARKS)
        .int(sync)
        .maybe_int(stored.mark.as_ref().map(|_| 1))
        .bytes(mark.as_bytes())
        .bytes(stored.mapping.as_bytes())
        .int(stored.compared_at)
        .bytes(written.run_id.as_bytes())
        .int(written.at)
        .sum()
}
