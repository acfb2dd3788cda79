//! The thread of one read: it waits for the warehouse and decodes, and shares nothing with its caller but the
//! finished batches. On a shared runtime every few rows would wake a second worker for nothing.

use flow::{Error, Opening, Result, Retry};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::log;
use super::parallel::Several;
use super::read::pump;
use super::source::{Postgres, Work};
use crate::codes;
use crate::handover::{BATCHES_WAITING, Event, Notes, Read};

/// What is known once a read is open.
pub(super) type Known = (Opening, Notes);
type Opened = Result<(Known, mpsc::Receiver<Result<Event>>)>;

/// Runs `open`, then the read it opens, on a new thread; gives the read once it is open.
///
/// Dropping the future or the read ends the thread, after the server was asked to stop.
pub(super) async fn read<O>(source: Postgres, open: O) -> Result<Read>
where
    O: AsyncFnOnce(TaskTracker) -> Result<(Known, Work)> + Send + 'static,
{
    let (sender, opened) = oneshot::channel();
    let failed = |error: std::io::Error| {
        let message = format!("no thread for a read of the warehouse: {error}");
        Error::new(&codes::E1002_UNREACHABLE, message).with_retry(Retry::Backoff)
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    std::thread::Builder::new()
        .name("warehouse-read".to_owned())
        .spawn(move || runtime.block_on(run(source, open, sender)))
        .map_err(failed)?;
    let died = || Error::new(&codes::E1005_CUT, "the read ended before it was open");
    let ((opening, notes), events) = opened.await.map_err(|_| died())??;
    Ok(Read::new(opening, events).noting(notes))
}

async fn run<O>(source: Postgres, open: O, mut opened: oneshot::Sender<Opened>)
where
    O: AsyncFnOnce(TaskTracker) -> Result<(Known, Work)>,
{
    // Cancels of dropped sessions.
    let background = TaskTracker::new();
    let open = tokio::select! {
        biased;
        () = opened.closed() => None,
        open = open(background.clone()) => Some(open),
    };
    match open {
        Some(Ok((known, work))) => {
            let (sender, events) = mpsc::channel(BATCHES_WAITING);
            // The receiver's end is the signal to stop, wherever the read waits; dropping the plan's session
            // then cancels the query.
            let hung_up = sender.clone();
            if opened.send(Ok((known, events))).is_ok() {
                tokio::select! {
                    biased;
                    () = hung_up.closed() => {}
                    () = async {
                        match work {
                            Work::Rows(plan) => {
                                let by = Several { source, background: background.clone() };
                                pump(*plan, &by, sender).await;
                            }
                            Work::Log(plan) => log::pump(*plan, sender).await,
                        }
                    } => {}
                }
            }
        }
        Some(Err(error)) => drop(opened.send(Err(error))),
        None => {}
    }
    background.close();
    background.wait().await;
}
