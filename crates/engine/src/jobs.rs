//! Jobs: work the destination does by itself. Their intent is durable before anything is sent, and their id before any
//! row is; what nobody saw the end of is asked for and never made twice (D7).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flow::{
    Error, JobRow, Journal, Kind, Lease, Mode, OpenJob, Outcome, Receipt, Result, Resumed, Retry,
    Store, StoredJob, text_at,
};

use crate::batch::{Call, Row};
use crate::codes;
use crate::deliver::{Caller, Delivery, Next, Part, given_up, reason_of};

/// A run waits so long for a job; then it ends, and a later one asks for it.
const JOB_WAIT_MAX: Duration = Duration::from_secs(1800);
/// A run that is told to stop waits so long for its jobs.
const DRAIN_WAIT_MAX: Duration = Duration::from_secs(5);

/// One job as the state keeps it, and what has been heard of it since.
pub(crate) struct JobRecord {
    stored: StoredJob,
    store: Arc<dyn Store>,
    lease: Arc<Lease>,
    remote_id: Mutex<Option<String>>,
    /// An attempt to make it ended without a clear answer.
    unclear: bool,
}

impl JobRecord {
    fn remote_id(&self) -> Option<String> {
        self.remote_id.lock().expect("nothing panics under the lock").clone()
    }

    /// The destination may have made the job: it is asked for, and not made again.
    fn may_exist(&self) -> bool {
        self.unclear || self.remote_id().is_some()
    }

    fn open(&self) -> OpenJob {
        OpenJob { remote_id: self.remote_id(), ..self.stored.open.clone() }
    }
}

#[async_trait]
impl Journal for JobRecord {
    fn key(&self) -> &str {
        &self.stored.open.key
    }

    async fn created(&self, remote_id: &str) -> Result<()> {
        *self.remote_id.lock().expect("nothing panics under the lock") = Some(remote_id.to_owned());
        self.store.job_created(&self.lease, self.key(), remote_id).await
    }
}

/// Why waiting for a job ended before the job did.
enum Waited {
    TooLong,
    Drained,
}

impl Caller {
    /// Sends the rows as a job, or asks for the one that an earlier attempt may have made.
    pub(crate) async fn attempt_job(&self, mut part: Part, delivery: &mut Delivery) -> Next {
        let record = match part.job.take() {
            Some(record) => record,
            None => match self.intend(&part.call).await {
                Ok(record) => record,
                Err(error) => return Next::Failed(error, part.call.rows),
            },
        };
        if record.may_exist() {
            return self.ask_again(record, part, delivery).await;
        }
        let journal: Arc<dyn Journal> = Arc::<JobRecord>::clone(&record);
        let written = self.write(&mut part.call, Some(journal), delivery);
        let answer = match self.in_time(written).await {
            Ok(answer) => answer,
            Err(waited) => return left(waited, part.call.rows),
        };
        match answer {
            Ok(receipt) => self.ended(&record, receipt, part, delivery),
            Err(error) if error.kind() == Kind::Lease => Next::Failed(error, part.call.rows),
            Err(error) if error.kind() == Kind::Poison => {
                delivery.ended_jobs.push(record.key().to_owned());
                self.poison(part.call, &error, delivery)
            }
            Err(error) => {
                let unclear = error.is_ambiguous();
                let made = record.may_exist();
                // Whatever went wrong: what may have been made can be asked for.
                let retry = match error.retry() {
                    Retry::Never if unclear => Retry::Backoff,
                    retry => retry,
                };
                match part.attempts.next_pause(retry) {
                    Some(pause) => {
                        let record = if unclear { self.unclear(&record) } else { record };
                        let part = Part { job: Some(record), ..part };
                        Next::Again(part, pause, reason_of(&error))
                    }
                    None => {
                        if !unclear && !made {
                            delivery.ended_jobs.push(record.key().to_owned());
                        }
                        Next::Failed(given_up(error), part.call.rows)
                    }
                }
            }
        }
    }

    /// Writes the intent down.
    async fn intend(&self, call: &Call) -> Result<Arc<JobRecord>> {
        let by_id = call.rows.iter().any(|row| row.record_id.is_some());
        let first = self.match_on.first().and_then(|name| call.payload.fields.column_by_name(name));
        let token = |(index, row): (usize, &Row)| match (&row.record_id, first) {
            (Some(id), _) => id.clone(),
            (None, Some(column)) => text_at(column, index).into_owned(),
            (None, None) => String::new(),
        };
        let rows = call.rows.iter().map(|row| JobRow {
            key: row.key.clone(),
            fingerprint: row.fingerprint,
            match_hash: row.match_hash,
            changed_at: row.changed_at,
            confirm_after: row.doubt.again_after(),
        });
        let stored = StoredJob {
            open: OpenJob {
                key: uuid::Uuid::now_v7().to_string(),
                remote_id: None,
                object: Arc::clone(&self.object),
                mode: self.mode,
                match_on: Arc::clone(&self.match_on),
                tokens: call.rows.iter().enumerate().map(token).collect(),
                intended_at: self.clock.now_micros(),
            },
            by_id,
            rows: rows.collect(),
        };
        self.store.put_job(&self.lease, &stored).await?;
        Ok(Arc::new(self.record(stored)))
    }

    fn record(&self, stored: StoredJob) -> JobRecord {
        let remote_id = Mutex::new(stored.open.remote_id.clone());
        let (store, lease) = (Arc::clone(&self.store), Arc::clone(&self.lease));
        JobRecord { stored, store, lease, remote_id, unclear: false }
    }

    fn unclear(&self, record: &JobRecord) -> Arc<JobRecord> {
        let stored = StoredJob { open: record.open(), ..record.stored.clone() };
        Arc::new(JobRecord { unclear: true, ..self.record(stored) })
    }

    /// The job has ended: every row gets its outcome.
    fn ended(
        &self,
        record: &JobRecord,
        receipt: Receipt,
        mut part: Part,
        delivery: &mut Delivery,
    ) -> Next {
        if receipt.outcomes.len() != part.call.rows.len() {
            let message = "a job's receipt does not have one outcome per row";
            self.not_heard(&mut part.call.rows);
            delivery.ended_jobs.push(record.key().to_owned());
            return Next::Failed(Error::new(&codes::E4007, message), part.call.rows);
        }
        delivery.ended_jobs.push(record.key().to_owned());
        self.attribute(part, receipt, delivery)
    }

    /// Asks for a job that this run may have made.
    async fn ask_again(
        &self,
        record: Arc<JobRecord>,
        mut part: Part,
        delivery: &mut Delivery,
    ) -> Next {
        delivery.requests += 1;
        let answer = match self.in_time(self.resume(record.open())).await {
            Ok(answer) => answer,
            Err(waited) => return left(waited, part.call.rows),
        };
        let (why, lost) = match answer {
            Ok(Resumed::Ended(receipt)) => return self.ended(&record, receipt, part, delivery),
            Ok(Resumed::NotApplied) => ("not applied", false),
            Ok(Resumed::Lost) => ("lost", true),
            Err(error) => {
                return match part.attempts.next_pause(error.retry()) {
                    Some(pause) => {
                        let part = Part { job: Some(record), ..part };
                        Next::Again(part, pause, reason_of(&error))
                    }
                    None => Next::Failed(given_up(error), part.call.rows),
                };
            }
        };
        delivery.ended_jobs.push(record.key().to_owned());
        if lost {
            self.not_heard(&mut part.call.rows);
        }
        match part.attempts.next_pause(Retry::Backoff) {
            Some(pause) => Next::Again(part, pause, why),
            None => {
                let message =
                    format!("a job of {} rows was {why}, again and again", part.call.rows.len());
                Next::Failed(Error::new(&codes::E4036, message), part.call.rows)
            }
        }
    }

    async fn resume(&self, open: OpenJob) -> Result<Resumed> {
        match self.destination.keeps_jobs() {
            Some(jobs) => jobs.resume(&open).await,
            None => Ok(Resumed::Lost),
        }
    }

    /// Waits for work at a job, but neither for ever nor long when the run is told to stop.
    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, Waited> {
        let drained = async {
            self.drain.cancelled().await;
            tokio::time::sleep(DRAIN_WAIT_MAX).await;
        };
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = drained => Err(Waited::Drained),
            () = tokio::time::sleep(JOB_WAIT_MAX) => Err(Waited::TooLong),
        }
    }

    /// Asks for a job of an earlier run; `rows` are its rows. What it cannot tell is left as it is, and asked again by a
    /// later run.
    pub(crate) async fn resume_open(&self, stored: StoredJob, rows: Vec<Row>) -> Delivery {
        let mut delivery = Delivery::default();
        let (key, by_id) = (stored.open.key.clone(), stored.by_id);
        let removed = stored.open.mode != self.mode || stored.open.mode == Mode::Delete;
        let repeated = crate::retry::repeat(self.retry, Error::retry, async || {
            delivery.requests += 1;
            self.resume(stored.open.clone()).await
        });
        let answer = match self.in_time(repeated).await {
            Ok(answer) => answer,
            Err(Waited::Drained) => return delivery,
            Err(Waited::TooLong) => Err(in_progress()),
        };
        match answer {
            Ok(Resumed::Ended(receipt)) if receipt.outcomes.len() == rows.len() => {
                let outcomes = rows.into_iter().zip(receipt.outcomes);
                self.book(outcomes, (by_id, removed), &mut delivery);
            }
            Ok(Resumed::NotApplied) => {}
            // An answer that does not fit says as little as none.
            Ok(Resumed::Ended(_) | Resumed::Lost) => {
                let until = self.applies_until();
                delivery.unheard.extend(rows.iter().map(|row| row.unconfirmed(until)));
            }
            Err(error) => {
                delivery.error = Some(error);
                return delivery;
            }
        }
        delivery.ended_jobs.push(key);
        delivery
    }

    /// Books what a job of an earlier run became. Rows without a final outcome are read and sent again as any.
    fn book(
        &self,
        outcomes: impl Iterator<Item = (Row, Outcome)>,
        (by_id, removed): (bool, bool),
        delivery: &mut Delivery,
    ) {
        let until = self.applies_until();
        for (mut row, outcome) in outcomes {
            match row.whole(outcome) {
                Outcome::Retry { .. } => {}
                // By its match value it may be found after all.
                Outcome::Rejected { .. } if by_id => {}
                Outcome::Unknown { .. } => delivery.unheard.push(row.unconfirmed(until)),
                // A removal may be sent twice without harm; the next one books it.
                _ if removed => {}
                outcome => delivery.answer(row, outcome),
            }
        }
    }
}

/// The job goes on without this run, which is told to stop or has waited long enough.
fn left(waited: Waited, rows: Vec<Row>) -> Next {
    match waited {
        Waited::Drained => Next::Left(rows),
        Waited::TooLong => Next::Failed(in_progress(), rows),
    }
}

fn in_progress() -> Error {
    let minutes = JOB_WAIT_MAX.as_secs() / 60;
    Error::new(
        &codes::E4035,
        format!("a job has not ended after {minutes} minutes; its rows are parked"),
    )
}
