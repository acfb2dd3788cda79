//! What was asked and answered: exact counters for ever, single entries in a ring of bounded size.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::Moment;
use crate::window::Peak;

/// One request and what became of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Entry {
    /// Number of the request, from 1.
    pub(crate) number: u64,
    /// Arrival, milliseconds since 1970 UTC.
    pub(crate) time: i64,
    /// Arrival, milliseconds since the simulator started; monotonic.
    pub(crate) ms: f64,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) operation: &'static str,
    /// Whether the operation writes.
    pub(crate) write: bool,
    /// Status that was sent; 0 when none was (cut, or the client went away).
    pub(crate) status: u16,
    /// Rows the request held, as its handler counted them.
    pub(crate) rows: usize,
    pub(crate) bytes_in: usize,
    /// Names of the faults that fired.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) faults: Vec<&'static str>,
    /// Milliseconds from arrival to the start of the answer.
    pub(crate) took_ms: f64,
}

#[derive(Debug, Default, Clone, Serialize)]
struct OperationCount {
    total: u64,
    rows: u64,
    by_status: BTreeMap<u16, u64>,
}

#[derive(Debug)]
struct Book {
    ring: VecDeque<Entry>,
    next: u64,
    open: u64,
    open_max: u64,
    operations: BTreeMap<&'static str, OperationCount>,
    faults: BTreeMap<&'static str, u64>,
    writes: u64,
    rows_written: u64,
    bytes_in: u64,
    arrivals: Peak,
    admitted: Peak,
}

impl Book {
    fn new() -> Self {
        let ten_seconds = Duration::from_secs(10);
        Self {
            ring: VecDeque::new(),
            next: 1,
            open: 0,
            open_max: 0,
            operations: BTreeMap::new(),
            faults: BTreeMap::new(),
            writes: 0,
            rows_written: 0,
            bytes_in: 0,
            arrivals: Peak::over(ten_seconds),
            admitted: Peak::over(ten_seconds),
        }
    }
}

/// The journal of all requests but those to the simulator itself.
#[derive(Debug)]
pub(crate) struct Journal {
    book: Mutex<Book>,
    entries_max: usize,
}

/// Counters over the simulator's whole life, or since the last reset.
#[derive(Debug, Serialize)]
pub(crate) struct Stats {
    requests: u64,
    by_operation: BTreeMap<&'static str, OperationCount>,
    by_status: BTreeMap<u16, u64>,
    writes: u64,
    rows_written: u64,
    throttled: u64,
    unanswered: u64,
    bytes_in: u64,
    in_flight: u64,
    in_flight_max: u64,
    max_in_10s: u64,
    max_admitted_in_10s: u64,
    faults: BTreeMap<&'static str, u64>,
}

impl Journal {
    pub(crate) fn new(entries_max: usize) -> Arc<Self> {
        Arc::new(Self { book: Mutex::new(Book::new()), entries_max })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the entry of a request that has just arrived.
    pub(crate) fn open(self: &Arc<Self>, now: Moment, request: Asked<'_>) -> OpenEntry {
        let mut book = self.book();
        let number = book.next;
        book.next += 1;
        book.open += 1;
        book.open_max = book.open_max.max(book.open);
        book.arrivals.arrive(now.since_start_us);
        drop(book);
        let entry = Entry {
            number,
            time: now.unix_ms,
            ms: millis(now.since_start_us),
            method: request.method.to_owned(),
            path: request.path.chars().take(256).collect(),
            operation: request.operation,
            write: request.write,
            status: 0,
            rows: 0,
            bytes_in: 0,
            faults: Vec::new(),
            took_ms: 0.0,
        };
        OpenEntry { journal: Arc::clone(self), arrived_us: now.since_start_us, entry: Some(entry) }
    }

    /// Counts a request that passed the rate limits.
    pub(crate) fn admit(&self, now: Moment) {
        self.book().admitted.arrive(now.since_start_us);
    }

    fn close(&self, entry: Entry) {
        let mut book = self.book();
        book.open = book.open.saturating_sub(1);
        let count = book.operations.entry(entry.operation).or_default();
        count.total += 1;
        count.rows += entry.rows as u64;
        *count.by_status.entry(entry.status).or_default() += 1;
        for fault in &entry.faults {
            *book.faults.entry(fault).or_default() += 1;
        }
        book.bytes_in += entry.bytes_in as u64;
        if entry.write {
            book.writes += 1;
            book.rows_written += entry.rows as u64;
        }
        if self.entries_max > 0 {
            if book.ring.len() >= self.entries_max {
                book.ring.pop_front();
            }
            book.ring.push_back(entry);
        }
    }

    pub(crate) fn reset(&self) {
        let mut book = self.book();
        let open = book.open;
        *book = Book { open, open_max: open, next: book.next, ..Book::new() };
    }

    /// Entries with a number above `after`, oldest first, at most `limit`.
    pub(crate) fn entries(&self, after: u64, limit: usize) -> Vec<Entry> {
        let book = self.book();
        book.ring.iter().filter(|entry| entry.number > after).take(limit).cloned().collect()
    }

    pub(crate) fn stats(&self) -> Stats {
        let book = self.book();
        let mut by_status = BTreeMap::new();
        for (status, count) in book.operations.values().flat_map(|count| &count.by_status) {
            *by_status.entry(*status).or_default() += count;
        }
        Stats {
            requests: book.operations.values().map(|count| count.total).sum(),
            by_operation: book.operations.clone(),
            writes: book.writes,
            rows_written: book.rows_written,
            throttled: by_status.get(&429).copied().unwrap_or(0),
            unanswered: by_status.get(&0).copied().unwrap_or(0),
            by_status,
            bytes_in: book.bytes_in,
            in_flight: book.open,
            in_flight_max: book.open_max,
            max_in_10s: book.arrivals.most(),
            max_admitted_in_10s: book.admitted.most(),
            faults: book.faults.clone(),
        }
    }
}

/// The first facts about a request.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) operation: &'static str,
    pub(crate) write: bool,
}

/// An entry that is written when it is dropped, so that a client that goes away is journalled too.
pub(crate) struct OpenEntry {
    journal: Arc<Journal>,
    arrived_us: u64,
    entry: Option<Entry>,
}

impl OpenEntry {
    pub(crate) fn number(&self) -> u64 {
        self.entry.as_ref().map_or(0, |entry| entry.number)
    }

    pub(crate) fn body(&mut self, bytes: usize) {
        if let Some(entry) = &mut self.entry {
            entry.bytes_in = bytes;
        }
    }

    pub(crate) fn fault(&mut self, name: &'static str) {
        if let Some(entry) = &mut self.entry {
            entry.faults.push(name);
        }
    }

    pub(crate) fn answered(&mut self, status: u16, now: Moment) {
        if let Some(entry) = &mut self.entry {
            entry.status = status;
            entry.took_ms = millis(now.since_start_us.saturating_sub(self.arrived_us));
        }
    }

    pub(crate) fn rows(&mut self, rows: usize) {
        if let Some(entry) = &mut self.entry {
            entry.rows = rows;
        }
    }
}

impl Drop for OpenEntry {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            self.journal.close(entry);
        }
    }
}

fn millis(us: u64) -> f64 {
    us as f64 / 1_000.0
}
