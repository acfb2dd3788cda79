//! Delivering: rows into calls, each call made, repeated and bisected until every row has an answer.

use std::sync::Arc;
use std::time::Duration;

use flow::arrow::array::Array;
use flow::arrow::error::ArrowError;
use flow::metrics::{Busy, Metrics};
use flow::{
    Clock, Code, Destination, Entry, Error, Fingerprint, Key, Kind, MatchHash, Mode, Outcome,
    Payload, Receipt, Reject, Retry, Stage, Unconfirmed, WriteBatch,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::doubt::Doubt;
use crate::retry::Attempts;
use crate::{RetryPolicy, codes};

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
    /// The record's own id, when its match value changes and it must be renamed rather than found by the new value.
    /// All rows of a call have one, or none has.
    pub(crate) record_id: Option<String>,
}

impl Row {
    fn unheard(&self) -> Option<Unconfirmed> {
        self.doubt.left_until().map(|until| self.unconfirmed(until))
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
}

impl Call {
    /// Size of the payload, by and large.
    pub(crate) fn bytes(&self) -> u64 {
        let columns = self.payload.fields.columns().iter();
        let sizes = columns.map(|column| column.to_data().get_slice_memory_size().unwrap_or(0));
        sizes.sum::<usize>() as u64
    }

    fn take(&self, rows: &[u32]) -> Result<Self, ArrowError> {
        Ok(Self {
            rows: rows.iter().map(|row| self.rows[*row as usize].clone()).collect(),
            payload: self.payload.take(rows)?,
        })
    }

    /// The same rows, found by their match values.
    fn unrenamed(mut self) -> Self {
        self.rows.iter_mut().for_each(|row| row.record_id = None);
        self
    }

    fn split(mut self) -> (Self, Self) {
        let half = self.rows.len() / 2;
        let rest = self.rows.split_off(half);
        let payload = self.payload.slice(half, rest.len());
        self.payload = self.payload.slice(0, half);
        (self, Self { rows: rest, payload })
    }
}

/// Collects rows until a call is full.
pub(crate) struct Batcher {
    rows_max: usize,
    waiting: Option<Call>,
}

impl Batcher {
    pub(crate) fn new(rows_max: usize) -> Self {
        Self { rows_max: rows_max.max(1), waiting: None }
    }

    /// Rows of a full call.
    pub(crate) fn rows_max(&self) -> usize {
        self.rows_max
    }

    /// Rows that wait for more.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.as_ref().map_or(0, |call| call.rows.len() as u64)
    }

    /// Adds rows and gives back the calls that are full.
    pub(crate) fn push(&mut self, more: Call) -> Result<Vec<Call>, ArrowError> {
        let all = match self.waiting.take() {
            None => more,
            Some(waiting) => {
                let payload = Payload::concat(&[waiting.payload, more.payload])?;
                let mut rows = waiting.rows;
                rows.extend(more.rows);
                Call { rows, payload }
            }
        };
        let mut calls = Vec::with_capacity(all.rows.len() / self.rows_max);
        let mut first = 0;
        for rows in all.rows.chunks(self.rows_max) {
            let payload = all.payload.slice(first, rows.len());
            first += rows.len();
            calls.push(Call { rows: rows.to_vec(), payload });
        }
        if calls.last().is_some_and(|call| call.rows.len() < self.rows_max) {
            self.waiting = calls.pop();
        }
        Ok(calls)
    }

    /// The rows that wait, as a call that is not full.
    pub(crate) fn flush(&mut self) -> Option<Call> {
        self.waiting.take()
    }
}

/// The answer for one row.
#[derive(Debug)]
pub(crate) enum Answer {
    Delivered { created: bool, remote_id: Option<String> },
    Rejected(Reject),
}

/// What became of one call.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    /// Size of the call's payload.
    pub(crate) bytes: u64,
    /// Rows with an answer.
    pub(crate) settled: Vec<(Row, Answer)>,
    /// Rows without one; the next run sends them again.
    pub(crate) unsettled: u64,
    /// Those of them that may yet be applied.
    pub(crate) unheard: Vec<Unconfirmed>,
    /// Write calls made.
    pub(crate) requests: u64,
    /// Write calls made again.
    pub(crate) retries: u64,
    /// Why the run cannot go on.
    pub(crate) error: Option<Error>,
    /// Rows whose record could not be renamed: they are found by their match value after all.
    unrenamed: Vec<Call>,
}

/// Makes calls.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) destination: Arc<dyn Destination>,
    pub(crate) metrics: Arc<Metrics>,
    /// Sync and connection name, for metrics.
    pub(crate) sync: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) object: Arc<str>,
    pub(crate) mode: Mode,
    /// Its rows left the model: their records are addressed by nothing but their ids.
    pub(crate) removes: bool,
    pub(crate) match_on: Arc<[String]>,
    pub(crate) run_id: Arc<str>,
    pub(crate) retry: RetryPolicy,
    pub(crate) drain: CancellationToken,
    pub(crate) clock: Arc<dyn Clock>,
    /// See [`flow::Limits::apply_max`].
    pub(crate) apply_max: Duration,
}

/// Rows of one call that still need an answer.
struct Part {
    call: Call,
    attempts: Attempts,
}

impl Part {
    fn new(call: Call, retry: RetryPolicy) -> Self {
        Self { call, attempts: Attempts::new(retry) }
    }
}

#[expect(clippy::large_enum_variant, reason = "lives only from one attempt to the next")]
enum Next {
    Done,
    /// After this pause.
    Again(Part, Duration, &'static str),
    Split(Call),
    Failed(Error, Vec<Row>),
}

impl Caller {
    /// Sends the call until every row has an answer, or none can be had. Only rows without an answer are sent again.
    pub(crate) async fn deliver(&self, call: Call) -> Delivery {
        let mut delivery = Delivery { bytes: call.bytes(), ..Delivery::default() };
        let mut parts = vec![Part::new(call, self.retry)];
        while let Some(part) = parts.pop() {
            let next = self.attempt(part, &mut delivery).await;
            let unrenamed = std::mem::take(&mut delivery.unrenamed);
            parts.extend(unrenamed.into_iter().map(|call| Part::new(call, self.retry)));
            match next {
                Next::Done => {}
                Next::Split(call) => {
                    let (first, second) = call.split();
                    parts.extend([second, first].map(|call| Part::new(call, self.retry)));
                }
                Next::Again(part, pause, reason) => {
                    let drained = tokio::select! {
                        biased;
                        () = tokio::time::sleep(pause) => false,
                        () = self.drain.cancelled() => true,
                    };
                    parts.push(part);
                    if drained {
                        break;
                    }
                    delivery.retries += 1;
                    self.metrics.retry(&self.name, reason);
                }
                Next::Failed(error, rows) => {
                    delivery.error = Some(error);
                    delivery.leave(&rows);
                    break;
                }
            }
        }
        parts.iter().for_each(|part| delivery.leave(&part.call.rows));
        delivery
    }

    /// Until when what is not heard of now may be carried out.
    fn applies_until(&self) -> i64 {
        let apply_max = i64::try_from(self.apply_max.as_micros()).unwrap_or(i64::MAX);
        self.clock.now_micros().saturating_add(apply_max)
    }

    async fn attempt(&self, mut part: Part, delivery: &mut Delivery) -> Next {
        let rows = part.call.rows.len();
        let batch = WriteBatch {
            object: Arc::clone(&self.object),
            mode: self.mode,
            match_on: Arc::clone(&self.match_on),
            payload: part.call.payload.clone(),
            record_ids: part.call.rows.iter().filter_map(|row| row.record_id.clone()).collect(),
            job: None,
            run_id: Arc::clone(&self.run_id),
        };
        delivery.requests += 1;
        self.metrics.batch_rows(&self.name, &self.object, rows);
        let (now, began) = (self.clock.now_micros(), Instant::now());
        part.call.rows.iter_mut().for_each(|row| row.doubt.begin(now));
        let answer = self.destination.write(&batch).await;
        self.metrics.busy(&self.sync, Busy::Write, began.elapsed());
        match answer {
            Ok(receipt) if receipt.outcomes.len() == rows => {
                self.attribute(part, receipt, delivery)
            }
            Ok(_) => {
                let message = "a receipt does not have one outcome per row";
                self.not_heard(&mut part.call.rows);
                Next::Failed(Error::new(&codes::E4007, message), part.call.rows)
            }
            Err(error) if error.kind() == Kind::Poison => match rows {
                1 if self.may_find(&part.call.rows[0]) => {
                    delivery.unrenamed.push(part.call.unrenamed());
                    Next::Done
                }
                1 => {
                    let rejection = (error.code(), error.message().to_owned(), None);
                    delivery.reject(part.call.rows.remove(0), rejection);
                    Next::Done
                }
                _ => Next::Split(part.call),
            },
            Err(error) => {
                if error.is_ambiguous() {
                    self.not_heard(&mut part.call.rows);
                }
                match part.attempts.next_pause(error.retry()) {
                    Some(pause) => Next::Again(part, pause, reason_of(&error)),
                    None => Next::Failed(given_up(error), part.call.rows),
                }
            }
        }
    }

    fn not_heard(&self, rows: &mut [Row]) {
        let until = self.applies_until();
        rows.iter_mut().for_each(|row| row.doubt.not_heard(until));
    }

    /// Whether a row that was addressed by its record's id can be found by its match value as well.
    fn may_find(&self, row: &Row) -> bool {
        row.record_id.is_some() && !self.removes
    }

    /// Gives every row its outcome; rows without a final one are tried again, and are rejects when that is over.
    fn attribute(&self, mut part: Part, receipt: Receipt, delivery: &mut Delivery) -> Next {
        let (mut again, mut unrenamed) = (Vec::new(), Vec::new());
        let mut wait = Retry::Backoff;
        let mut why = "unanswered";
        let until = self.applies_until();
        for (index, outcome) in receipt.outcomes.into_iter().enumerate() {
            let row = &mut part.call.rows[index];
            match outcome {
                Outcome::Delivered { created, remote_id } => {
                    let created = created.unwrap_or(row.prior.match_hash.is_none());
                    let answer = Answer::Delivered { created, remote_id };
                    delivery.settled.push((row.clone(), answer));
                }
                Outcome::AcceptedUnverified { remote_id } => {
                    let created = row.prior.match_hash.is_none();
                    let answer = Answer::Delivered { created, remote_id };
                    delivery.settled.push((row.clone(), answer));
                }
                Outcome::Rejected { .. } if self.may_find(row) => unrenamed.push(index as u32),
                Outcome::Rejected { code, message, field } => {
                    delivery.reject(row.clone(), (code, message, field));
                }
                Outcome::Retry { after, reason } => {
                    if let Some(after) = after {
                        wait = longer(wait, after);
                    }
                    why = reason;
                    again.push(index as u32);
                }
                Outcome::Unknown { reason } => {
                    row.doubt.not_heard(until);
                    why = reason;
                    again.push(index as u32);
                }
            }
        }
        let (call, unrenamed) = match (part.call.take(&again), part.call.take(&unrenamed)) {
            (Ok(call), Ok(unrenamed)) => (call, unrenamed),
            (Err(error), _) | (_, Err(error)) => {
                let lost = Error::new(&codes::E4007, "rows to repeat could not be taken");
                let left = again.iter().chain(&unrenamed);
                let rows = left.map(|row| part.call.rows[*row as usize].clone()).collect();
                return Next::Failed(lost.with_source(error), rows);
            }
        };
        if !unrenamed.rows.is_empty() {
            delivery.unrenamed.push(unrenamed.unrenamed());
        }
        if call.rows.is_empty() {
            return Next::Done;
        }
        match part.attempts.next_pause(wait) {
            Some(pause) => Next::Again(Part { call, attempts: part.attempts }, pause, why),
            None => {
                for row in call.rows {
                    delivery.reject(row, (&codes::R402, why.to_owned(), None));
                }
                Next::Done
            }
        }
    }
}

impl Delivery {
    /// These rows end without an answer.
    fn leave(&mut self, rows: &[Row]) {
        self.unsettled += rows.len() as u64;
        self.unheard.extend(rows.iter().filter_map(Row::unheard));
    }

    fn reject(&mut self, row: Row, rejection: (&'static Code, String, Option<String>)) {
        let (code, reason, field) = rejection;
        let reject = Reject {
            key: Some(row.key.clone()),
            stage: Stage::Destination,
            code,
            field,
            reason,
            fingerprint: Some(row.fingerprint),
        };
        self.settled.push((row, Answer::Rejected(reject)));
    }
}

fn longer(wait: Retry, after: Duration) -> Retry {
    match wait {
        Retry::After(known) if known >= after => wait,
        _ => Retry::After(after),
    }
}

/// A word for the metric; a closed set.
fn reason_of(error: &Error) -> &'static str {
    match (error.retry(), error.kind()) {
        (Retry::After(_), _) => "throttled",
        (_, Kind::Unreachable) => "unreachable",
        _ if error.is_ambiguous() => "ambiguous",
        _ => "transient",
    }
}

/// The error a run ends with when a call cannot be repeated any more.
fn given_up(error: Error) -> Error {
    match (error.retry(), error.kind()) {
        // A wait that is too long says itself when it ends.
        (Retry::Never | Retry::After(_), _) => error,
        (_, Kind::Unreachable | Kind::Credentials | Kind::Config) => error,
        _ => {
            let message = format!("gave up after repeated failures; the last one was {error}");
            Error::new(&codes::E4002, message).with_source(error)
        }
    }
}
