//! Delivering: rows into calls, each call made, repeated and bisected until every row has an answer.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use flow::metrics::{Busy, Metrics};
use flow::{
    Clock, Code, Destination, Error, Journal, Kind, Lease, Limits, Mode, Outcome, Receipt, Reject,
    Result, Retry, Stage, Store, Unconfirmed, WriteBatch,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::batch::{Call, Row};
use crate::jobs::JobRecord;
use crate::retry::Attempts;
use crate::sort::payload_lost;
use crate::{RetryPolicy, codes};

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
    /// Jobs that have ended, or never will have a row.
    pub(crate) ended_jobs: Vec<String>,
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
    pub(crate) limits: Limits,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) lease: Arc<Lease>,
    /// Of every row only these fields are sent.
    pub(crate) only: Option<Arc<[String]>>,
}

/// Rows of one call that still need an answer.
pub(crate) struct Part {
    pub(crate) call: Call,
    pub(crate) attempts: Attempts,
    /// The job its rows are sent as; an earlier attempt wrote it down.
    pub(crate) job: Option<Arc<JobRecord>>,
}

impl Part {
    fn new(call: Call, retry: RetryPolicy) -> Self {
        Self { call, attempts: Attempts::new(retry), job: None }
    }
}

#[expect(clippy::large_enum_variant, reason = "lives only from one attempt to the next")]
pub(crate) enum Next {
    Done,
    /// After this pause.
    Again(Part, Duration, &'static str),
    Split(Call),
    Failed(Error, Vec<Row>),
    /// The run is told to stop; the rows' job goes on without it.
    Left(Vec<Row>),
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
                    delivery.retries += 2;
                    self.metrics.retry(&self.name, "halved");
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
                Next::Left(rows) => {
                    delivery.leave(&rows);
                    break;
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
    pub(crate) fn applies_until(&self) -> i64 {
        let apply_max = i64::try_from(self.limits.apply_max.as_micros()).unwrap_or(i64::MAX);
        self.clock.now_micros().saturating_add(apply_max)
    }

    /// One write of these rows.
    pub(crate) async fn write(
        &self,
        call: &mut Call,
        job: Option<Arc<dyn Journal>>,
        delivery: &mut Delivery,
    ) -> Result<Receipt> {
        let batch = WriteBatch {
            object: Arc::clone(&self.object),
            mode: self.mode,
            match_on: Arc::clone(&self.match_on),
            payload: match &self.only {
                Some(only) => call.payload.only(only).map_err(payload_lost)?,
                None => call.payload.clone(),
            },
            record_ids: call.rows.iter().filter_map(|row| row.record_id.clone()).collect(),
            job,
            run_id: Arc::clone(&self.run_id),
        };
        delivery.requests += 1;
        self.metrics.batch_rows(&self.name, &self.object, call.rows.len());
        let (now, began) = (self.clock.now_micros(), Instant::now());
        call.rows.iter_mut().for_each(|row| row.doubt.begin(now));
        let answer = self.under_lease(self.destination.write(&batch)).await;
        self.metrics.busy(&self.sync, Busy::Write, began.elapsed());
        answer
    }

    /// Goes on with a request only while the lease is certain to be ours: a process that stood still first asks, and sends
    /// nothing where somebody else has taken over (S2).
    async fn under_lease<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        let mut request = std::pin::pin!(request);
        loop {
            let step = std::future::poll_fn(|context| match self.store.is_certain(&self.lease) {
                true => request.as_mut().poll(context).map(Some),
                false => Poll::Ready(None),
            });
            match step.await {
                Some(answer) => return answer,
                // Some of the request may be on its way.
                None => self
                    .store
                    .confirm_lease(&self.lease)
                    .await
                    .map_err(|error| error.ambiguous())?,
            }
        }
    }

    async fn attempt(&self, mut part: Part, delivery: &mut Delivery) -> Next {
        if part.call.job {
            return self.attempt_job(part, delivery).await;
        }
        let rows = part.call.rows.len();
        match self.write(&mut part.call, None, delivery).await {
            Ok(receipt) if receipt.outcomes.len() == rows => {
                self.attribute(part, receipt, delivery)
            }
            Ok(_) => {
                let message = "a receipt does not have one outcome per row";
                self.not_heard(&mut part.call.rows);
                Next::Failed(Error::new(&codes::E4007, message), part.call.rows)
            }
            Err(error) => {
                if error.is_ambiguous() {
                    self.not_heard(&mut part.call.rows);
                }
                if error.kind() == Kind::Poison {
                    return self.poison(part.call, &error, delivery);
                }
                match part.attempts.next_pause(error.retry()) {
                    Some(pause) => Next::Again(part, pause, reason_of(&error)),
                    None => Next::Failed(given_up(error), part.call.rows),
                }
            }
        }
    }

    pub(crate) fn not_heard(&self, rows: &mut [Row]) {
        let until = self.applies_until();
        rows.iter_mut().for_each(|row| row.doubt.not_heard(until));
    }

    /// A call that was refused because of rows it does not name: nothing of it was applied.
    pub(crate) fn poison(&self, mut call: Call, error: &Error, delivery: &mut Delivery) -> Next {
        match call.rows.len() {
            1 if self.may_find(&call.rows[0]) => {
                delivery.unrenamed.push(call.unrenamed());
                Next::Done
            }
            1 => {
                let rejection = (error.code(), error.message().to_owned(), None);
                delivery.reject(call.rows.remove(0), rejection);
                Next::Done
            }
            _ => Next::Split(call),
        }
    }

    /// Whether a row that was addressed by its record's id can be found by its match value as well.
    fn may_find(&self, row: &Row) -> bool {
        row.record_id.is_some() && !self.removes
    }

    /// Gives every row its outcome; rows without a final one are tried again, and are rejects when that is over.
    pub(crate) fn attribute(
        &self,
        mut part: Part,
        receipt: Receipt,
        delivery: &mut Delivery,
    ) -> Next {
        let (mut again, mut unrenamed) = (Vec::new(), Vec::new());
        let mut wait = Retry::Backoff;
        let mut why = "unanswered";
        let until = self.applies_until();
        for (index, outcome) in receipt.outcomes.into_iter().enumerate() {
            let row = &mut part.call.rows[index];
            match row.whole(outcome) {
                Outcome::Rejected { .. } if self.may_find(row) => unrenamed.push(index as u32),
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
                outcome => delivery.answer(row.clone(), outcome),
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
            Some(pause) => {
                let jobs = self.limits.jobs.filter(|_| part.call.job);
                let job = jobs.is_some_and(|jobs| call.rows.len() >= jobs.rows_min);
                let call = Call { job, ..call };
                Next::Again(Part { call, attempts: part.attempts, job: None }, pause, why)
            }
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

    /// A final outcome; any other is none.
    pub(crate) fn answer(&mut self, row: Row, outcome: Outcome) {
        let first = row.prior.match_hash.is_none();
        let answer = match outcome {
            Outcome::Delivered { created, remote_id } => {
                Answer::Delivered { created: created.unwrap_or(first), remote_id }
            }
            Outcome::AcceptedUnverified { remote_id } => {
                Answer::Delivered { created: first, remote_id }
            }
            Outcome::Rejected { code, message, field } => {
                return self.reject(row, (code, message, field));
            }
            Outcome::Retry { .. } | Outcome::Unknown { .. } | Outcome::InPart { .. } => return,
        };
        self.settled.push((row, answer));
    }

    fn reject(&mut self, row: Row, rejection: (&'static Code, String, Option<String>)) {
        let (code, reason, field) = rejection;
        let reject = Reject {
            key: Some(row.key.clone()),
            stage: Stage::Destination,
            code,
            field,
            reason,
            // Where nobody refused the payload, it is sent again whenever its row is read.
            fingerprint: (code.id != codes::R402.id).then_some(row.fingerprint),
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
pub(crate) fn reason_of(error: &Error) -> &'static str {
    match (error.retry(), error.kind()) {
        (Retry::After(_), _) => "throttled",
        (_, Kind::Unreachable) => "unreachable",
        _ if error.is_ambiguous() => "ambiguous",
        _ => "transient",
    }
}

/// The error a run ends with when a call cannot be repeated any more.
pub(crate) fn given_up(error: Error) -> Error {
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
