//! What the connections of one read share: which parts are left, and the rows of parts whose turn has not come, of which
//! only so many bytes wait.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flow::{Batch, Error, Finding, Result, Retry};
use tokio::sync::Notify;

use crate::codes;

/// Batches of the part being handed over that may wait.
const BATCHES_WAITING: usize = 2;

/// See the module.
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Notify,
    /// Bytes of rows that may wait.
    bytes_max: usize,
}

#[derive(Default)]
struct State {
    slots: Vec<Slot>,
    /// The first part that nobody reads yet.
    next: usize,
    /// The part being handed over.
    giving: usize,
    bytes: usize,
    /// Connections that have not said that they are done.
    working: usize,
    /// Why the read cannot come to an end, until somebody was told.
    error: Option<Error>,
    closed: bool,
    findings: Vec<Finding>,
    /// Names of the snapshot; each is good while the connection that gave it reads.
    snapshots: Vec<String>,
}

/// One part.
#[derive(Default)]
struct Slot {
    batches: VecDeque<(Batch, usize)>,
    complete: bool,
}

impl Queue {
    pub(super) fn new(parts: usize, bytes_max: usize) -> Self {
        let slots = (0..parts).map(|_| Slot::default()).collect();
        let state = Mutex::new(State { slots, ..State::default() });
        Self { state, changed: Notify::new(), bytes_max }
    }

    /// One more connection works; when the guard is dropped without [`Working::done`], the read has failed (R3).
    pub(super) fn work(&self) -> Working<'_> {
        self.lock().working += 1;
        Working { queue: self, done: false }
    }

    /// The next part to read; none when all are taken.
    pub(super) fn take(&self) -> Option<usize> {
        let mut state = self.lock();
        let part = state.next;
        let is_left = part < state.slots.len() && !state.closed;
        state.next += usize::from(is_left);
        is_left.then_some(part)
    }

    /// Whether there are parts that nobody reads.
    pub(super) fn has_parts(&self) -> bool {
        let state = self.lock();
        state.next < state.slots.len() && !state.closed
    }

    /// Adds rows to a part once there is room; false when nobody wants them any more.
    pub(super) async fn put(&self, part: usize, batch: Batch) -> bool {
        let bytes = batch.rows.get_array_memory_size();
        let mut batch = Some(batch);
        let put = self.when(|state| {
            if state.closed {
                return Some(false);
            }
            // The part whose turn it is always goes on, so that nobody waits for ever.
            let room = match part == state.giving {
                true => state.slots[part].batches.len() < BATCHES_WAITING,
                false => state.bytes + bytes <= self.bytes_max,
            };
            if !room {
                return None;
            }
            state.bytes += bytes;
            state.slots[part].batches.extend(batch.take().map(|batch| (batch, bytes)));
            Some(true)
        });
        let put = put.await;
        self.changed.notify_waiters();
        put
    }

    /// Every row of the part was put.
    pub(super) fn complete(&self, part: usize) {
        let mut state = self.lock();
        state.slots[part].complete = true;
        state.give_on();
        drop(state);
        self.changed.notify_waiters();
    }

    /// The read cannot come to an end.
    pub(super) fn fail(&self, error: Error) {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.closed, true) {
            state.error = Some(error);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Nobody wants rows any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_waiters();
    }

    /// Waits until nobody wants rows any more.
    pub(super) async fn closed(&self) {
        self.when(|state| state.closed.then_some(())).await;
    }

    /// The next rows in the order of the parts; none when every part is complete and every connection has ended well.
    pub(super) async fn next(&self) -> Result<Option<Batch>> {
        let next = self.when(|state| {
            if let Some(error) = state.error.take() {
                return Some(Err(error));
            }
            let waiting = state.slots.get_mut(state.giving);
            if let Some((batch, bytes)) = waiting.and_then(|slot| slot.batches.pop_front()) {
                state.bytes -= bytes;
                state.give_on();
                return Some(Ok(Some(batch)));
            }
            (state.giving == state.slots.len() && state.working == 0).then_some(Ok(None))
        });
        let next = next.await;
        self.changed.notify_waiters();
        next
    }

    /// Something to say at the end.
    pub(super) fn note(&self, finding: Finding) {
        self.lock().findings.push(finding);
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        std::mem::take(&mut self.lock().findings)
    }

    /// One more name of the snapshot.
    pub(super) fn share(&self, snapshot: String) {
        self.lock().snapshots.push(snapshot);
    }

    /// All names of the snapshot, the newest first.
    pub(super) fn snapshots(&self) -> Vec<String> {
        self.lock().snapshots.iter().rev().cloned().collect()
    }

    async fn when<T>(&self, mut ready: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(found) = ready(&mut self.lock()) {
                return found;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// It is the next part's turn when one has been handed over.
    fn give_on(&mut self) {
        let over = |slot: &Slot| slot.complete && slot.batches.is_empty();
        while self.slots.get(self.giving).is_some_and(over) {
            self.giving += 1;
        }
    }
}

/// A connection at work.
pub(super) struct Working<'a> {
    queue: &'a Queue,
    done: bool,
}

impl Working<'_> {
    /// The connection has ended as it should.
    pub(super) fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.queue.lock().working -= 1;
        if self.done {
            self.queue.changed.notify_waiters();
        } else {
            let message = "a connection of the read ended before its last row";
            self.queue.fail(Error::new(&codes::E1005_CUT, message).with_retry(Retry::Backoff));
        }
    }
}
