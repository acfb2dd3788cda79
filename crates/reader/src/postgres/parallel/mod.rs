//! One read by several connections: parts of it by ranges of its order, in one snapshot that the first connection takes
//! and the others join, handed over in the order of the read as if there were one connection.
//!
//! Since every connection sees the same snapshot, no row is in two parts or in none, whatever is committed meanwhile. Each
//! holds the model's tables by locks of its own and looks at their generation at its end (R2); the read ends only when
//! each has ended well (R3). Where one is cut, another takes its place in the same snapshot, behind the last row.

mod cut;
mod places;
mod queue;
mod worker;

use std::sync::Arc;

use flow::{Error, Finding, Result, Retry};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use self::places::Found;
use self::queue::Queue;
use self::worker::{Worker, fewer};
use super::mark::finding;
use super::query::{Part, Query};
use super::read::{About, Plan};
use super::relation::Target;
use super::session::Session;
use super::source::Postgres;
use crate::codes;
use crate::handover::Event;

/// Bytes of a part, about.
const PART_BYTES: u64 = if cfg!(test) { 4 << 10 } else { 8 << 20 };
/// Bytes of rows that wait for their turn, per connection.
const AHEAD_BYTES: usize = if cfg!(test) { 64 << 10 } else { 12 << 20 };

/// A read that was cut, or was not.
pub(super) struct Cut {
    pub(super) parts: Vec<Part>,
    pub(super) connections: usize,
    /// Why it was not, where it should have been.
    pub(super) why: Option<Finding>,
}

/// Whether the server lets connections share a snapshot.
pub(super) async fn can_share(session: &mut Session) -> Result<bool> {
    const SQL: &str = "SELECT coalesce(pg_catalog.has_function_privilege( \
        pg_catalog.to_regprocedure('pg_catalog.pg_export_snapshot()')::oid, 'EXECUTE'), false)";
    let rows = session.query(SQL, &[], "asking whether a snapshot can be shared").await?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// Cuts a read, where that is worth its while.
pub(super) async fn cut(
    session: &mut Session,
    (query, parts): (&Query<'_>, Vec<Part>),
    (target, tables): (&Target, &[(String, String)]),
    connections: usize,
) -> Result<Cut> {
    let whole = |parts, why| Cut { parts, connections: 1, why };
    let Some(first) = parts.first() else { return Ok(whole(parts, None)) };
    let cut = places::parts(session, (query, first), (target, tables), connections).await?;
    match cut {
        Found::Parts(mut cut) => {
            let connections = connections.min(cut.len());
            cut.extend(parts.into_iter().skip(1));
            Ok(Cut { parts: cut, connections, why: None })
        }
        Found::Small => Ok(whole(parts, None)),
        Found::NoWay => {
            let message = format!("{} is read by one connection", target.label);
            Ok(whole(parts, Some(finding(&codes::E1069_ONE_CONNECTION, message))))
        }
    }
}

/// What several connections need besides what is read.
pub(super) struct Several {
    pub(super) source: Postgres,
    pub(super) background: TaskTracker,
}

impl Several {
    /// Reads to the end.
    pub(super) async fn read(
        &self,
        plan: Plan,
        sender: &mpsc::Sender<Result<Event>>,
    ) -> Result<()> {
        let Plan { session, about, connections, finished, .. } = plan;
        let queue = Arc::new(Queue::new(about.parts.len(), AHEAD_BYTES * connections));
        let _close = CloseOnDrop(Arc::clone(&queue));
        let crew = Crew { source: self.source.clone(), about: Arc::new(about), queue };
        let first = Worker::first(crew.clone(), self.background.clone(), session).await?;
        for _ in 1..connections {
            if let Err(error) = spawn(crew.clone()) {
                crew.queue.note(fewer(&error));
            }
        }
        let work = async {
            first.work().await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = work => {}
            given = give(&crew.queue, sender) => given?,
        }
        finished();
        Ok(())
    }
}

/// What the connections of one read share.
#[derive(Clone)]
struct Crew {
    source: Postgres,
    about: Arc<About>,
    queue: Arc<Queue>,
}

/// Hands over every row in the order of the read.
async fn give(queue: &Queue, sender: &mpsc::Sender<Result<Event>>) -> Result<()> {
    while let Some(batch) = queue.next().await? {
        if sender.send(Ok(Event::Batch(batch))).await.is_err() {
            return Ok(());
        }
    }
    for finding in queue.findings() {
        let _ = sender.send(Ok(Event::Finding(finding))).await;
    }
    Ok(())
}

/// Starts the thread of one more connection; it ends when there is nothing more to do.
fn spawn(crew: Crew) -> Result<()> {
    let failed = |error: std::io::Error| {
        let message = format!("no thread for a read of the warehouse: {error}");
        Error::new(&codes::E1002_UNREACHABLE, message).with_retry(Retry::Backoff)
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let work = async move {
        // Cancels of dropped sessions.
        let background = TaskTracker::new();
        let queue = Arc::clone(&crew.queue);
        let work = async {
            match Worker::join(crew, background.clone()).await {
                Ok(worker) => worker.work().await,
                Err(error) if queue.has_parts() => queue.note(fewer(&error)),
                // It came too late to be missed.
                Err(_) => {}
            }
        };
        tokio::select! {
            biased;
            () = queue.closed() => {}
            () = work => {}
        }
        background.close();
        background.wait().await;
    };
    let thread = std::thread::Builder::new().name("warehouse-read".to_owned());
    thread.spawn(move || runtime.block_on(work)).map(drop).map_err(failed)
}

/// Lets every connection end when the read does.
struct CloseOnDrop(Arc<Queue>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests;
