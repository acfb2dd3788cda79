//! How far syncs and backfills have come, and what a sync's memory is about (R4).

use flow::{
    BackfillProgress, Key, Mark, Position, Result, StoredMark, StoredWatermark, Target, Watermark,
};

use super::session::Session;
use crate::checksum::{mismatch, verify};
use crate::progress::{Written, backfill_sum, watermark_sum};
use crate::{marks, target};

/// A key as it was stored.
pub(super) fn key(bytes: Vec<u8>, table: &str) -> Result<Key> {
    String::from_utf8(bytes).map(Key::from_stored).map_err(|_| mismatch(table))
}

/// The watermark of a sync.
pub(super) async fn watermark(session: &Session, sync: i64) -> Result<Option<StoredWatermark>> {
    let sql =
        "SELECT column_name, watermark, mapping, run_id, at, sum FROM watermarks WHERE sync = $1";
    let Some(row) = session.row("reading the watermark", sql, &[&sync]).await? else {
        return Ok(None);
    };
    let stored = StoredWatermark {
        column: row.get(0),
        watermark: Watermark(row.get(1)),
        mapping: row.get(2),
    };
    let written = Written { run_id: row.get(3), at: row.get(4) };
    verify("watermarks", row.get(5), watermark_sum(sync, &stored, &written))?;
    Ok(Some(stored))
}

/// Replaces the watermark of a sync.
pub(super) async fn put_watermark(
    session: &Session,
    sync: i64,
    stored: &StoredWatermark,
    written: &Written<'_>,
) -> Result<()> {
    let sql = "INSERT INTO watermarks (sync, column_name, watermark, mapping, run_id, at, sum) \
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (sync) DO UPDATE SET \
               column_name = excluded.column_name, watermark = excluded.watermark, \
               mapping = excluded.mapping, run_id = excluded.run_id, at = excluded.at, sum = excluded.sum";
    let sum = watermark_sum(sync, stored, written);
    let values: super::session::Params<'_> = &[
        &sync,
        &stored.column,
        &stored.watermark.0,
        &stored.mapping,
        &written.run_id,
        &written.at,
        &sum,
    ];
    session.execute("writing the watermark", sql, values).await.map(drop)
}

/// The mark of a sync.
pub(super) async fn mark(session: &Session, sync: i64) -> Result<Option<StoredMark>> {
    let sql = "SELECT mark, mapping, compared_at, run_id, at, sum FROM marks WHERE sync = $1";
    let Some(row) = session.row("reading the mark", sql, &[&sync]).await? else {
        return Ok(None);
    };
    let mark = row.get::<_, Option<String>>(0).map(Mark);
    let stored = StoredMark { mark, mapping: row.get(1), compared_at: row.get(2) };
    let written = Written { run_id: row.get(3), at: row.get(4) };
    verify("marks", row.get(5), marks::sum(sync, &stored, &written))?;
    Ok(Some(stored))
}

/// Replaces the mark of a sync.
pub(super) async fn put_mark(
    session: &Session,
    sync: i64,
    stored: &StoredMark,
    written: &Written<'_>,
) -> Result<()> {
    let sql = "INSERT INTO marks (sync, mark, mapping, compared_at, run_id, at, sum) \
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (sync) DO UPDATE SET \
               mark = excluded.mark, mapping = excluded.mapping, compared_at = excluded.compared_at, \
               run_id = excluded.run_id, at = excluded.at, sum = excluded.sum";
    let mark = stored.mark.as_ref().map(|mark| mark.0.as_str());
    let sum = marks::sum(sync, stored, written);
    let values: super::session::Params<'_> =
        &[&sync, &mark, &stored.mapping, &stored.compared_at, &written.run_id, &written.at, &sum];
    session.execute("writing the mark", sql, values).await.map(drop)
}

/// The progress of a backfill.
pub(super) async fn backfill(
    session: &Session,
    sync: i64,
    spec: &str,
) -> Result<Option<BackfillProgress>> {
    let sql = "SELECT after_watermark, after_key, settled_rows, at, sum FROM backfills \
               WHERE sync = $1 AND spec = $2";
    let row = session.row("reading the progress of a backfill", sql, &[&sync, &spec]).await?;
    let Some(row) = row else { return Ok(None) };
    let after = Position {
        watermark: row.get::<_, Option<i64>>(0).map(Watermark),
        key: key(row.get(1), "backfills")?,
    };
    let rows = row.get::<_, i64>(2).cast_unsigned();
    let progress = BackfillProgress { spec: spec.to_owned(), after, rows };
    verify("backfills", row.get(4), backfill_sum(sync, &progress, row.get(3)))?;
    Ok(Some(progress))
}

/// Replaces the progress of a backfill.
pub(super) async fn put_backfill(
    session: &Session,
    sync: i64,
    progress: &BackfillProgress,
    at: i64,
) -> Result<()> {
    let sql = "INSERT INTO backfills (sync, spec, after_watermark, after_key, settled_rows, at, sum) \
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (sync, spec) DO UPDATE SET \
               after_watermark = excluded.after_watermark, after_key = excluded.after_key, \
               settled_rows = excluded.settled_rows, at = excluded.at, sum = excluded.sum";
    let watermark = progress.after.watermark.map(|watermark| watermark.0);
    let (after, rows) = (progress.after.key.as_str().as_bytes(), progress.rows.cast_signed());
    let sum = backfill_sum(sync, progress, at);
    let values: super::session::Params<'_> =
        &[&sync, &progress.spec, &watermark, &after, &rows, &at, &sum];
    session.execute("writing the progress of a backfill", sql, values).await.map(drop)
}

/// Forgets the progress of a backfill.
pub(super) async fn end_backfill(session: &Session, sync: i64, spec: &str) -> Result<()> {
    let sql = "DELETE FROM backfills WHERE sync = $1 AND spec = $2";
    session.execute("forgetting the progress of a backfill", sql, &[&sync, &spec]).await.map(drop)
}

/// How many backfills have begun and not ended.
pub(super) async fn open_backfills(session: &Session, sync: i64) -> Result<u64> {
    let sql = "SELECT count(*) FROM backfills WHERE sync = $1";
    let row = session.row("counting the backfills", sql, &[&sync]).await?;
    Ok(row.map_or(0, |row| row.get::<_, i64>(0).cast_unsigned()))
}

/// What the memory of the sync is about.
pub(super) async fn target(session: &Session, sync: &str) -> Result<Option<Target>> {
    let sql = "SELECT value FROM meta WHERE name = $1";
    let mut facts = [None, None];
    for (name, fact) in target::names(sync).iter().zip(&mut facts) {
        let row = session.row("reading what the state is about", sql, &[name]).await?;
        *fact = row.map(|row| row.get(0));
    }
    Ok(target::parse(facts))
}

/// Remembers it.
pub(super) async fn put_target(session: &Session, sync: &str, about: &Target) -> Result<()> {
    let sql = "INSERT INTO meta (name, value) VALUES ($1, $2) \
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    for (name, value) in target::names(sync).iter().zip(target::facts(about)) {
        if let Some(value) = value {
            session.execute("writing what the state is about", sql, &[name, &value]).await?;
        }
    }
    Ok(())
}
