//! One connection of a read by several: reads part after part, and joins the snapshot anew where its connection was cut.

use std::sync::Arc;
use std::time::Duration;

use flow::{Batch, Error, Finding, Position, Result};
use tokio_util::task::TaskTracker;

use super::Crew;
use crate::codes;
use crate::postgres::mark::finding;
use crate::postgres::read::{close, position, unchanged};
use crate::postgres::session::Session;
use crate::postgres::stream::Stream;

/// Attempts at joining the snapshot again, without a new row between them.
const ATTEMPTS_MAX: u32 = 3;
/// Pause before the second attempt; doubled before the next.
const PAUSE: Duration = Duration::from_millis(200);

/// See the module.
pub(super) struct Worker {
    crew: Crew,
    background: TaskTracker,
    session: Session,
}

/// How far a part has come.
#[derive(Default)]
struct SoFar {
    after: Option<Position>,
    /// The last row put has no position to go on from.
    lost: bool,
    /// Attempts since the last row.
    attempts: u32,
}

impl Worker {
    /// The connection that has taken the snapshot.
    pub(super) async fn first(
        crew: Crew,
        background: TaskTracker,
        mut session: Session,
    ) -> Result<Self> {
        crew.queue.share(session.export_snapshot().await?);
        Ok(Self { crew, background, session })
    }

    /// One more connection, in the same snapshot.
    pub(super) async fn join(crew: Crew, background: TaskTracker) -> Result<Self> {
        let session = join(&crew, &background).await?;
        Ok(Self { crew, background, session })
    }

    /// Reads parts until none is left.
    pub(super) async fn work(mut self) {
        let queue = Arc::clone(&self.crew.queue);
        let working = queue.work();
        let mut ended = Ok(());
        while let Some(part) = queue.take() {
            ended = self.read(part).await;
            if ended.is_err() {
                break;
            }
        }
        if ended.is_ok() {
            ended = close(self.session, &self.crew.about).await;
        }
        match ended {
            Ok(()) => working.done(),
            Err(error) => queue.fail(error),
        }
    }

    /// Reads one part to its end, if need be by more than one connection.
    async fn read(&mut self, number: usize) -> Result<()> {
        let mut so_far = SoFar::default();
        loop {
            let Err(error) = self.read_on(number, &mut so_far).await else { return Ok(()) };
            if so_far.lost || !is_cut(&error) {
                return Err(error);
            }
            tracing::warn!(code = error.code().id, "one of a read's connections stopped");
            self.session = loop {
                so_far.attempts += 1;
                if so_far.attempts > ATTEMPTS_MAX {
                    return Err(error);
                }
                match join(&self.crew, &self.background).await {
                    Ok(session) => break session,
                    Err(_) => tokio::time::sleep(PAUSE * (1 << so_far.attempts)).await,
                }
            };
        }
    }

    async fn read_on(&mut self, number: usize, so_far: &mut SoFar) -> Result<()> {
        let about = &self.crew.about;
        let part = &about.parts[number];
        let query = about.query();
        let rest = so_far.after.as_ref().map(|after| query.rest(part, after));
        let select = query.select(rest.as_ref().unwrap_or(part));
        let mut stream = Stream::new(&about.layout, about.batch_rows);
        stream.start(&mut self.session, &select, "reading the model").await?;
        while let Some(decoded) = stream.next(&mut self.session).await? {
            let last = position(&about.layout, part, &decoded.rows);
            so_far.lost = last.is_none();
            so_far.after.clone_from(&last);
            so_far.attempts = 0;
            let batch = Batch { rows: decoded.rows, faults: decoded.faults, last };
            if !self.crew.queue.put(number, batch).await {
                // The thread ends with the read.
                std::future::pending::<()>().await;
            }
        }
        self.crew.queue.complete(number);
        Ok(())
    }
}

/// A new connection in the snapshot of one that is still open.
async fn join(crew: &Crew, background: &TaskTracker) -> Result<Session> {
    let Crew { source, about, queue } = crew;
    let mut failed = None;
    for snapshot in queue.snapshots() {
        let mut session = source.connect(background.clone()).await?;
        match session.begin_reading_with(&snapshot, &about.lock).await {
            Ok(()) => {
                unchanged(&mut session, about).await?;
                queue.share(session.export_snapshot().await?);
                return Ok(session);
            }
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or_else(|| Error::new(&codes::E1005_CUT, "no connection has the snapshot")))
}

/// Whether the connection is gone, and another one may do.
fn is_cut(error: &Error) -> bool {
    [codes::E1005_CUT.id, codes::E1006_NO_PROGRESS.id].contains(&error.code().id)
}

/// What is said of a connection that could not be had.
pub(super) fn fewer(error: &Error) -> Finding {
    let message = format!("a read had fewer connections than it may have: {}", error.message());
    finding(&codes::E1070_FEWER_CONNECTIONS, message)
}
