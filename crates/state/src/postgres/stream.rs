//! The whole ledger of a sync in its order, a page at a time, on a connection of its own; and its way into another order.

use std::rc::Rc;

use async_trait::async_trait;
use flow::{Error, KeyOrder, LedgerPage, LedgerStream, Result};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio_postgres::Row;

use super::fault::During;
use super::ledger::{self, COLUMNS, Stored};
use super::pool::Pool;
use super::session::{LOOK, Session};
use super::syncs::SyncRow;
use crate::codes;

/// Rows of a page.
const PAGE_ROWS: usize = 8192;
/// Pages read ahead.
const PAGES_AHEAD: usize = 2;
const READING: &str = "reading the ledger";

/// Pages on their way from the connection that reads them.
pub(super) struct Stream(mpsc::Receiver<Result<LedgerPage>>);

#[async_trait]
impl LedgerStream for Stream {
    async fn next(&mut self) -> Result<Option<LedgerPage>> {
        // An empty page is the end. A connection that was lost must not look like one (R3).
        let lost = || Error::new(&codes::E3047_LOST, "The reading of the ledger was lost.");
        let page = self.0.recv().await.ok_or_else(lost)??;
        Ok((!page.is_empty()).then_some(page))
    }
}

/// A stream of no rows.
pub(super) fn nothing() -> Stream {
    let (sender, pages) = mpsc::channel(1);
    // There is room for the one page.
    let _ = sender.try_send(Ok(LedgerPage::default()));
    Stream(pages)
}

/// Begins to read the ledger as it is now, as far ahead as there is room; ends when nobody listens.
pub(super) async fn begin(pool: &Rc<Pool>, sync: &SyncRow) -> Result<Stream> {
    let session = pool.connect().await?;
    // The snapshot is taken before anybody goes on: what is committed later is not in it.
    session.batch(READING, LOOK).await?;
    session.row(READING, "SELECT 1", &[]).await?;
    session.batch(READING, "SET LOCAL statement_timeout = 0").await?;
    session.batch(READING, "SET LOCAL idle_in_transaction_session_timeout = 0").await?;
    let (sender, pages) = mpsc::channel(PAGES_AHEAD);
    let (id, generation) = (sync.id, sync.generation);
    tokio::task::spawn_local(async move {
        let sent = send(&session, (id, generation), &sender);
        let ended = tokio::select! {
            ended = sent => ended,
            // The connection closes, and the server stops.
            () = sender.closed() => return,
        };
        let last = ended.map(|()| LedgerPage::default());
        let _ = sender.send(last).await;
    });
    Ok(Stream(pages))
}

async fn send(
    session: &Session,
    (sync, generation): (i64, i64),
    pages: &mpsc::Sender<Result<LedgerPage>>,
) -> Result<()> {
    let mut rows = rows(session, (sync, generation)).await?.ready_chunks(PAGE_ROWS);
    while let Some(some) = rows.next().await {
        let mut page = LedgerPage::default();
        for row in some {
            let stored = Stored::read(sync, &row.during(READING)?)?;
            page.push(&stored.key, stored.row());
        }
        if pages.send(Ok(page)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

async fn rows(
    session: &Session,
    (sync, generation): (i64, i64),
) -> Result<impl futures::Stream<Item = Result<Row, tokio_postgres::Error>>> {
    // Both are numbers of ours. Without parameters the plan fits them.
    let sql = format!(
        "SELECT {COLUMNS} FROM ledger WHERE sync = {sync} AND generation = {generation} ORDER BY key"
    );
    let none: [&str; 0] = [];
    Ok(Box::pin(session.client.query_raw(&sql, none).await.during(READING)?))
}

/// Brings the ledger into another order: its rows are copied under a new generation, which is the ledger's once the
/// transaction of `session` ends.
pub(super) async fn reorder(
    pool: &Rc<Pool>,
    session: &Session,
    (sync, order): (&mut SyncRow, &KeyOrder),
) -> Result<()> {
    let (from, generation) = (sync.generation, sync.generation + 1);
    let reader = pool.connect().await?;
    reader.batch(READING, "SET statement_timeout = 0").await?;
    let mut rows = rows(&reader, (sync.id, from)).await?.try_ready_chunks(PAGE_ROWS);
    while let Some(some) = rows.next().await {
        let some = some.map_err(|error| super::fault::of_postgres(READING, error.1))?;
        let read = |row: &Row| ledger::reordered(Stored::read(sync.id, row)?, (&sync.order, order));
        let some: Vec<Stored> = some.iter().map(read).collect::<Result<_>>()?;
        ledger::write(session, sync.id, generation, &some).await?;
    }
    let sql = "DELETE FROM ledger WHERE sync = $1 AND generation = $2";
    session.execute("dropping the ledger's old order", sql, &[&sync.id, &from]).await?;
    (sync.generation, sync.order) = (generation, order.clone());
    sync.save(session).await
}
