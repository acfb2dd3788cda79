//! THE control flow: lease, read, map, diff, batch, deliver, settle, commit.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use flow::metrics::Busy;
use flow::{
    Entry, Error, Finding, Key, Kind, Lease, Reject, Result, RunCounts, RunRecord, RunStatus, Stage,
    Watermark,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use transform::{Mapped, RunMeta};

use crate::deliver::{Batcher, Call, Caller, Delivery, Row};
use crate::diff::{self, Verdict};
use crate::intake::{Chunk, Mapping, Reading, task_lost};
use crate::prepare::{Prepared, prepare};
use crate::request::{Page, changed_since, page, watermark_column};
use crate::settle::{Advance, Settler};
use crate::spool::Spool;
use crate::{Ports, Progress, RunFailure, RunOptions, RunReport, Sync, Watch, codes};

/// A commit happens at least this often while rows are settled.
const COMMIT_INTERVAL: Duration = Duration::from_millis(500);
/// A commit holds about so many rows at most.
const COMMIT_ROWS: usize = 16_384;
/// Mapped batches that wait for the conductor.
const CHUNKS_WAITING: usize = 2;

/// What one execution does, apart from how.
pub(crate) struct Job {
    pub(crate) pages: Vec<Page>,
    /// Send rows whose payload did not change, too.
    pub(crate) forced: bool,
    pub(crate) advance: Advance,
    /// Keys that were asked for: the open reject of one that has no row any more is over.
    pub(crate) asked: Option<Vec<Key>>,
}

/// Runs the sync once: sends what changed since the stored watermark, or, with `full_refresh`, since ever.
///
/// # Errors
/// What stopped the run, with the report of what was done before. Everything acknowledged is committed.
pub async fn run(
    sync: &Sync,
    ports: &Ports,
    options: RunOptions,
    watch: &dyn Watch,
) -> Result<RunReport, RunFailure> {
    let lease = ports.store.acquire(&sync.name, ports.clock.now_micros()).await?;
    let stored = stored_watermark(sync, ports).await?;
    let scope = changed_since(sync, stored.filter(|_| !options.full_refresh));
    let advance = match watermark_column(&sync.model) {
        Some(column) => Advance::Watermark { column: column.to_owned(), stored },
        None => Advance::Nothing,
    };
    let job = Job { pages: vec![page(sync, scope, None)], forced: false, advance, asked: None };
    execute(sync, ports, &lease, (job, options), watch).await
}

/// The stored watermark, if it belongs to the column the model uses now. One of another column says nothing: then
/// every row is read, and the ledger keeps what did not change from being sent.
pub(crate) async fn stored_watermark(sync: &Sync, ports: &Ports) -> Result<Option<Watermark>> {
    let stored = ports.store.watermark(&sync.name).await?;
    let column = watermark_column(&sync.model);
    Ok(stored.filter(|stored| Some(stored.column.as_str()) == column).map(|stored| stored.watermark))
}

/// One execution under a lease, with its record in the state from the first moment to the last.
pub(crate) async fn execute(
    sync: &Sync,
    ports: &Ports,
    lease: &Lease,
    (job, options): (Job, RunOptions),
    watch: &dyn Watch,
) -> Result<RunReport, RunFailure> {
    let mut run = RunRecord {
        id: uuid::Uuid::now_v7().to_string(),
        sync: sync.name.clone(),
        trigger: options.trigger,
        status: RunStatus::Running,
        started_at: ports.clock.now_micros(),
        ended_at: None,
        counts: RunCounts::default(),
        error: None,
    };
    ports.store.put_run(lease, &run).await?;
    ports.metrics.lease(&sync.name, true);
    let from = match &job.advance {
        Advance::Watermark { stored, .. } => *stored,
        _ => None,
    };
    if let Some(from) = from {
        ports.metrics.source_watermark(&sync.name, from);
        ports.metrics.delivered_watermark(&sync.name, from);
    }
    let mut findings = Vec::new();
    let outcome = match prepare(sync, ports).await {
        Ok(prepared) => {
            findings.clone_from(&prepared.checked.findings);
            Conductor::new(sync, ports, lease, (prepared, &job, &options, &run))
                .conduct(job, watch)
                .await
        }
        Err(error) => Outcome { error: Some(error), ..Outcome::default() },
    };
    let to = outcome.reached.or(from);
    let result = finish(ports, lease, &mut run, outcome).await;
    ports.metrics.lease(&sync.name, false);
    let report = report(sync, ports, run, (from, to), findings).await;
    match (result, report) {
        (Ok(()), Ok(report)) => Ok(report),
        (Ok(()), Err(error)) => Err(error.into()),
        (Err(error), report) => {
            Err(RunFailure { error, report: report.ok().map(Box::new) })
        }
    }
}

/// How the conducting ended.
#[derive(Default)]
struct Outcome {
    counts: RunCounts,
    reached: Option<Watermark>,
    interrupted: bool,
    error: Option<Error>,
}

/// Writes the run's end and checks its accounting.
async fn finish(
    ports: &Ports,
    lease: &Lease,
    run: &mut RunRecord,
    outcome: Outcome,
) -> Result<()> {
    run.counts = outcome.counts;
    run.ended_at = Some(ports.clock.now_micros());
    let unaccounted = run.counts.unaccounted();
    let error = outcome.error.or_else(|| {
        (unaccounted != 0).then(|| {
            Error::new(&codes::E4001, format!("{unaccounted} rows are in none of the counts"))
        })
    });
    run.status = match &error {
        Some(error) if error.kind() == Kind::Guard => RunStatus::Guarded,
        Some(_) => RunStatus::Failed,
        None if outcome.interrupted => RunStatus::Interrupted,
        None if run.counts.rejected > 0 => RunStatus::Partial,
        None => RunStatus::Ok,
    };
    run.error = error.as_ref().map(ToString::to_string);
    ports.metrics.unaccounted(&run.sync, unaccounted);
    let times = (run.started_at, run.ended_at.unwrap_or(run.started_at));
    ports.metrics.run_finished(&run.sync, run.status, run.trigger, times);
    let written = ports.store.put_run(lease, run).await;
    match error {
        Some(error) => Err(error),
        None => written,
    }
}

async fn report(
    sync: &Sync,
    ports: &Ports,
    run: RunRecord,
    (from, to): (Option<Watermark>, Option<Watermark>),
    findings: Vec<Finding>,
) -> Result<RunReport> {
    let (open_rejects, oldest) = ports.store.open_rejects(&sync.name).await?;
    ports.metrics.rejects(&sync.name, open_rejects, oldest);
    let share = run.counts.rejected as f64 / run.counts.read.max(1) as f64;
    let rejects_above_limit = sync.rejected_max.is_some_and(|max| share > max);
    Ok(RunReport { run, from, to, findings, open_rejects, rejects_above_limit })
}

/// Leads rows from the mapped chunks to the commit.
struct Conductor<'a> {
    sync: &'a Sync,
    ports: &'a Ports,
    lease: &'a Lease,
    options: &'a RunOptions,
    run_id: Arc<str>,
    prepared: Arc<Prepared>,
    meta: RunMeta,
    caller: Arc<Caller>,
    forced: bool,
    in_flight_max: usize,
    settler: Settler,
    batcher: Batcher,
    ready: VecDeque<Call>,
    calls: JoinSet<Delivery>,
    /// Rows taken from the read: the books must add up to it.
    read: u64,
    /// Newest change seen.
    newest: Option<i64>,
    /// Rows in calls that have no answer yet.
    in_flight_rows: u64,
    /// Rows left for the next run.
    parked: u64,
    /// Rows sent so far, for `rows_max`.
    sent: u64,
    committed_at: Instant,
    failure: Option<Error>,
    /// No more rows are taken.
    closing: bool,
}

impl<'a> Conductor<'a> {
    fn new(
        sync: &'a Sync,
        ports: &'a Ports,
        lease: &'a Lease,
        (prepared, job, options, run): (Prepared, &Job, &'a RunOptions, &RunRecord),
    ) -> Self {
        let limits = &prepared.limits;
        let run_id: Arc<str> = run.id.as_str().into();
        let caller = Caller {
            destination: Arc::clone(&ports.destination),
            metrics: Arc::clone(&ports.metrics),
            sync: sync.name.as_str().into(),
            name: sync.destination.as_str().into(),
            object: sync.object.as_str().into(),
            mode: sync.mode,
            match_on: sync.match_on.iter().map(|(field, _)| field.clone()).collect(),
            run_id: Arc::clone(&run_id),
            retry: ports.retry,
            drain: options.stop.drain.clone(),
        };
        let delivery = sync.delivery;
        let rows_max = delivery.batch_rows.unwrap_or(limits.rows_max).min(limits.rows_max);
        let in_flight_max =
            delivery.max_concurrency.unwrap_or(limits.in_flight_max).min(limits.in_flight_max);
        Self {
            sync,
            ports,
            lease,
            options,
            run_id,
            meta: RunMeta {
                id: run.id.clone(),
                sync: sync.name.clone(),
                started_at: run.started_at,
            },
            caller: Arc::new(caller),
            forced: job.forced,
            in_flight_max: in_flight_max.max(1),
            settler: Settler::new(job.advance.clone()),
            batcher: Batcher::new(rows_max),
            prepared: Arc::new(prepared),
            ready: VecDeque::new(),
            calls: JoinSet::new(),
            read: 0,
            newest: None,
            in_flight_rows: 0,
            parked: 0,
            sent: 0,
            committed_at: Instant::now(),
            failure: None,
            closing: false,
        }
    }

    /// Reads, maps, compares, sends, settles and commits until everything has an answer or the run must end.
    async fn conduct(mut self, job: Job, watch: &dyn Watch) -> Outcome {
        let mut asked = job.asked;
        let (mut chunks, _tasks) = match self.start_reading(job.pages) {
            Ok(started) => started,
            Err(error) => return self.outcome(Some(error)),
        };
        let stop = self.options.stop.clone();
        let mut ended = false;
        let result = loop {
            self.start_calls();
            if (ended || self.closing) && self.calls.is_empty() {
                break Ok(());
            }
            let hungry = !ended && !self.closing && self.ready.is_empty();
            let step = tokio::select! {
                biased;
                () = stop.abort.cancelled() => {
                    break Err(Error::new(&codes::E4004, "the run was aborted by a second signal"));
                }
                () = stop.drain.cancelled(), if !self.closing => { self.close(); Ok(()) }
                Some(done) = self.calls.join_next(), if !self.calls.is_empty() => self.settle(done),
                chunk = chunks.recv(), if hungry => match chunk {
                    Some(Ok(Some(chunk))) => {
                        forget_found(&mut asked, &chunk.mapped);
                        self.take(chunk).await
                    }
                    Some(Ok(None)) => { ended = true; self.flush(); Ok(()) }
                    Some(Err(error)) => Err(error),
                    None => Err(Error::new(&codes::E4007, "the mapping ended without an end")),
                },
                () = tokio::time::sleep_until(self.committed_at + COMMIT_INTERVAL),
                    if self.settler.has_news() => self.commit().await,
            };
            let step = match step {
                Ok(()) => self.commit_when_due().await,
                failed => failed,
            };
            if let Err(error) = step {
                if error.kind() == Kind::Lease {
                    break Err(error);
                }
                self.fail(error);
            }
            watch.progress(&self.progress());
        };
        let complete = ended && self.failure.is_none() && !stop.drain.is_cancelled();
        if complete {
            self.settler.gone(asked.into_iter().flatten());
        }
        if !matches!(&result, Err(error) if error.kind() == Kind::Lease)
            && let Err(error) = self.commit().await
        {
            self.fail(error);
        }
        watch.progress(&self.progress());
        self.outcome(result.err())
    }

    /// Starts the tasks that read and map; they end with the handles.
    fn start_reading(
        &self,
        pages: Vec<Page>,
    ) -> Result<(mpsc::Receiver<Result<Option<Chunk>>>, [AbortOnDropHandle<()>; 2])> {
        let spool = Spool::new(&self.ports.spool_dir, self.ports.spool)?;
        let (sender, chunks) = mpsc::channel(CHUNKS_WAITING);
        let reading = Reading {
            source: Arc::clone(&self.ports.source),
            pages,
            retry: self.ports.retry,
            drain: self.options.stop.drain.clone(),
            metrics: Arc::clone(&self.ports.metrics),
            sync: self.sync.name.as_str().into(),
            spool_bytes_max: self.ports.spool.memory_bytes_max + self.ports.spool.disk_bytes_max,
        };
        let sync = Arc::new(self.sync.clone());
        let mapping = Mapping::new(sync, Arc::clone(&self.prepared), self.meta.clone());
        let metrics = Arc::clone(&self.ports.metrics);
        let reader = tokio::spawn(reading.into_spool(Arc::clone(&spool)));
        let mapper = tokio::spawn(mapping.from_spool(spool, metrics, sender));
        Ok((chunks, [AbortOnDropHandle::new(reader), AbortOnDropHandle::new(mapper)]))
    }

    /// Compares a chunk with the ledger and makes calls of what must be sent.
    async fn take(&mut self, chunk: Chunk) -> Result<()> {
        self.wait_for_pending(&chunk).await?;
        let began = Instant::now();
        let (verdicts, entries, priors) = self.compare(&chunk.mapped).await?;
        let Chunk { rows: read, mut mapped, changed_at, position, clock } = chunk;
        self.see(&changed_at);
        // From here on every row of the chunk is in the books, and the range stays open until its rows are settled.
        self.read += read;
        let range = self.settler.begin(position, clock);
        let rejected_before = self.settler.total().rejected;
        for (reject, prior) in std::mem::take(&mut mapped.rejects).into_iter().zip(priors) {
            self.settler.refused(reject, prior);
        }
        let (mut send, mut rows) = self.sort_out(&mapped, verdicts, entries);
        for (row, index) in rows.iter_mut().zip(&send) {
            row.range = range;
            row.changed_at = changed_at[*index as usize];
        }
        self.limit(range, &mut send, &mut rows);
        self.settler.send(range, &rows);
        let sent = rows.len() as u64;
        let made = self.make_calls(&mapped, &send, rows).await;
        self.ports.metrics.busy(&self.sync.name, Busy::Diff, began.elapsed());
        if made.is_err() {
            self.parked += sent;
        }
        made?;
        self.stop_on_reject(self.settler.total().rejected - rejected_before)
    }

    /// Asks the ledger: the verdict and entry of every mapped row, and the entry of every row refused by the mapping.
    async fn compare(&self, mapped: &Mapped) -> Result<Compared> {
        let (store, sync) = (&self.ports.store, &self.sync.name);
        let entries = store.lookup(sync, &mapped.keys).await?;
        let mut verdicts = diff::compare(&mapped.fingerprints, &entries, self.forced);
        let asked = diff::newly_matched(mapped, &entries, &verdicts);
        let hashes: Vec<_> = asked.iter().map(|row| mapped.matches[*row]).collect();
        let owners = store.owners(sync, &hashes).await?;
        diff::settle_conflicts(mapped, (&asked, &owners), &mut verdicts);
        let refused: Vec<_> =
            mapped.rejects.iter().filter_map(|reject| reject.key.clone()).collect();
        let mut known = store.lookup(sync, &refused).await?.into_iter();
        let priors = mapped
            .rejects
            .iter()
            .map(|reject| reject.key.as_ref().and_then(|_| known.next().flatten()))
            .collect();
        Ok((verdicts, entries, priors))
    }

    /// Books every row that is not sent, and gives back the others: their indices and what is kept of them.
    fn sort_out(
        &mut self,
        mapped: &Mapped,
        verdicts: Vec<Verdict>,
        entries: Vec<Option<Entry>>,
    ) -> (Vec<u32>, Vec<Row>) {
        let (mut send, mut rows) = (Vec::new(), Vec::new());
        let (mut unchanged, mut held) = (0, 0);
        for (index, (verdict, entry)) in verdicts.into_iter().zip(entries).enumerate() {
            let prior = entry.unwrap_or_default();
            let key = &mapped.keys[index];
            match verdict {
                Verdict::Unchanged { resolves } => {
                    unchanged += 1;
                    if resolves {
                        self.settler.resolved(key.clone(), prior);
                    }
                }
                Verdict::Held => held += 1,
                Verdict::Conflict => {
                    self.settler.refused(conflict(key.clone()), Some(prior));
                }
                Verdict::Send => {
                    send.push(index as u32);
                    rows.push(Row {
                        range: 0,
                        key: key.clone(),
                        match_hash: mapped.matches[index],
                        fingerprint: mapped.fingerprints[index],
                        prior,
                        changed_at: None,
                        ambiguous: false,
                    });
                }
            }
        }
        self.settler.unchanged(unchanged);
        self.settler.held(held);
        (send, rows)
    }

    async fn make_calls(&mut self, mapped: &Mapped, send: &[u32], rows: Vec<Row>) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        self.mark_dirty(&rows).await?;
        let payload = mapped.payload.take(send).map_err(payload_lost)?;
        self.ready.extend(self.batcher.push(Call { rows, payload }).map_err(payload_lost)?);
        Ok(())
    }

    /// Remembers the newest change, for the metrics.
    fn see(&mut self, changed_at: &[Option<i64>]) {
        let newest = changed_at.iter().flatten().max().copied().max(self.newest);
        if let (Some(at), true) = (newest, newest != self.newest) {
            self.newest = newest;
            self.ports.metrics.source_watermark(&self.sync.name, Watermark(at));
        }
    }

    /// Lets everything be settled first when a row of the chunk, or its record, is still on its way (D3).
    async fn wait_for_pending(&mut self, chunk: &Chunk) -> Result<()> {
        let mapped = &chunk.mapped;
        let rejected = mapped.rejects.iter().filter_map(|reject| reject.key.as_ref());
        let waits = self.settler.has_pending()
            && (mapped.keys.iter().zip(&mapped.matches).any(|(k, m)| self.settler.is_pending(k, *m))
                || rejected.into_iter().any(|key| self.settler.is_pending(key, flow::MatchHash(0))));
        if !waits {
            return Ok(());
        }
        self.flush();
        loop {
            self.start_calls();
            let done = tokio::select! {
                () = self.options.stop.abort.cancelled() => {
                    return Err(Error::new(&codes::E4004, "the run was aborted by a second signal"));
                }
                done = self.calls.join_next() => done,
            };
            match done {
                Some(done) => self.settle(done)?,
                None => return self.commit().await,
            }
        }
    }

    /// Leaves rows beyond `rows_max` for the next run.
    fn limit(&mut self, range: u64, send: &mut Vec<u32>, rows: &mut Vec<Row>) {
        let room = self.options.rows_max.map_or(u64::MAX, |max| max - self.sent.min(max));
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        if rows.len() > room {
            self.parked += (rows.len() - room) as u64;
            send.truncate(room);
            rows.truncate(room);
            self.settler.stop_at(range);
        }
        self.sent += rows.len() as u64;
        if self.options.rows_max.is_some_and(|max| self.sent >= max) {
            self.close();
        }
    }

    /// Forgets what the ledger says of records about to change: if the answer is lost, they are sent again (D4).
    async fn mark_dirty(&self, rows: &[Row]) -> Result<()> {
        let keys: Vec<_> = rows
            .iter()
            .filter(|row| row.prior.acknowledged.is_some())
            .map(|row| row.key.clone())
            .collect();
        if keys.is_empty() {
            return Ok(());
        }
        self.ports.store.mark_dirty(self.lease, &keys).await
    }

    /// Starts calls while there is room.
    fn start_calls(&mut self) {
        if self.closing && self.failure.is_none() && !self.options.stop.drain.is_cancelled() {
            self.ready.extend(self.batcher.flush());
        }
        while self.failure.is_none() && self.calls.len() < self.in_flight_max {
            if self.options.stop.drain.is_cancelled() {
                break;
            }
            let Some(call) = self.ready.pop_front() else { break };
            self.in_flight_rows += call.rows.len() as u64;
            let caller = Arc::clone(&self.caller);
            self.calls.spawn(async move { caller.deliver(call).await });
        }
        let name = &self.sync.destination;
        self.ports.metrics.in_flight(name, self.calls.len(), self.in_flight_max);
    }

    /// Takes the answers of a call.
    fn settle(&mut self, done: Result<Delivery, tokio::task::JoinError>) -> Result<()> {
        let mut delivery = done.map_err(task_lost)?;
        self.in_flight_rows -= delivery.settled.len() as u64 + delivery.unsettled;
        self.parked += delivery.unsettled;
        let error = delivery.error.take();
        let before = self.settler.total().rejected;
        self.settler.delivered(delivery);
        match error {
            Some(error) => Err(error),
            None => self.stop_on_reject(self.settler.total().rejected - before),
        }
    }

    fn stop_on_reject(&mut self, rejects: u64) -> Result<()> {
        if rejects > 0 && (self.options.fail_fast || self.sync.delivery.stop_on_reject) {
            return Err(Error::new(&codes::E4005, "a row was rejected and the run stops on rejects"));
        }
        Ok(())
    }

    /// The last rows make calls that are not full.
    fn flush(&mut self) {
        self.ready.extend(self.batcher.flush());
    }

    /// Takes no more rows; what is in flight is finished.
    fn close(&mut self) {
        self.closing = true;
    }

    fn fail(&mut self, error: Error) {
        self.closing = true;
        if self.failure.is_none() {
            self.failure = Some(error);
        }
    }

    async fn commit_when_due(&mut self) -> Result<()> {
        let due = self.committed_at.elapsed() >= COMMIT_INTERVAL
            || self.settler.waiting() >= COMMIT_ROWS;
        if due && self.settler.has_news() { self.commit().await } else { Ok(()) }
    }

    /// Writes everything settled in one transaction, then lets the metrics follow (X5).
    async fn commit(&mut self) -> Result<()> {
        if !self.settler.has_news() {
            return Ok(());
        }
        let now = self.ports.clock.now_micros();
        let mut settled = self.settler.take(&self.run_id, now);
        let watermark = settled.commit.watermark.as_ref().map(|stored| stored.watermark);
        let commit = std::mem::take(&mut settled.commit);
        let began = Instant::now();
        let result = self.ports.store.commit(self.lease, commit).await;
        let metrics = &self.ports.metrics;
        metrics.commit(began.elapsed(), result.is_ok());
        metrics.busy(&self.sync.name, Busy::Commit, began.elapsed());
        result?;
        self.committed_at = Instant::now();
        self.settler.committed(&settled);
        let rejected: Vec<_> =
            settled.rejected.iter().map(|((stage, code), rows)| (*stage, *code, *rows)).collect();
        metrics.settled(&self.sync.name, &settled.counts, &rejected);
        for changed_at in &settled.changed_at {
            let micros = u64::try_from(now - changed_at).unwrap_or(0);
            metrics.delivery_latency(&self.sync.name, Duration::from_micros(micros));
        }
        if let Some(watermark) = watermark {
            metrics.delivered_watermark(&self.sync.name, watermark);
        }
        Ok(())
    }

    fn progress(&self) -> Progress {
        let total = self.settler.total();
        let in_flight = self.waiting_rows();
        self.ports.metrics.backlog(&self.sync.name, in_flight);
        Progress {
            read: self.read,
            unchanged: total.unchanged,
            delivered: total.delivered(),
            rejected: total.rejected,
            in_flight,
            requests: total.requests,
        }
    }

    /// Rows taken that have no answer yet.
    fn waiting_rows(&self) -> u64 {
        let ready: u64 = self.ready.iter().map(|call| call.rows.len() as u64).sum();
        self.batcher.waiting() + ready + self.in_flight_rows
    }

    /// The books at the end: what has no answer is parked.
    fn outcome(self, error: Option<Error>) -> Outcome {
        let parked = self.parked + self.waiting_rows();
        let counts = RunCounts { read: self.read, parked, ..self.settler.total() };
        Outcome {
            counts,
            reached: self.settler.reached(),
            interrupted: self.options.stop.drain.is_cancelled(),
            error: error.or(self.failure),
        }
    }
}

/// Of the keys asked for, those without a row remain.
fn forget_found(asked: &mut Option<Vec<Key>>, mapped: &Mapped) {
    if let Some(keys) = asked {
        let rejected = mapped.rejects.iter().filter_map(|reject| reject.key.as_ref());
        let found: HashSet<&Key> = mapped.keys.iter().chain(rejected).collect();
        keys.retain(|key| !found.contains(key));
    }
}

/// Verdict and entry of every mapped row; entry of every row the mapping refused.
type Compared = (Vec<Verdict>, Vec<Option<Entry>>, Vec<Option<Entry>>);

fn conflict(key: Key) -> Reject {
    Reject {
        key: Some(key),
        stage: Stage::Validate,
        code: &codes::R401,
        field: None,
        reason: codes::R401.title.to_owned(),
        // Who holds the value may change without this row changing: it is looked at again whenever it is read.
        fingerprint: None,
    }
}

fn payload_lost(error: flow::arrow::error::ArrowError) -> Error {
    Error::new(&codes::E4007, "mapped rows could not be put together").with_source(error)
}
