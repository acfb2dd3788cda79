//! How far syncs and backfills have come, to the microsecond and the byte (R4).

use flow::{BackfillProgress, Key, Position, Result, StoredWatermark, Watermark};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::checksum::{Checksum, verify};
use crate::fault::While;

const WATERMARKS: u8 = 3;
const BACKFILLS: u8 = 4;

/// The run and the moment a row was written by.
pub(crate) struct Written<'a> {
    pub(crate) run_id: &'a str,
    pub(crate) at: i64,
}

/// The watermark of a sync.
pub(crate) fn watermark(connection: &Connection, sync: i64) -> Result<Option<StoredWatermark>> {
    let doing = "reading the watermark";
    let found: Option<(String, i64, String, String, i64, i64)> = connection
        .prepare_cached(
            "SELECT column_name, watermark, mapping, run_id, at, sum FROM watermarks WHERE sync = ?1",
        )
        .and_then(|mut statement| {
            statement
                .query_row([sync], |row| {
                    let (run_id, at, sum) = (row.get(3)?, row.get(4)?, row.get(5)?);
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, run_id, at, sum))
                })
                .optional()
        })
        .during(doing)?;
    let Some((column, watermark, mapping, run_id, at, sum)) = found else { return Ok(None) };
    let stored = StoredWatermark { column, watermark: Watermark(watermark), mapping };
    verify("watermarks", sum, watermark_sum(sync, &stored, &Written { run_id: &run_id, at }))?;
    Ok(Some(stored))
}

/// Replaces the watermark of a sync.
pub(crate) fn put_watermark(
    transaction: &Transaction<'_>,
    sync: i64,
    stored: &StoredWatermark,
    written: &Written<'_>,
) -> Result<()> {
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO watermarks (sync, column_name, watermark, mapping, run_id, at, sum) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                sync,
                stored.column,
                stored.watermark.0,
                stored.mapping,
                written.run_id,
                written.at,
                watermark_sum(sync, stored, written)
            ])
        })
        .map(|_| ())
        .during("writing the watermark")
}

pub(crate) fn watermark_sum(sync: i64, stored: &StoredWatermark, written: &Written<'_>) -> i64 {
    Checksum::default()
        .begin(WATERMARKS)
        .int(sync)
        .bytes(stored.column.as_bytes())
        .int(stored.watermark.0)
        .bytes(stored.mapping.as_bytes())
        .bytes(written.run_id.as_bytes())
        .int(written.at)
        .sum()
}

/// The progress of a backfill.
pub(crate) fn backfill(
    connection: &Connection,
    sync: i64,
    spec: &str,
) -> Result<Option<BackfillProgress>> {
    let doing = "reading the progress of a backfill";
    let found: Option<(Option<i64>, String, i64, i64, i64)> = connection
        .prepare_cached(
            "SELECT after_watermark, after_key, settled_rows, at, sum FROM backfills \
             WHERE sync = ?1 AND spec = ?2",
        )
        .and_then(|mut statement| {
            statement
                .query_row((sync, spec), |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
                })
                .optional()
        })
        .during(doing)?;
    let Some((watermark, key, rows, at, sum)) = found else { return Ok(None) };
    let progress = BackfillProgress {
        spec: spec.to_owned(),
        after: Position { watermark: watermark.map(Watermark), key: Key::from_stored(key) },
        rows: rows.cast_unsigned(),
    };
    verify("backfills", sum, backfill_sum(sync, &progress, at))?;
    Ok(Some(progress))
}

/// Replaces the progress of a backfill.
pub(crate) fn put_backfill(
    transaction: &Transaction<'_>,
    sync: i64,
    progress: &BackfillProgress,
    at: i64,
) -> Result<()> {
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO backfills \
             (sync, spec, after_watermark, after_key, settled_rows, at, sum) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                sync,
                progress.spec,
                progress.after.watermark.map(|watermark| watermark.0),
                progress.after.key.as_str(),
                progress.rows.cast_signed(),
                at,
                backfill_sum(sync, progress, at)
            ])
        })
        .map(|_| ())
        .during("writing the progress of a backfill")
}

pub(crate) fn backfill_sum(sync: i64, progress: &BackfillProgress, at: i64) -> i64 {
    Checksum::default()
        .begin(BACKFILLS)
        .int(sync)
        .bytes(progress.spec.as_bytes())
        .maybe_int(progress.after.watermark.map(|watermark| watermark.0))
        .bytes(progress.after.key.as_str().as_bytes())
        .int(progress.rows.cast_signed())
        .int(at)
        .sum()
}

/// Forgets the progress of a backfill.
pub(crate) fn end_backfill(transaction: &Transaction<'_>, sync: i64, spec: &str) -> Result<()> {
    transaction
        .execute("DELETE FROM backfills WHERE sync = ?1 AND spec = ?2", (sync, spec))
        .map(|_| ())
        .during("forgetting the progress of a backfill")
}
