//! Batching: rows on their way, and how many of them make one call or one job.

use flow::arrow::array::Array;
use flow::arrow::datatypes::DataType;
use flow::arrow::error::ArrowError;
use flow::{Entry, Fingerprint, Key, Limits, MatchHash, Outcome, Payload, Unconfirmed};

use crate::doubt::Doubt;

/// A job is in memory more than once while it is sent, so that it has no more bytes than this, whatever the destination
/// takes (L2).
const JOB_BYTES_MAX: usize = 16 << 20;
/// What a field takes in a body besides its name and its text.
const FIELD_BYTES: usize = 8;
/// A number, a moment or a yes, as text.
const VALUE_BYTES: usize = 24;

/// What the engine keeps of a row while it is on its way.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// The range of the read it belongs to.
    pub(crate) range: u64,
    pub(crate) key: Key,
    pub(crate) match_hash: MatchHash,
    pub(crate) fingerprint: Fingerprint,
    /// The ledger's memory before this row was sent.
    pub(crate) prior: Entry,
    /// When it changed in the warehouse, in microseconds since 1970.
    pub(crate) changed_at: Option<i64>,
    /// What may still change its record.
    pub(crate) doubt: Doubt,
    /// What is remembered of its payload once it is acknowledged.
    pub(crate) payload: Option<Vec<u8>>,
    /// The record's own id, when its match value changes and it must be renamed rather than found by the new value.
    /// All rows of a call have one, or none has.
    pub(crate) record_id: Option<String>,
}

impl Row {
    pub(crate) fn unheard(&self) -> Option<Unconfirmed> {
        self.doubt.left_until().map(|until| self.unconfirmed(until))
    }

    /// What became of the row as a whole, after taking note of a record that was written in part: it is this row's from
    /// now on, to be looked up and removed, and what it held before is gone.
    pub(crate) fn whole(&mut self, outcome: Outcome) -> Outcome {
        let Outcome::InPart { remote_id, rest } = outcome else { return outcome };
        self.doubt.in_part();
        self.prior.match_hash = Some(self.match_hash);
        self.prior.remote_id = remote_id.or(self.prior.remote_id.take());
        *rest
    }

    /// The row, to be confirmed after that time.
    pub(crate) fn unconfirmed(&self, confirm_after: i64) -> Unconfirmed {
        Unconfirmed { key: self.key.clone(), match_hash: self.match_hash, confirm_after }
    }
}

/// Rows for one write call and their payloads, in the same order.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) rows: Vec<Row>,
    pub(crate) payload: Payload,
    /// It is sent as a job.
    pub(crate) job: bool,
}

impl Call {
    /// Size of the payload, by and large.
    pub(crate) fn bytes(&self) -> u64 {
        let columns = self.payload.fields.columns().iter();
        let sizes = columns.map(|column| column.to_data().get_slice_memory_size().unwrap_or(0));
        sizes.sum::<usize>() as u64
    }

    pub(crate) fn take(&self, rows: &[u32]) -> Result<Self, ArrowError> {
        Ok(Self {
            rows: rows.iter().map(|row| self.rows[*row as usize].clone()).collect(),
            payload: self.payload.take(rows)?,
            job: self.job,
        })
    }

    /// The same rows, found by their match values.
    pub(crate) fn unrenamed(mut self) -> Self {
        self.rows.iter_mut().for_each(|row| row.record_id = None);
        self
    }

    pub(crate) fn split(mut self) -> (Self, Self) {
        let half = self.rows.len() / 2;
        let rest = self.rows.split_off(half);
        let payload = self.payload.slice(half, rest.len());
        self.payload = self.payload.slice(0, half);
        let rest = Self { rows: rest, payload, job: self.job };
        (self, rest)
    }

    /// The first `rows` rows; the others stay.
    fn split_off_first(&mut self, rows: usize) -> Self {
        let rest = self.rows.split_off(rows);
        let left = self.payload.slice(rows, rest.len());
        let first = Self {
            rows: std::mem::replace(&mut self.rows, rest),
            payload: self.payload.slice(0, rows),
            job: false,
        };
        self.payload = left;
        first
    }
}

/// How much goes together.
#[derive(Debug, Clone, Copy)]
struct Room {
    rows: usize,
    bytes: usize,
}

/// Collects rows until a call, or a job, is full.
#[derive(Debug)]
pub(crate) struct Batcher {
    call: Room,
    /// How many rows at least make a job, and how many go into one.
    job: Option<(usize, Room)>,
    waiting: Vec<Call>,
    rows: usize,
    bytes: usize,
}

impl Batcher {
    /// For an object with these limits; `rows_max` where a call is to be smaller.
    pub(crate) fn new(limits: &Limits, rows_max: Option<usize>) -> Self {
        let rows = |most: usize| rows_max.unwrap_or(most).min(most).max(1);
        let job = limits.jobs.map(|jobs| {
            // Where everything is a job, a job is what a call is elsewhere.
            let most = if jobs.rows_min <= 1 { rows(jobs.rows_max) } else { jobs.rows_max.max(1) };
            (jobs.rows_min.max(1), Room { rows: most, bytes: jobs.bytes_max.min(JOB_BYTES_MAX) })
        });
        let call = Room { rows: rows(limits.rows_max), bytes: limits.bytes_max };
        Self { call, job, waiting: Vec::new(), rows: 0, bytes: 0 }
    }

    /// Rows of a full call; of a full job, where everything is a job.
    pub(crate) fn rows_max(&self) -> usize {
        self.only_jobs().map_or(self.call.rows, |room| room.rows)
    }

    /// Whether everything is a job.
    pub(crate) fn is_for_jobs(&self) -> bool {
        self.only_jobs().is_some()
    }

    fn only_jobs(&self) -> Option<Room> {
        self.job.filter(|(rows_min, _)| *rows_min == 1).map(|(_, room)| room)
    }

    /// Rows that wait for more.
    pub(crate) fn waiting(&self) -> u64 {
        self.rows as u64
    }

    /// Adds rows and gives back the calls that are full.
    pub(crate) fn push(&mut self, more: Call) -> Result<Vec<Call>, ArrowError> {
        self.rows += more.rows.len();
        self.bytes += body_bytes(&more.payload);
        self.waiting.push(more);
        let room = self.job.map_or(self.call, |(_, room)| room);
        if self.rows < room.rows && self.bytes < room.bytes {
            return Ok(Vec::new());
        }
        let mut all = self.take_all()?;
        let mut full = Vec::new();
        while all.rows.len() >= room.rows || body_bytes(&all.payload) >= room.bytes {
            let rows = fitting(&all.payload, room);
            if rows == all.rows.len() && rows < room.rows && rows > 1 {
                break;
            }
            full.push(Call { job: self.job.is_some(), ..all.split_off_first(rows) });
            if all.rows.is_empty() {
                return Ok(full);
            }
        }
        (self.rows, self.bytes) = (all.rows.len(), body_bytes(&all.payload));
        self.waiting.push(all);
        Ok(full)
    }

    /// The rows that wait, as calls that need not be full.
    pub(crate) fn flush(&mut self) -> Result<Vec<Call>, ArrowError> {
        let mut calls = Vec::new();
        if self.rows == 0 {
            return Ok(calls);
        }
        let mut all = self.take_all()?;
        while !all.rows.is_empty() {
            let job = self.job.filter(|(rows_min, _)| all.rows.len() >= *rows_min);
            let rows = fitting(&all.payload, job.map_or(self.call, |(_, room)| room));
            calls.push(Call { job: job.is_some(), ..all.split_off_first(rows) });
        }
        Ok(calls)
    }

    fn take_all(&mut self) -> Result<Call, ArrowError> {
        (self.rows, self.bytes) = (0, 0);
        let mut parts = std::mem::take(&mut self.waiting);
        if parts.len() == 1 {
            return Ok(parts.remove(0));
        }
        let (rows, payloads): (Vec<_>, Vec<_>) =
            parts.into_iter().map(|part| (part.rows, part.payload)).unzip();
        Ok(Call { rows: rows.concat(), payload: Payload::concat(&payloads)?, job: false })
    }
}

/// How many of the first rows go together; one always does. What is too large nevertheless, the destination refuses, and
/// it is halved.
fn fitting(payload: &Payload, room: Room) -> usize {
    let rows = payload.rows().min(room.rows);
    if body_bytes(&payload.slice(0, rows)) <= room.bytes {
        return rows;
    }
    let (mut fits, mut too_many) = (1, rows);
    while too_many - fits > 1 {
        let middle = fits.midpoint(too_many);
        match body_bytes(&payload.slice(0, middle)) <= room.bytes {
            true => fits = middle,
            false => too_many = middle,
        }
    }
    fits
}

/// About how many bytes the rows take in a body that names every field in every row.
fn body_bytes(payload: &Payload) -> usize {
    let fields = payload.fields.schema_ref().fields().iter().zip(payload.fields.columns());
    let per_column = fields.map(|(field, column)| {
        let values = match column.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::List(_) => {
                column.to_data().get_slice_memory_size().unwrap_or(0)
            }
            _ => VALUE_BYTES * column.len(),
        };
        values + (field.name().len() + FIELD_BYTES) * column.len()
    });
    per_column.sum()
}

#[cfg(test)]
#[path = "batch/tests.rs"]
mod tests;
