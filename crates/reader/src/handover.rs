//! How a read's thread hands over what it read: batches, then the end, told apart from a thread that died (R3).

use async_trait::async_trait;
use flow::{Batch, Error, Finding, Key, Mark, Opening, Result, Retry};
use tokio::sync::{mpsc, oneshot};

use crate::codes;

/// Finished batches waiting for the reader of a read.
pub(crate) const BATCHES_WAITING: usize = 2;

/// What a read's thread says.
pub(crate) enum Event {
    Batch(Batch),
    /// Keys whose rows changed, with a batch of no rows.
    Changed(Vec<Key>, Batch),
    /// News of the read.
    Finding(Finding),
    /// Only a read of every row can tell what changed.
    NeedsAll,
    End,
}

/// The port's read.
pub(crate) struct Read {
    opening: Opening,
    events: mpsc::Receiver<Result<Event>>,
    ended: bool,
    notes: Notes,
    changed: Vec<Key>,
    needs_all: bool,
    _cancel: Option<CancelOnDrop>,
}

/// What is known of a read, besides its rows, once it is open.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) mark: Option<Mark>,
    pub(crate) findings: Vec<Finding>,
    /// Bytes of log that the warehouse keeps back for us.
    pub(crate) retained_bytes: Option<u64>,
}

impl Read {
    pub(crate) fn new(opening: Opening, events: mpsc::Receiver<Result<Event>>) -> Self {
        let (notes, changed) = (Notes::default(), Vec::new());
        Self { opening, events, ended: false, notes, changed, needs_all: false, _cancel: None }
    }

    /// The same read, with these notes.
    pub(crate) fn noting(self, notes: Notes) -> Self {
        Self { notes, ..self }
    }
}

#[async_trait]
impl flow::Read for Read {
    fn opening(&self) -> &Opening {
        &self.opening
    }

    async fn next(&mut self) -> Result<Option<Batch>> {
        if self.ended {
            return Ok(None);
        }
        loop {
            match self.events.recv().await {
                Some(Ok(Event::Batch(batch))) => return Ok(Some(batch)),
                Some(Ok(Event::Changed(keys, batch))) => {
                    self.changed.extend(keys);
                    return Ok(Some(batch));
                }
                Some(Ok(Event::Finding(finding))) => self.notes.findings.push(finding),
                Some(Ok(Event::NeedsAll)) => self.needs_all = true,
                Some(Ok(Event::End)) => {
                    self.ended = true;
                    return Ok(None);
                }
                Some(Err(error)) => return Err(error),
                // Only `End` is the end: a thread that died or already failed never counts as one (R3).
                None => return Err(died("the read ended before its last row")),
            }
        }
    }

    fn changed(&mut self) -> Vec<Key> {
        std::mem::take(&mut self.changed)
    }

    fn needs_all(&self) -> bool {
        self.needs_all
    }

    fn retained_bytes(&self) -> Option<u64> {
        self.notes.retained_bytes
    }

    fn mark(&self) -> Option<Mark> {
        self.notes.mark.clone()
    }

    fn findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.notes.findings)
    }
}

fn died(message: &str) -> Error {
    Error::new(&codes::E1005_CUT, message).with_retry(Retry::Backoff)
}

/// Stops what a read's thread waits for, when nobody waits for the read any more.
pub(crate) struct CancelOnDrop(pub(crate) Box<dyn Fn() + Send + Sync>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        (self.0)();
    }
}

type Opened = Result<(Opening, mpsc::Receiver<Result<Event>>)>;

/// The thread's end of a read.
pub(crate) struct Handover {
    opened: Option<oneshot::Sender<Opened>>,
    sender: Option<mpsc::Sender<Result<Event>>>,
}

impl Handover {
    /// Whether nobody waits for the read any more.
    pub(crate) fn is_dropped(&self) -> bool {
        self.opened.as_ref().is_some_and(oneshot::Sender::is_closed)
            || self.sender.as_ref().is_some_and(mpsc::Sender::is_closed)
    }

    /// Says that the read is open.
    pub(crate) fn open(&mut self, opening: Opening) {
        let (sender, events) = mpsc::channel(BATCHES_WAITING);
        self.sender = Some(sender);
        if let Some(opened) = self.opened.take() {
            drop(opened.send(Ok((opening, events))));
        }
    }

    /// Hands over a batch; false when nobody wants more.
    pub(crate) fn batch(&mut self, batch: Batch) -> bool {
        let sender = self.sender.as_ref();
        sender.is_some_and(|sender| sender.blocking_send(Ok(Event::Batch(batch))).is_ok())
    }

    fn end(self, result: Result<()>) {
        match (self.opened, self.sender, result) {
            (Some(opened), _, Err(error)) => drop(opened.send(Err(error))),
            (_, Some(sender), result) => {
                drop(sender.blocking_send(result.map(|()| Event::End)));
            }
            _ => {}
        }
    }
}

/// Opens a read whose work blocks, on a thread of its own. `cancel` is called when read or future are dropped.
///
/// # Errors
/// What `work` fails with before it has opened the read.
pub(crate) async fn read<W>(cancel: Option<CancelOnDrop>, work: W) -> Result<Read>
where
    W: FnOnce(&mut Handover) -> Result<()> + Send + 'static,
{
    let (sender, opened) = oneshot::channel();
    spawn(move || {
        let mut handover = Handover { opened: Some(sender), sender: None };
        let result = work(&mut handover);
        handover.end(result);
    })?;
    let (opening, events) =
        opened.await.map_err(|_| died("the read ended before it was open"))??;
    Ok(Read { _cancel: cancel, ..Read::new(opening, events) })
}

/// Does work that blocks on a thread of its own.
///
/// # Errors
/// What `work` fails with.
pub(crate) async fn call<T, W>(work: W) -> Result<T>
where
    T: Send + 'static,
    W: FnOnce() -> Result<T> + Send + 'static,
{
    let (sender, result) = oneshot::channel();
    spawn(move || drop(sender.send(work())))?;
    result.await.map_err(|_| died("the warehouse's thread ended unexpectedly"))?
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = std::thread::Builder::new().name("warehouse-read".to_owned());
    thread.spawn(work).map(drop).map_err(|error| {
        let message = format!("no thread for a read of the warehouse: {error}");
        Error::new(&codes::E1002_UNREACHABLE, message).with_retry(Retry::Backoff)
    })
}
