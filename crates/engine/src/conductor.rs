//! Leads rows from the mapped chunks to the commit: starts calls, takes answers, commits, and ends in good order.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flow::metrics::Busy;
use flow::{Error, Finding, Key, Kind, Lease, Mark, Result, RunRecord, Shard, Watermark};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use transform::RunMeta;

use crate::absent::Seen;
use crate::apply::{Picker, Removals};
use crate::batch::{Batcher, Call};
use crate::deliver::{Caller, Delivery};
use crate::diff::Resend;
use crate::gone::write_mode;
use crate::groups::Groups;
use crate::hold::Hold;
use crate::intake::{Chunks, Facts, Mapping, Reading, Slot, task_lost};
use crate::outcome::Outcome;
use crate::overlooked::Overlooked;
use crate::prepare::Prepared;
use crate::run::{Job, Rows, meta_of};
use crate::settle::Settler;
use crate::sort::{forget_found, payload_lost};
use crate::spool::Spool;
use crate::{Ports, Progress, RunOptions, Sync, Watch, codes};

/// A commit happens at least this often while rows are settled.
const COMMIT_INTERVAL: Duration = Duration::from_millis(500);
/// Where commits are slow, they are rarer, so that they take a fifth of the time at most; but not rarer than this.
const COMMIT_INTERVAL_MAX: Duration = Duration::from_secs(5);
/// A commit holds about so many rows at most.
const COMMIT_ROWS: usize = 65_536;
/// Payloads in flight have so many bytes at most, as their bodies and answers are in memory too; one call always is.
const IN_FLIGHT_BYTES_MAX: u64 = 16 << 20;
/// A run waits so long at its end for the time after which unconfirmed rows can be confirmed; others wait for the next.
const CONFIRM_PATIENCE: Duration = Duration::from_secs(5);

/// Leads rows from the mapped chunks to the commit.
pub(crate) struct Conductor<'a> {
    pub(crate) sync: &'a Sync,
    pub(crate) ports: &'a Ports,
    pub(crate) lease: &'a Lease,
    pub(crate) options: &'a RunOptions,
    run_id: Arc<str>,
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) meta: RunMeta,
    pub(crate) caller: Arc<Caller>,
    /// Rows that are sent although nothing about them changed.
    pub(crate) resend: Resend,
    pub(crate) in_flight_max: usize,
    pub(crate) settler: Settler,
    pub(crate) batcher: Batcher,
    /// Rows whose record is addressed by its id.
    pub(crate) renames: Batcher,
    pub(crate) ready: VecDeque<Call>,
    pub(crate) calls: JoinSet<Delivery>,
    /// Rows taken from the read: the books must add up to it.
    pub(crate) read: u64,
    /// Newest change seen.
    pub(crate) newest: Option<i64>,
    /// Rows in calls that have no answer yet.
    in_flight_rows: u64,
    /// Their payloads' bytes.
    in_flight_bytes: u64,
    /// Rows that a compare of every row found changed.
    pub(crate) overlooked: Overlooked,
    /// What the reads said.
    pub(crate) facts: Arc<Mutex<Facts>>,
    /// What the source is to be told once everything is settled.
    pub(crate) mark: Option<Mark>,
    /// When that was, where the source is followed by its log.
    pub(crate) followed_to: Option<Watermark>,
    /// Rows left for the next run.
    pub(crate) parked: u64,
    /// Until when calls may be carried out whose rows nobody wrote down.
    pub(crate) unheard_until: Option<i64>,
    /// Leaves rows that are not in the plan that is applied.
    pub(crate) picker: Option<Picker>,
    /// Rows parked since they are not in that plan.
    pub(crate) left: u64,
    /// The rows whose records that plan removes.
    pub(crate) removals: Option<Removals>,
    /// Values that groups of rows share, where they are remembered.
    pub(crate) groups: Option<Groups>,
    /// Calls that wait until it is known who left the model.
    pub(crate) hold: Hold,
    /// The state had unconfirmed rows when the run began.
    pub(crate) had_unconfirmed: bool,
    /// Rows are sent to be confirmed.
    pub(crate) confirming: bool,
    /// Rows sent so far, for `rows_max`.
    pub(crate) sent: u64,
    /// When the next commit is due.
    commit_at: Instant,
    pub(crate) failure: Option<Error>,
    /// A commit failed: a later one would pass over its rejects, and must not be.
    pub(crate) commit_failed: bool,
    /// No more rows are taken.
    closing: bool,
    /// What a read of everything contained, where rows that it did not contain are acted on.
    pub(crate) seen: Option<Seen>,
    /// See [`Facts::in_pieces`].
    pub(crate) in_pieces: bool,
    /// Everything is read once, in the order of the key, and can be merged with the ledger.
    pub(crate) ordered: bool,
    /// What a merged read did not contain, after its clean end.
    pub(crate) missing: Slot,
    /// Only this shard's rows are taken.
    shard: Option<Shard>,
    /// Every row was read.
    pub(crate) compared: bool,
    pub(crate) findings: Vec<Finding>,
}

impl<'a> Conductor<'a> {
    pub(crate) fn new(
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
            mode: write_mode(sync.mode),
            removes: false,
            match_on: sync.match_on.iter().map(|(field, _)| field.clone()).collect(),
            run_id: Arc::clone(&run_id),
            retry: ports.retry,
            drain: options.stop.drain.clone(),
            clock: Arc::clone(&ports.clock),
            limits: limits.clone(),
            store: Arc::clone(&ports.store),
            lease: Arc::new(lease.leave()),
            only: job.only.clone(),
        };
        let delivery = sync.delivery;
        let in_flight_max =
            delivery.max_concurrency.unwrap_or(limits.in_flight_max).min(limits.in_flight_max);
        Self {
            sync,
            ports,
            lease,
            options,
            run_id,
            meta: meta_of(run),
            caller: Arc::new(caller),
            resend: match job.forced {
                true => Resend::Everything,
                false => prepared.resend,
            },
            in_flight_max: in_flight_max.max(1),
            settler: Settler::new(job.advance.clone()),
            batcher: Batcher::new(limits, delivery.batch_rows),
            renames: Batcher::new(limits, delivery.batch_rows),
            prepared: Arc::new(prepared),
            ready: VecDeque::new(),
            calls: JoinSet::new(),
            read: 0,
            newest: None,
            in_flight_rows: 0,
            in_flight_bytes: 0,
            overlooked: Overlooked::default(),
            facts: Arc::default(),
            mark: None,
            followed_to: None,
            parked: 0,
            unheard_until: None,
            picker: None,
            left: 0,
            removals: None,
            groups: None,
            hold: Hold::default(),
            had_unconfirmed: false,
            confirming: false,
            sent: 0,
            commit_at: Instant::now() + COMMIT_INTERVAL,
            failure: None,
            commit_failed: false,
            closing: false,
            seen: job.sees_all.then(Seen::default),
            in_pieces: false,
            ordered: job.ordered,
            missing: Slot::default(),
            shard: job.shard,
            compared: false,
            findings: Vec::new(),
        }
    }

    /// Reads, maps, compares, sends, settles and commits until everything has an answer or the run must end.
    pub(crate) async fn conduct(mut self, job: Job, watch: &dyn Watch) -> Outcome {
        let result = self.work(job, watch).await;
        if !matches!(&result, Err(error) if error.kind() == Kind::Lease)
            && let Err(error) = self.commit().await
        {
            self.fail(error);
        }
        self.tell_settled().await;
        watch.progress(&self.progress());
        self.outcome(result.err())
    }

    async fn work(&mut self, job: Job, watch: &dyn Watch) -> Result<()> {
        let Job { pages, asked, confirms, removes, weighed, approval, .. } = job;
        if let Some(approval) = approval {
            self.picker = Some(approval.picker()?);
            self.removals = Some(approval.removals());
            if let Some(reached) = approval.reached(self.settler.stored()) {
                self.settler.not_past(reached);
            }
        }
        self.remember_doubts().await?;
        self.groups = Groups::of(self.sync, self.ports.store.as_ref()).await?;
        self.resume_jobs(watch).await?;
        if removes && weighed.is_none() && self.removals.is_none() {
            self.hold(&pages).await?;
        }
        // Rows that were weighed are older than rows read now, which must not be sent before them (D3).
        if confirms && weighed.is_none() && !self.hold.on {
            self.confirm(Duration::ZERO, watch).await?;
        }
        let mut asked = asked;
        let rows = weighed.map_or(Rows::Read(pages), Rows::Weighed);
        if self.lead(rows, &mut asked, watch).await? {
            if let Err(error) = self.forget_gone(asked.unwrap_or_default()).await {
                self.fail(error);
            }
            self.read_ended();
            if self.parked == 0 {
                self.complete();
            }
            if confirms {
                self.try_again(watch).await?;
                self.confirm(CONFIRM_PATIENCE, watch).await?;
            }
            if removes
                && self.parked == self.left
                && self.may_go_on()
                && let Err(error) = self.remove_gone(watch).await
            {
                match error.kind() {
                    Kind::Lease => return Err(error),
                    _ => self.fail(error),
                }
            }
        }
        Ok(())
    }

    /// Leads these rows through, and says whether all of them came.
    pub(crate) async fn lead(
        &mut self,
        rows: Rows,
        asked: &mut Option<Vec<Key>>,
        watch: &dyn Watch,
    ) -> Result<bool> {
        if let Rows::Weighed(kept) = &rows {
            self.facts = Arc::clone(&kept.facts);
        }
        let (mut chunks, _tasks) = self.start_reading(rows).await?;
        let stop = self.options.stop.clone();
        let mut ended = false;
        loop {
            self.start_calls();
            if (ended || self.closing) && self.calls.is_empty() {
                break;
            }
            let hungry = !ended && !self.closing && (self.hold.on || self.ready.is_empty());
            let step = tokio::select! {
                biased;
                () = stop.abort.cancelled() => {
                    return Err(Error::new(&codes::E4004, "the run was aborted by a second signal"));
                }
                () = stop.drain.cancelled(), if !self.closing => { self.close(); Ok(()) }
                Some(done) = self.calls.join_next(), if !self.calls.is_empty() => self.settle(done),
                chunk = chunks.next(), if hungry => match chunk {
                    Ok(Some(chunk)) => {
                        forget_found(asked, &chunk.mapped);
                        match self.take(chunk).await {
                            Ok(()) => self.let_go_when_full().await,
                            failed => failed,
                        }
                    }
                    Ok(None) => { ended = true; self.end_of_read().await }
                    Err(error) => Err(error),
                },
                () = tokio::time::sleep_until(self.commit_at),
                    if self.settler.has_news() && !self.commit_failed => self.commit().await,
            };
            let step = match step {
                Ok(()) => self.commit_when_due().await,
                failed => failed,
            };
            if let Err(error) = step {
                if error.kind() == Kind::Lease {
                    return Err(error);
                }
                self.fail(error);
            }
            watch.progress(&self.progress());
        }
        Ok(ended && self.failure.is_none() && !stop.drain.is_cancelled())
    }

    /// Starts the tasks that read and map; they end with the handles.
    async fn start_reading(&mut self, rows: Rows) -> Result<(Chunks, Vec<AbortOnDropHandle<()>>)> {
        let merger = self.merger().await?;
        let sync = Arc::new(self.sync.clone());
        let mut reader = None;
        let spool = match rows {
            Rows::Weighed(kept) => kept.spool,
            Rows::Read(pages) => {
                let spool = Spool::new(&self.ports.spool_dir, self.ports.spool)?;
                let drain = self.options.stop.drain.clone();
                let facts = Arc::clone(&self.facts);
                let reading = Reading::new((Arc::clone(&sync), self.ports), pages, drain, facts);
                reader = Some(reading.start(&spool));
                spool
            }
        };
        let about = (Arc::clone(&self.prepared), self.meta.clone());
        let mapping =
            Mapping::new(sync, self.ports, about).merging(merger, Arc::clone(&self.missing));
        let mapping = mapping.only(self.shard);
        let (chunks, mapper) = mapping.start(&spool, &self.ports.metrics);
        Ok((chunks, reader.into_iter().chain([mapper]).collect()))
    }

    /// Starts calls while there is room.
    pub(crate) fn start_calls(&mut self) {
        if self.closing
            && self.failure.is_none()
            && !self.options.stop.drain.is_cancelled()
            && let Err(error) = self.flush()
        {
            self.fail(error);
        }
        while self.failure.is_none() && self.calls.len() < self.in_flight_max {
            if self.hold.on || self.options.stop.drain.is_cancelled() {
                break;
            }
            let Some(bytes) = self.ready.front().map(Call::bytes) else { break };
            if !self.calls.is_empty() && self.in_flight_bytes + bytes > IN_FLIGHT_BYTES_MAX {
                break;
            }
            let Some(call) = self.ready.pop_front() else { break };
            self.in_flight_bytes += bytes;
            self.in_flight_rows += call.rows.len() as u64;
            let caller = Arc::clone(&self.caller);
            self.calls.spawn(async move { caller.deliver(call).await });
        }
    }

    /// Takes the answers of a call.
    pub(crate) fn settle(&mut self, done: Result<Delivery, tokio::task::JoinError>) -> Result<()> {
        let mut delivery = done.map_err(task_lost)?;
        self.in_flight_bytes -= delivery.bytes;
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

    pub(crate) fn stop_on_reject(&mut self, rejects: u64) -> Result<()> {
        if rejects > 0 && (self.options.fail_fast || self.sync.delivery.stop_on_reject) {
            return Err(Error::new(
                &codes::E4005,
                "a row was rejected and the run stops on rejects",
            ));
        }
        Ok(())
    }

    /// The last rows make calls that are not full.
    pub(crate) fn flush(&mut self) -> Result<()> {
        for batcher in [&mut self.batcher, &mut self.renames] {
            self.ready.extend(batcher.flush().map_err(payload_lost)?);
        }
        Ok(())
    }

    /// Takes no more rows; what is in flight is finished.
    pub(crate) fn close(&mut self) {
        self.closing = true;
    }

    pub(crate) fn fail(&mut self, error: Error) {
        self.closing = true;
        if self.failure.is_none() {
            self.failure = Some(error);
        }
    }

    /// Whether more rows may be taken.
    pub(crate) fn may_go_on(&self) -> bool {
        !self.closing && self.failure.is_none() && !self.options.stop.drain.is_cancelled()
    }

    async fn commit_when_due(&mut self) -> Result<()> {
        let due = Instant::now() >= self.commit_at || self.settler.waiting() >= COMMIT_ROWS;
        if due && self.settler.has_news() { self.commit().await } else { Ok(()) }
    }

    /// Writes everything settled in one transaction, then lets the metrics follow (X5).
    pub(crate) async fn commit(&mut self) -> Result<()> {
        if !self.settler.has_news() || self.commit_failed {
            return Ok(());
        }
        let now = self.ports.clock.now_micros();
        let mut settled = self.settler.take(&self.run_id, now);
        let watermark = settled.commit.watermark.as_ref().map(|stored| stored.watermark);
        let mut commit = std::mem::take(&mut settled.commit);
        commit.payloads.extend(self.groups.as_mut().and_then(Groups::news));
        let began = Instant::now();
        let result = self.ports.store.commit(self.lease, commit).await;
        let metrics = &self.ports.metrics;
        metrics.commit(began.elapsed(), result.is_ok());
        metrics.busy(&self.sync.name, Busy::Commit, began.elapsed());
        self.commit_failed = result.is_err();
        result?;
        let pause = (began.elapsed() * 4).clamp(COMMIT_INTERVAL, COMMIT_INTERVAL_MAX);
        self.commit_at = Instant::now() + pause;
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

    pub(crate) fn progress(&self) -> Progress {
        let total = self.settler.total();
        let in_flight = self.waiting_rows();
        self.ports.metrics.backlog(&self.sync.name, in_flight);
        Progress {
            read: self.read,
            unchanged: total.unchanged,
            delivered: total.delivered(),
            rejected: total.rejected,
            removed: total.removed,
            in_flight,
            requests: total.requests,
        }
    }

    /// Rows taken that have no answer yet.
    pub(crate) fn waiting_rows(&self) -> u64 {
        let ready: u64 = self.ready.iter().map(|call| call.rows.len() as u64).sum();
        self.batcher.waiting() + self.renames.waiting() + ready + self.in_flight_rows
    }
}
