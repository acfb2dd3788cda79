//! Bulk API 2.0: rows as one CSV file, worked on by Salesforce in its own time, with one result row per record.

mod plan;
mod results;

use std::time::Duration;

use flow::{Error, JobLimits, Mode, OpenJob, Receipt, Result, Resumed, Retry, WriteBatch};
use serde_json::json;
use tokio::time::Instant;
use writer::codes::E2012_FIELD;
use writer::csv::CsvReader;
use writer::{Method, Outcomes, Reply, Request};

use super::answer::{Job, JobList, is_job_id, same_id};
use super::codes::{E2103_JOB_FAILED, E2104_JOB_SLOW, E2105_JOB_STOPPED};
use super::wire::{ID, bare, is_name, object_path};
use super::{Salesforce, Transfer};

pub(super) use plan::Plan;
use results::{File, Reading, Rows};

/// Rows that are worth a job: below, Salesforce advises Collections.
const ROWS_MIN: usize = 2_000;
const ROWS_MAX: usize = 100_000;
/// Bytes of a job's rows; quotes can double them, and Salesforce takes 100 MB.
const BYTES_MAX: usize = 48 * 1024 * 1024;
/// The first pause between two questions after a job, and the longest.
const POLL_FIRST: Duration = Duration::from_millis(250);
const POLL_MAX: Duration = Duration::from_secs(10);
/// Questions in a row that may go unanswered.
const UNANSWERED_MAX: u32 = 8;

/// Pages of the list of jobs that are looked through, newest last; 1,000 jobs each.
const PAGES_MAX: usize = 10;
/// Clocks differ by so much at most, in microseconds.
const SKEW_MICROS: i64 = 120_000_000;
/// A job is made within so long of its intent, in microseconds.
const MAKING_MICROS: i64 = 900_000_000;

/// When rows become a job.
pub(super) const fn limits(always: bool) -> JobLimits {
    JobLimits {
        rows_min: if always { 1 } else { ROWS_MIN },
        rows_max: ROWS_MAX,
        bytes_max: BYTES_MAX,
    }
}

/// The file of a job that upserts these rows, in their order; for measurements.
///
/// # Errors
/// When the batch cannot be spelled.
pub fn job_file(batch: &WriteBatch) -> Result<Vec<u8>> {
    let plan = Plan {
        batch,
        operation: "upsert",
        external: None,
        id_column: None,
        ids: &[],
        tokens: Vec::new(),
    };
    let rows: Vec<usize> = (0..batch.payload.rows()).collect();
    let unfit = plan.unfit();
    let rows: Vec<usize> =
        rows.into_iter().filter(|row| unfit.binary_search(row).is_err()).collect();
    plan.csv(&rows)
}

impl Salesforce {
    /// Sends rows as a job and waits for its end.
    ///
    /// # Errors
    /// When the job could not be made, uploaded or watched. Only after `UploadComplete` may rows be applied, and only
    /// errors from then on are ambiguous.
    pub(super) async fn write_job(&self, plan: &Plan<'_>, order: &[usize]) -> Result<Receipt> {
        let csv = plan.csv(order)?;
        let job = self.create_job(plan).await.map_err(unambiguous)?;
        if let Some(journal) = &plan.batch.job {
            journal.created(&job.id).await?;
        }
        let uploaded = self.upload(&job.id, csv, || plan.csv(order)).await;
        if let Err(error) = uploaded {
            // Whether the file arrived or not: a job that is never closed applies nothing.
            _ = self.set_state(&job.id, "Aborted").await;
            return Err(unambiguous(error));
        }
        self.close(&job.id).await?;
        let rows = Rows::of(&plan.tokens, plan.batch.match_on[0].as_str(), plan.batch.mode);
        self.await_job(&job.id, &rows, plan.tokens.len()).await
    }

    async fn create_job(&self, plan: &Plan<'_>) -> Result<Job> {
        let mut body = json!({
            "object": object_path(&plan.batch.object)?,
            "operation": plan.operation,
            "contentType": "CSV",
            "columnDelimiter": "COMMA",
            "lineEnding": "LF",
        });
        if let Some(external) = plan.external {
            body["externalIdFieldName"] = external.into();
        }
        let reply = self.json(Method::POST, self.jobs(""), ("job_create", &body)).await?;
        self.job_of(&reply)
    }

    fn jobs(&self, rest: &str) -> String {
        format!("{}/jobs/ingest{rest}", self.base)
    }

    fn job_of(&self, reply: &Reply) -> Result<Job> {
        let judge = self.judge(0);
        match reply.is_success() {
            true => Job::read(reply).ok_or_else(|| judge.unreadable(reply)),
            false => Err(judge.error(reply)),
        }
    }

    /// Uploads the file; `again` makes the same bytes once more where the session ended.
    async fn upload(
        &self,
        id: &str,
        csv: Vec<u8>,
        again: impl Fn() -> Result<Vec<u8>> + Send + Sync,
    ) -> Result<()> {
        let first = std::sync::Mutex::new(Some(csv));
        let make = || {
            let kept = first.lock().ok().and_then(|mut kept| kept.take());
            let body = kept.map_or_else(&again, Ok)?;
            let path = self.jobs(&format!("/{id}/batches"));
            Ok(Request { method: Method::PUT, path, operation: "job_upload", body: Some(body) })
        };
        let reply = self.call(&make, Transfer::Csv(None)).await?;
        match reply.is_success() {
            true => Ok(()),
            false => Err(self.judge(0).error(&reply)),
        }
    }

    async fn set_state(&self, id: &str, state: &str) -> Result<Job> {
        let operation = if state == "Aborted" { "job_abort" } else { "job_close" };
        let body = json!({ "state": state });
        let reply =
            self.json(Method::PATCH, self.jobs(&format!("/{id}")), (operation, &body)).await?;
        self.job_of(&reply)
    }

    async fn job(&self, id: &str) -> Result<Job> {
        let path = self.jobs(&format!("/{id}"));
        let reply = self.ask(bare(Method::GET, path, "job_poll")).await?;
        self.job_of(&reply)
    }

    /// Says that the file is complete. Where the answer is lost, the job itself says whether it heard.
    async fn close(&self, id: &str) -> Result<()> {
        let Err(error) = self.set_state(id, "UploadComplete").await else { return Ok(()) };
        match self.job(id).await {
            Ok(job) if job.state == "Open" => {
                _ = self.set_state(id, "Aborted").await;
                match self.job(id).await {
                    Ok(job) if job.state == "Aborted" => Err(unambiguous(error)),
                    _ => Err(error.with_retry(Retry::Backoff).ambiguous()),
                }
            }
            Ok(_) => Ok(()),
            Err(_) => Err(error.with_retry(Retry::Backoff).ambiguous()),
        }
    }

    /// Asks after the job until it has ended, then for its results.
    async fn await_job(&self, id: &str, rows: &Rows<'_>, count: usize) -> Result<Receipt> {
        let deadline = Instant::now() + self.job_timeout;
        let (mut pause, mut unanswered) = (POLL_FIRST, 0);
        loop {
            let answer = match self.job(id).await {
                Ok(job) if is_void(&job) => return Err(self.given_up(&job)),
                Ok(job) if is_ended(&job.state) => self.results(&job, rows, count).await.map(Some),
                Ok(_) => Ok(None),
                Err(error) => Err(error),
            };
            let mut wait = pause;
            match answer {
                Ok(Some(receipt)) => return Ok(receipt),
                Ok(None) => unanswered = 0,
                Err(error) if !error.is_ambiguous() && error.retry() == Retry::Never => {
                    return Err(error);
                }
                Err(error) => {
                    unanswered += 1;
                    if unanswered > UNANSWERED_MAX {
                        return Err(error.ambiguous());
                    }
                    if let Retry::After(asked) = error.retry() {
                        wait = wait.max(asked);
                    }
                }
            }
            if Instant::now() + wait > deadline {
                let message =
                    format!("job {id} is still worked on; it is asked for again by the next run");
                return Err(Error::new(&E2104_JOB_SLOW, message).ambiguous());
            }
            tokio::time::sleep(wait).await;
            pause = pause.mul_f64(1.5).min(POLL_MAX);
        }
    }

    /// One outcome per row of a job that has ended.
    async fn results(&self, job: &Job, rows: &Rows<'_>, count: usize) -> Result<Receipt> {
        let complete = job.state == "JobComplete";
        let mut outcomes = Outcomes::new(count);
        if job.number_records_processed > job.number_records_failed || complete {
            self.read_file(job, (File::Successful, rows), &mut outcomes).await?;
        }
        if job.number_records_failed > 0 || !complete {
            self.read_file(job, (File::Failed, rows), &mut outcomes).await?;
        }
        if !complete {
            self.read_file(job, (File::Unprocessed, rows), &mut outcomes).await?;
        }
        if outcomes.strangers() > 0 {
            let results = outcomes.strangers();
            tracing::warn!(results, "Salesforce has results for rows it was not sent");
        }
        Ok(outcomes.receipt("no result for the row"))
    }

    async fn read_file(
        &self,
        job: &Job,
        (file, rows): (File, &Rows<'_>),
        outcomes: &mut Outcomes,
    ) -> Result<()> {
        let judge = self.judge(0);
        let mut reader = CsvReader::default();
        let mut reading = Reading { file, rows, judge: &judge, header: None };
        let path = self.jobs(&format!("/{}/{}", job.id, file.path()));
        let make = || Ok(bare(Method::GET, path.clone(), "job_result"));
        let mut sink = |piece: &[u8]| {
            reader.feed(piece, &mut |record| reading.record(record, outcomes));
        };
        let reply = self.call(&make, Transfer::Csv(Some(&mut sink))).await?;
        if !reply.is_success() {
            return Err(judge.error(&reply));
        }
        let whole = reader.finish(&mut |record| reading.record(record, outcomes));
        // An HTML page has no such column, and an empty file has no header.
        let known = reading.header.as_ref().is_none_or(|(_, keys)| !keys.is_empty());
        match whole && known && reply.fault.is_none() {
            true => Ok(()),
            false => Err(judge.unreadable(&reply)),
        }
    }

    /// Nothing of the job was applied: the mapping is wrong, somebody stopped it, or Salesforce could not read it.
    fn given_up(&self, job: &Job) -> Error {
        let reason = self.judge(0).scrub(job.error_message.as_deref().unwrap_or("no reason given"));
        if job.state == "Aborted" {
            let message = format!("job {} was stopped before any row was worked on", job.id);
            return Error::new(&E2105_JOB_STOPPED, message).with_retry(Retry::Backoff);
        }
        match reason.contains("Field name not found") {
            true => Error::new(
                &E2012_FIELD,
                format!("Salesforce refuses a field for every row ({reason})"),
            ),
            false => Error::new(&E2103_JOB_FAILED, format!("job {} failed: {reason}", job.id)),
        }
    }

    /// Finds a job of an earlier run again.
    pub(super) async fn resume_job(&self, open: &OpenJob) -> Result<Resumed> {
        let Some(id) = open.remote_id.as_deref() else { return self.abort_unnamed(open).await };
        if !is_job_id(id) {
            return Ok(Resumed::Lost);
        }
        let reply = self.ask(bare(Method::GET, self.jobs(&format!("/{id}")), "job_poll")).await?;
        // Jobs are kept for seven days.
        if reply.status == 404 {
            return Ok(Resumed::Lost);
        }
        let mut job = self.job_of(&reply)?;
        if job.state == "Open" {
            _ = self.set_state(id, "Aborted").await;
            job = self.job(id).await?;
            if job.state == "Open" {
                let message = format!("job {id} could not be aborted");
                return Err(Error::new(&E2105_JOB_STOPPED, message).with_retry(Retry::Backoff));
            }
        }
        if is_void(&job) {
            return Ok(Resumed::NotApplied);
        }
        let match_on = open.match_on.first().map_or(ID, String::as_str);
        let rows = Rows::of(&open.tokens, match_on, open.mode);
        match self.await_job(id, &rows, open.tokens.len()).await {
            Ok(receipt) => Ok(Resumed::Ended(receipt)),
            Err(error) if matches!(error.code().id, "E2103" | "E2105" | "E2012") => {
                Ok(Resumed::NotApplied)
            }
            Err(error) if error.code().id == "E2011" => Ok(Resumed::Lost),
            Err(error) => Err(error),
        }
    }

    /// A job whose id was never written down has no rows: they are uploaded after that. What can be found of it, an
    /// open job of this user for the same work from that time, is aborted, so that it does not lie around.
    async fn abort_unnamed(&self, open: &OpenJob) -> Result<Resumed> {
        let user = self.identity().await?.map(|(_, user)| user);
        let mut path = self.jobs("?jobType=V2Ingest");
        for _ in 0..PAGES_MAX {
            let reply = self.ask(bare(Method::GET, path, "job_list")).await?;
            if !reply.is_success() {
                return Err(self.judge(0).error(&reply));
            }
            let list: Result<JobList, _> = serde_json::from_slice(&reply.body);
            let list = list.map_err(|_| self.judge(0).unreadable(&reply))?;
            for job in list.records.iter().filter(|job| is_the_one(job, open, user.as_deref())) {
                tracing::info!(job = job.id, "an open job of an earlier run is aborted");
                _ = self.set_state(&job.id, "Aborted").await;
            }
            match list
                .next_records_url
                .filter(|next| !list.done && next.starts_with("/services/data/"))
            {
                Some(next) => path = next,
                None => break,
            }
        }
        Ok(Resumed::NotApplied)
    }
}

fn is_ended(state: &str) -> bool {
    matches!(state, "JobComplete" | "Failed" | "Aborted")
}

/// Whether the job has ended without having worked on any row.
fn is_void(job: &Job) -> bool {
    matches!(job.state.as_str(), "Failed" | "Aborted") && job.number_records_processed == 0
}

/// Whether a job without rows is the one that was intended: same work, same user, made just after the intent.
fn is_the_one(job: &Job, open: &OpenJob, user: Option<&str>) -> bool {
    let created = chrono::DateTime::parse_from_str(&job.created_date, "%Y-%m-%dT%H:%M:%S%.3f%z");
    let after = created.map(|at| at.timestamp_micros().saturating_sub(open.intended_at));
    let in_time = after.is_ok_and(|after| (-SKEW_MICROS..MAKING_MICROS).contains(&after));
    let same_user = user.is_some_and(|user| same_id(user, &job.created_by_id));
    let external = job.external_id_field_name.as_deref();
    let match_on = open.match_on.first().map(String::as_str);
    let same_field = external.is_none() || external == match_on;
    job.state == "Open"
        && is_job_id(&job.id)
        && job.object == *open.object
        && is_name(&job.object)
        && operations(open.mode).contains(&job.operation.as_str())
        && (in_time && same_user && same_field)
}

/// What a job of this mode can be: an update where records are addressed by their ids.
fn operations(mode: Mode) -> &'static [&'static str] {
    match mode {
        Mode::Upsert | Mode::Mirror => &["upsert", "update"],
        Mode::Update => &["update"],
        Mode::Create => &["insert"],
        Mode::Delete => &["delete", "hardDelete"],
        Mode::Append => &[],
    }
}

/// The same error where it is certain that no row was applied.
fn unambiguous(error: Error) -> Error {
    if !error.is_ambiguous() {
        return error;
    }
    let message = format!("the job was not started: {}", error.message());
    Error::new(&E2105_JOB_STOPPED, message).with_retry(error.retry()).with_source(error)
}
