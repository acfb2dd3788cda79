//! Waits for changes: looks at the end of the log, which costs nothing, and reads it only when there is more of it.

use std::time::Duration;

use flow::{Log, Mark, Result, Wait};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::super::session::Session;
use super::super::source::Postgres;
use super::mark::LogMark;
use super::slot::Lsn;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// Where counting takes long, since the server writes much that is not ours, the pauses are so many times longer.
const PAUSE_PER_COUNT: u32 = 4;
/// So many bytes of log without a change of ours are worth moving the slot on.
const BYTES_OF_OTHERS_MAX: u64 = 16 << 20;

/// Waits until enough changes are there, or the first of them has waited long enough. False when there was none.
pub(in super::super) async fn wait(
    source: &Postgres,
    (log, mark): (&Log, &Mark),
    wait: Wait,
) -> Result<bool> {
    let Some(mark) = LogMark::parse(mark) else { return Ok(true) };
    let mut session = source.connect(TaskTracker::new()).await?;
    let began = Instant::now();
    let mut first: Option<Instant> = None;
    let mut looked = mark.lsn;
    loop {
        let mut pause = PAUSE;
        session.begin_looking().await?;
        let end = end(&mut session).await?;
        if end != looked {
            looked = end;
            let counting = Instant::now();
            let changes = count(&mut session, log, wait.changes_min).await?;
            pause = pause.max(counting.elapsed() * PAUSE_PER_COUNT);
            if changes > 0 {
                first.get_or_insert_with(Instant::now);
            }
            let others = end.0.saturating_sub(mark.lsn.0);
            if changes >= wait.changes_min || others > BYTES_OF_OTHERS_MAX {
                break;
            }
        }
        session.commit().await?;
        let left = first.map(|first| wait.at_most.saturating_sub(first.elapsed()));
        if left == Some(Duration::ZERO) {
            session.end().await;
            return Ok(true);
        }
        if first.is_none() && began.elapsed() >= wait.idle_max {
            session.end().await;
            return Ok(false);
        }
        tokio::time::sleep(left.unwrap_or(pause).min(pause)).await;
    }
    session.commit().await?;
    session.end().await;
    Ok(true)
}

/// The end of the durable log; beyond any place where the server is no primary, which the read then says.
async fn end(session: &mut Session) -> Result<Lsn> {
    const SQL: &str = "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'FFFFFFFF/FFFFFFFF' \
        ELSE pg_catalog.pg_current_wal_flush_lsn()::text END";
    let rows = session.query(SQL, &[], "looking at the end of the log").await?;
    let text: Option<String> = rows.first().map(|row| row.get(0));
    Ok(text.and_then(|text| Lsn::parse(&text)).unwrap_or(Lsn(u64::MAX)))
}

/// Row changes that wait; stops to count at the end of the transaction in which there are enough.
async fn count(session: &mut Session, log: &Log, enough: u64) -> Result<u64> {
    const SQL: &str = "SELECT count(*) FILTER (WHERE get_byte(data, 0) IN (68, 73, 84, 85)) \
        FROM pg_catalog.pg_logical_slot_peek_binary_changes($1::text::name, NULL, $2, \
            'proto_version', '1', 'publication_names', $3)";
    let enough = i32::try_from(enough).unwrap_or(i32::MAX).max(1);
    let publication = super::literal::identifier(&log.publication);
    let rows = session.query(SQL, &[&log.slot, &enough, &publication], "counting changes").await?;
    Ok(rows.first().map_or(0, |row| u64::try_from(row.get::<_, i64>(0)).unwrap_or_default()))
}
