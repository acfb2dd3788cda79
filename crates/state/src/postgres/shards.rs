//! The work of a sync, cut into shards that several processes take one after the other: each under a lease of its own, so
//! that the shard of a process that died or stood still is taken by another, and what the former owner still writes is
//! refused (S2, D3).

use std::rc::Rc;

use flow::{Claim, Error, Result, Shard, StoredWatermark, Watermark, Work};

use super::home::Neighbour;
use super::lease::{self, IS_FREE, holder};
use super::pool::Pool;
use super::session::Session;
use super::syncs::{self, SyncRow};
use super::{progress, runs, unconfirmed};
use crate::checksum::{Checksum, verify};
use crate::codes;
use crate::progress::Written;

const CLAIMING: &str = "taking a shard";
const FINISHING: &str = "ending a shard";
const SHARDS: u8 = 11;

/// What a look for a shard came to.
enum Found {
    Number(i32, i64, SyncRow),
    Busy(i64),
    Done,
}

/// Takes a shard of the work nobody has, beginning the work where there is none.
pub(super) async fn claim(
    pool: &Rc<Pool>,
    home: Neighbour,
    (name, work, at): (&str, &Work, i64),
) -> Result<Claim> {
    let own = pool.own().await?;
    let asked = tokio::time::Instant::now();
    let found = pool
        .write(async |session: &Session| {
            let mut sync = syncs::named(session, name).await?;
            let Some(number) = current(session, &mut sync, (work, at)).await? else {
                return Ok(Found::Done);
            };
            let found = next(session, sync.id, work.only).await?;
            let Some(shard) = found else {
                let left = left(session, sync.id, work.only).await?;
                return Ok(if left { Found::Busy(number) } else { Found::Done });
            };
            let part = shard + 1;
            syncs::next_epoch(session, &mut sync).await?;
            lease::put(session, (&sync, part), (pool, &own, at)).await?;
            if runs::close_unfinished(session, (sync.id, part)).await? {
                unconfirmed::put_unheard(session, sync.id, at).await?;
            }
            Ok(Found::Number(shard, number, sync))
        })
        .await?;
    match found {
        Found::Number(shard, number, sync) => {
            let lease = lease::held(pool, home, (&sync, shard + 1), (asked, None));
            let number_of = |number: i32| u32::try_from(number).unwrap_or_default();
            let shard = Shard { number: number_of(shard), of: work.shards };
            Ok(Claim::Ours(lease, shard, number))
        }
        Found::Busy(number) => Ok(Claim::Busy(number)),
        Found::Done => Ok(Claim::Done),
    }
}

/// The number of the work to take part in, begun now where there is none; `None` where the caller's is over.
async fn current(
    session: &Session,
    sync: &mut SyncRow,
    (work, at): (&Work, i64),
) -> Result<Option<i64>> {
    let sql = format!(
        "SELECT process, host, taken_at FROM leases WHERE sync = $1 AND part = 0 AND NOT {IS_FREE}"
    );
    if let Some(row) = session.row(CLAIMING, &sql, &[&sync.id]).await? {
        return Err(lease::refused(&sync.name, &holder(&row)));
    }
    let sql = "SELECT number, spec, shards FROM works WHERE sync = $1";
    let known = session.row(CLAIMING, sql, &[&sync.id]).await?;
    let shards = i32::try_from(work.shards).unwrap_or(i32::MAX);
    match (known, work.begun) {
        (Some(row), Some(begun)) if row.get::<_, i64>(0) == begun => return Ok(Some(begun)),
        (_, Some(_)) => return Ok(None),
        (Some(row), None)
            if row.get::<_, &str>(1) == work.spec && row.get::<_, i32>(2) == shards =>
        {
            return Ok(Some(row.get(0)));
        }
        (Some(_), None) => {
            let sql = format!("SELECT 1 FROM leases WHERE sync = $1 AND NOT {IS_FREE} LIMIT 1");
            if session.row(CLAIMING, &sql, &[&sync.id]).await?.is_some() {
                let text = format!("Other processes share another work of sync `{}`.", sync.name);
                return Err(Error::new(&codes::E3052_OTHER_WORK, text));
            }
            abandon(session, sync.id, at).await?;
        }
        (None, None) => {}
    }
    syncs::next_epoch(session, sync).await?;
    let sql =
        "INSERT INTO works (sync, number, spec, shards, began_at) VALUES ($1, $2, $3, $4, $5)";
    session.execute(CLAIMING, sql, &[&sync.id, &sync.epoch, &work.spec, &shards, &at]).await?;
    let sql = "INSERT INTO shards (sync, number) SELECT $1, number FROM generate_series(0, $2 - 1) AS number";
    session.execute(CLAIMING, sql, &[&sync.id, &shards]).await?;
    Ok(Some(sync.epoch))
}

/// A shard nobody has and that is not done.
async fn next(session: &Session, sync: i64, only: Option<u32>) -> Result<Option<i32>> {
    let only = only.map(|only| i32::try_from(only).unwrap_or(i32::MAX));
    let sql = format!(
        "SELECT shards.number FROM shards WHERE sync = $1 AND done_at IS NULL \
         AND ($2::integer IS NULL OR shards.number = $2) AND NOT EXISTS (SELECT 1 FROM leases \
         WHERE leases.sync = $1 AND leases.part = shards.number + 1 AND NOT {IS_FREE}) \
         ORDER BY shards.number LIMIT 1 FOR UPDATE SKIP LOCKED"
    );
    Ok(session.row(CLAIMING, &sql, &[&sync, &only]).await?.map(|row| row.get(0)))
}

async fn left(session: &Session, sync: i64, only: Option<u32>) -> Result<bool> {
    let only = only.map(|only| i32::try_from(only).unwrap_or(i32::MAX));
    let sql = "SELECT 1 FROM shards WHERE sync = $1 AND done_at IS NULL \
               AND ($2::integer IS NULL OR number = $2) LIMIT 1";
    Ok(session.row(CLAIMING, sql, &[&sync, &only]).await?.is_some())
}

/// Whether some process has a shard of the sync's work now.
pub(super) async fn worker(session: &Session, sync: i64) -> Result<Option<crate::lease::Holder>> {
    let sql = format!(
        "SELECT process, host, taken_at FROM leases WHERE sync = $1 AND part > 0 AND NOT {IS_FREE} LIMIT 1"
    );
    Ok(session.row(CLAIMING, &sql, &[&sync]).await?.map(|row| holder(&row)))
}

/// Forgets the work of a sync, and fences off whoever took part in it. What was delivered is in the ledger; what a process
/// left unfinished has crashed, and its calls were left unheard until `at`.
pub(super) async fn abandon(session: &Session, sync: i64, at: i64) -> Result<()> {
    let ending = "ending shared work";
    for sql in [
        "DELETE FROM works WHERE sync = $1",
        "DELETE FROM shards WHERE sync = $1",
        "DELETE FROM leases WHERE sync = $1 AND part > 0",
    ] {
        session.execute(ending, sql, &[&sync]).await?;
    }
    let sql = "UPDATE runs SET status = 'crashed', ended_at = coalesce(committed_at, started_at), \
               error = 'the process ended without finishing the run' \
               WHERE sync = $1 AND part > 0 AND status = 'running'";
    if session.execute(ending, sql, &[&sync]).await? > 0 {
        unconfirmed::put_unheard(session, sync, at).await?;
    }
    Ok(())
}

fn sum(sync: i64, part: i32, stored: &StoredWatermark) -> i64 {
    Checksum::default()
        .begin(SHARDS)
        .int(sync)
        .int(part.into())
        .bytes(stored.column.as_bytes())
        .int(stored.watermark.0)
        .bytes(stored.mapping.as_bytes())
        .sum()
}

/// How far a shard has come; the sync's own watermark moves once all shards are done.
pub(super) async fn put_watermark(
    session: &Session,
    (sync, part): (i64, i32),
    stored: &StoredWatermark,
) -> Result<()> {
    let sql = "UPDATE shards SET column_name = $3, watermark = $4, mapping = $5, sum = $6 \
               WHERE sync = $1 AND number = $2 - 1";
    let sum = sum(sync, part, stored);
    session
        .execute(
            FINISHING,
            sql,
            &[&sync, &part, &stored.column, &stored.watermark.0, &stored.mapping, &sum],
        )
        .await
        .map(drop)
}

/// The shard is done. With the last one the work is: the sync has come as far as the shard that has come least far, since
/// each read at a time of its own.
pub(super) async fn finish(
    session: &Session,
    (sync, part): (&SyncRow, i32),
    (run_id, at): (&str, i64),
) -> Result<bool> {
    let sql = "SELECT 1 FROM works WHERE sync = $1 FOR UPDATE";
    session.row(FINISHING, sql, &[&sync.id]).await?;
    let sql = "UPDATE shards SET done_at = $3 WHERE sync = $1 AND number = $2 - 1";
    session.execute(FINISHING, sql, &[&sync.id, &part, &at]).await?;
    if left(session, sync.id, None).await? {
        return Ok(false);
    }
    if let Some(least) = least(session, sync.id).await? {
        progress::put_watermark(session, sync.id, &least, &Written { run_id, at }).await?;
    }
    abandon(session, sync.id, at).await?;
    Ok(true)
}

/// The watermark of the shard that has come least far; `None` where one has none, or another mapping's.
async fn least(session: &Session, sync: i64) -> Result<Option<StoredWatermark>> {
    let sql = "SELECT number, column_name, watermark, mapping, sum FROM shards WHERE sync = $1";
    let mut least: Option<StoredWatermark> = None;
    for row in session.rows(FINISHING, sql, &[&sync]).await? {
        let Some(watermark) = row.get::<_, Option<i64>>(2) else { return Ok(None) };
        let stored = StoredWatermark {
            column: row.get(1),
            watermark: Watermark(watermark),
            mapping: row.get(3),
        };
        verify("shards", row.get(4), sum(sync, row.get::<_, i32>(0) + 1, &stored))?;
        least = match least {
            None => Some(stored),
            Some(known) if known.mapping != stored.mapping || known.column != stored.column => {
                return Ok(None);
            }
            Some(known) if known.watermark <= stored.watermark => Some(known),
            Some(_) => Some(stored),
        };
    }
    Ok(least)
}
