//! THE control flow of a run: lease, read, map, diff, batch, deliver, settle, commit. This file holds its frame, from
//! the lease to the report; `conductor.rs` leads the rows in between.

use std::sync::Arc;

use flow::{
    Changes, Error, Finding, Key, Kind, Lease, Result, RunCounts, RunRecord, RunStatus, Scope,
    Shard, StoredMark, StoredWatermark, Watermark,
};
use transform::RunMeta;

use crate::apply::Approval;
use crate::conductor::Conductor;
use crate::follow::Cache;
use crate::forecast::{Forecast, parked, quota};
use crate::guard::{Counts, Guard, Ruling, rulings, stopped};
use crate::outcome::Outcome;
use crate::prepare::{Prepared, prepare};
use crate::request::{Page, Remembered, is_by_key, mapping_name, page, pages_of_run};
use crate::settle::Advance;
use crate::target::target;
use crate::weigh::{
    Beholder, Compare, Counted, Ended, Kept, Nobody, Scale, model_rows, weighed_page,
};
use crate::{Ports, Remember, RunFailure, RunOptions, RunReport, Sync, Watch, codes};

/// A parked run is looked at again after so long, where nobody knows when it can go on (in microseconds).
const WAKE_UNKNOWN: i64 = 3_600_000_000;

/// What one execution does, apart from how.
pub(crate) struct Job {
    pub(crate) pages: Vec<Page>,
    /// Send rows whose payload did not change, too.
    pub(crate) forced: bool,
    pub(crate) advance: Advance,
    /// Keys that were asked for: the open reject of one that has no row any more is over.
    pub(crate) asked: Option<Vec<Key>>,
    /// Unconfirmed rows whose time has come are sent too.
    pub(crate) confirms: bool,
    /// Whether the sync's guards have a say.
    pub(crate) guarded: bool,
    /// Only the rows of this plan are sent.
    pub(crate) approval: Option<Approval>,
    /// Why the run ends before it begins.
    pub(crate) refused: Option<Error>,
    /// The rows, where they were weighed and wait in the spool instead of being read.
    pub(crate) weighed: Option<Kept>,
    /// Records are removed whose row left the model.
    pub(crate) removes: bool,
    /// Rows are noted, so that a row that did not come in a read of every row is known to be gone.
    pub(crate) sees_all: bool,
    /// Everything is read once, in the order of the key.
    pub(crate) ordered: bool,
    /// Only this shard's rows are taken.
    pub(crate) shard: Option<Shard>,
    /// Of every row only these fields are sent, those it is found by among them.
    pub(crate) only: Option<Arc<[String]>>,
}

impl Job {
    /// What is changed of these pages is sent; nothing else.
    pub(crate) fn new(pages: Vec<Page>, advance: Advance) -> Self {
        Self {
            pages,
            forced: false,
            advance,
            asked: None,
            confirms: false,
            guarded: false,
            approval: None,
            refused: None,
            weighed: None,
            removes: false,
            sees_all: false,
            ordered: false,
            shard: None,
            only: None,
        }
    }
}

/// Where the rows to lead come from.
pub(crate) enum Rows {
    /// The warehouse.
    Read(Vec<Page>),
    /// The spool, where they wait since they were weighed.
    Weighed(Kept),
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
    run_with(sync, ports, options, (watch, None)).await
}

/// As [`run`]; what both sides said of themselves lately is not asked again.
pub(crate) async fn run_with(
    sync: &Sync,
    ports: &Ports,
    options: RunOptions,
    (watch, cache): (&dyn Watch, Option<&Cache>),
) -> Result<RunReport, RunFailure> {
    let lease = ports.store.acquire(&sync.name, ports.clock.now_micros()).await?;
    let remembered = Remembered::of(sync, ports).await?;
    let pages = match options.full_refresh {
        true => vec![page(sync, Scope::All, None)],
        false => pages_of_run(sync, &remembered, ports.clock.now_micros()),
    };
    // A run that sends only some of the rows is a try: it confirms and removes nothing.
    let confirms = options.rows_max.is_none();
    let removes = sync.removed.is_some() && confirms;
    let advance = advance(sync, remembered);
    let sees_all = removes;
    let ordered = is_by_key(sync, &pages);
    let job =
        Job { confirms, guarded: true, removes, sees_all, ordered, ..Job::new(pages, advance) };
    execute_with(sync, ports, &lease, (job, options), (watch, cache)).await
}

/// What the rows of a run move.
pub(crate) fn advance(sync: &Sync, remembered: Remembered) -> Advance {
    let Remembered { watermark: stored, mark } = remembered;
    let mapping = mapping_name(sync);
    match &sync.model.changes {
        Changes::Watermark { column, .. } => {
            Advance::Watermark { column: column.clone(), mapping, stored, mark }
        }
        Changes::Log(_) => Advance::Mark { mapping, mark },
        Changes::Snapshot => Advance::Nothing,
    }
}

/// One execution under a lease, with its record in the state from the first moment to the last.
pub(crate) async fn execute(
    sync: &Sync,
    ports: &Ports,
    lease: &Lease,
    job: (Job, RunOptions),
    watch: &dyn Watch,
) -> Result<RunReport, RunFailure> {
    execute_with(sync, ports, lease, job, (watch, None)).await
}

async fn execute_with(
    sync: &Sync,
    ports: &Ports,
    lease: &Lease,
    (mut job, options): (Job, RunOptions),
    (watch, cache): (&dyn Watch, Option<&Cache>),
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
        wake_at: None,
    };
    ports.store.put_run(lease, &run).await?;
    ports.metrics.lease(&sync.name, true);
    let from = match &job.advance {
        Advance::Watermark { stored, .. } => stored.as_ref().map(|stored| stored.watermark),
        _ => None,
    };
    if let Some(from) = from {
        ports.metrics.source_watermark(&sync.name, from);
        ports.metrics.delivered_watermark(&sync.name, from);
    }
    let mut known = Known::default();
    // Nothing has been sent yet: whoever waits here can stop at once.
    let ready = tokio::select! {
        biased;
        () = options.stop.drain.cancelled() => None,
        ready = ready((sync, cache), ports, (lease, &run), (&mut job, &options, &mut known)) => Some(ready),
    };
    let outcome = match ready {
        None => Outcome { interrupted: true, counts: known.counts, ..Outcome::default() },
        Some(Ok(prepared)) => {
            watch.forecast(&Forecast::of(sync, ports, known.requests).await);
            let conductor = Conductor::new(sync, ports, lease, (prepared, &job, &options, &run));
            // It is large, and every caller would carry it.
            Box::pin(conductor.conduct(job, watch)).await
        }
        Some(Err(error)) => {
            Outcome { error: Some(error), counts: known.counts, ..Outcome::default() }
        }
    };
    let to = outcome.reached.or(from);
    known.findings.extend(outcome.findings.iter().cloned());
    let result = finish(ports, lease, &mut run, outcome).await;
    ports.metrics.lease(&sync.name, false);
    let report = report(sync, ports, run, (from, to), known).await;
    match (result, report) {
        (Ok(()), Ok(report)) => Ok(report),
        (Ok(()), Err(error)) => Err(error.into()),
        (Err(error), report) => Err(RunFailure { error, report: report.ok().map(Box::new) }),
    }
}

/// What is known of a run before its first request, also when it ends there.
#[derive(Default)]
struct Known {
    findings: Vec<Finding>,
    rulings: Vec<Ruling>,
    /// Of a run that ends here: everything that would have been sent is parked.
    counts: RunCounts,
    /// Write calls it takes, where the rows were weighed.
    requests: Option<u64>,
}

/// Asks both sides, lets the guards speak, and remembers from now on what the sync's memory is about.
async fn ready(
    (sync, cache): (&Sync, Option<&Cache>),
    ports: &Ports,
    (lease, run): (&Lease, &RunRecord),
    (job, options, known): (&mut Job, &RunOptions, &mut Known),
) -> Result<Prepared> {
    if let Some(error) = job.refused.take() {
        return Err(error);
    }
    parked(sync, ports).await?;
    let said = match cache {
        Some(cache) => cache.get().await,
        None => None,
    };
    let asked = said.is_none();
    let mut prepared = match said {
        Some(prepared) => prepared,
        None => prepare(sync, ports).await?,
    };
    known.findings.clone_from(&prepared.checked.findings);
    if !asked {
        return guard(sync, ports, prepared, (run, job, options, known)).await;
    }
    let aim = target(sync, ports, &prepared.object).await?;
    prepared.resend = aim.resend();
    if let Some(approval) = &job.approval {
        approval.goes_to(&aim.now)?;
    }
    let prepared = match job.guarded {
        true => guard(sync, ports, prepared, (run, job, options, known)).await?,
        false => prepared,
    };
    if let Some(target) = aim.news() {
        ports.store.put_target(lease, &target).await?;
    }
    leave_mapping(sync, ports, lease, run).await?;
    if let Some(cache) = cache {
        cache.put(&prepared).await;
    }
    Ok(prepared)
}

/// Weighs what the job is about to send, where a guard or a plan needs it, and lets the guards speak.
async fn guard(
    sync: &Sync,
    ports: &Ports,
    prepared: Prepared,
    (run, job, options, known): (&RunRecord, &mut Job, &RunOptions, &mut Known),
) -> Result<Prepared> {
    let guards = &sync.guards;
    if let Some(approval) = &job.approval {
        known.rulings = approval.rulings(sync);
        stopped(&sync.name, &known.rulings)?;
    } else if guards.confirm_first_run && ports.store.known_rows(&sync.name).await? == 0 {
        let all = rulings(sync, &Counts::default(), |_| Vec::new());
        known.rulings = all.into_iter().filter(|ruling| ruling.guard == Guard::FirstRun).collect();
        return stopped(&sync.name, &known.rulings).map(|()| prepared);
    } else if !guards.weigh() {
        return Ok(prepared);
    }
    let counted = match weighed_page(&job.pages) {
        Some(page) if job.approval.is_none() => {
            model_rows(sync, ports, &page.request.scope).await?
        }
        _ => Counted::Never,
    };
    let stored = match &job.advance {
        Advance::Watermark { stored, .. } => stored.clone(),
        _ => None,
    };
    let (prepared, meta) = (Arc::new(prepared), meta_of(run));
    let (stop, stored) = (&options.stop, stored.as_ref());
    let compare = match sync.remember() {
        Remember::Nothing => Compare::No,
        _ if job.approval.is_some() => Compare::No,
        _ => Compare::Remembered,
    };
    let scale = Scale { sync, ports, prepared: &prepared, meta: &meta, stop, stored, compare };
    let pages = std::mem::take(&mut job.pages);
    let mut verifier = job.approval.as_ref().map(Approval::verifier).transpose()?;
    let beholder: &mut dyn Beholder = match &mut verifier {
        Some(verifier) => verifier,
        None => &mut Nobody,
    };
    let Ended::Complete(mut weight, kept) = scale.weigh(pages, beholder).await? else {
        // The caller sees the drain by itself.
        return std::future::pending().await;
    };
    weight.count_model(counted);
    let (read, unchanged) = (weight.read, weight.unchanged);
    known.counts = RunCounts { read, unchanged, parked: read - unchanged, ..RunCounts::default() };
    match verifier {
        Some(verifier) => verifier.verdict(ports.store.as_ref()).await?,
        None => {
            known.rulings = weight.rulings(sync);
            known.findings.extend(weight.blind(guards));
        }
    }
    stopped(&sync.name, &known.rulings)?;
    known.requests = Some(weight.requests);
    job.weighed = Some(kept);
    Ok(Arc::unwrap_or_clone(prepared))
}

/// When rows are going to be sent with another mapping than the stored watermark names, it names none from now on:
/// until every row was looked at with one mapping, neither the new nor the old one may pass over any.
async fn leave_mapping(sync: &Sync, ports: &Ports, lease: &Lease, run: &RunRecord) -> Result<()> {
    let mapping = mapping_name(sync);
    let is_left = |stored: &str| !stored.is_empty() && stored != mapping;
    let watermark = ports.store.watermark(&sync.name).await?;
    let watermark = watermark.filter(|stored| is_left(&stored.mapping));
    let mark = ports.store.mark(&sync.name).await?.filter(|stored| is_left(&stored.mapping));
    if watermark.is_none() && mark.is_none() {
        return Ok(());
    }
    let commit = flow::Commit {
        run_id: run.id.clone(),
        at: run.started_at,
        watermark: watermark.map(|stored| StoredWatermark { mapping: String::new(), ..stored }),
        mark: mark.map(|stored| StoredMark { mapping: String::new(), ..stored }),
        ..flow::Commit::default()
    };
    ports.store.commit(lease, commit).await
}

/// What a mapping may know about the run.
pub(crate) fn meta_of(run: &RunRecord) -> RunMeta {
    RunMeta { id: run.id.clone(), sync: run.sync.clone(), started_at: run.started_at }
}

/// When a parked run can go on: as the quota ledger says, or else the error.
async fn wake_at(ports: &Ports, error: &Error) -> i64 {
    let now = ports.clock.now_micros();
    let quota = quota(ports).await.unwrap_or_default();
    let wait = error.wait().and_then(|wait| i64::try_from(wait.as_micros()).ok());
    let by_error = now.saturating_add(wait.unwrap_or(WAKE_UNKNOWN));
    quota.parked_until.filter(|until| *until > now).unwrap_or(by_error)
}

/// Writes the run's end and checks its accounting.
async fn finish(ports: &Ports, lease: &Lease, run: &mut RunRecord, outcome: Outcome) -> Result<()> {
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
        Some(error) if error.kind() == Kind::Parked => RunStatus::Parked,
        Some(_) => RunStatus::Failed,
        None if outcome.interrupted => RunStatus::Interrupted,
        None if run.counts.rejected + run.counts.gone_failed > 0 => RunStatus::Partial,
        None => RunStatus::Ok,
    };
    run.error = error.as_ref().map(ToString::to_string);
    run.wake_at = match &error {
        Some(error) if error.kind() == Kind::Parked => Some(wake_at(ports, error).await),
        _ => None,
    };
    if outcome.unheard
        && let Err(failed) = ports.store.put_unheard(lease, ports.clock.now_micros()).await
    {
        // The run stays unfinished, and the next owner takes it for one that crashed.
        return Err(error.unwrap_or(failed));
    }
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
    known: Known,
) -> Result<RunReport> {
    let Known { findings, rulings, .. } = known;
    let (open_rejects, oldest) = ports.store.open_rejects(&sync.name).await?;
    ports.metrics.rejects(&sync.name, open_rejects, oldest);
    let unconfirmed = ports.store.unconfirmed_rows(&sync.name).await?;
    ports.metrics.unconfirmed(&sync.name, unconfirmed);
    // As for the guard: a few rows that wait are no crowd in a run that reads little else.
    let known = rulings.iter().filter(|ruling| ruling.guard == Guard::MaxRejected);
    let rows = known.map(|ruling| ruling.of).fold(run.counts.read.max(1), u64::max);
    let share = run.counts.rejected as f64 / rows as f64;
    let rejects_above_limit = sync.guards.max_rejected.is_some_and(|max| share > max);
    Ok(RunReport {
        run,
        from,
        to,
        findings,
        open_rejects,
        unconfirmed,
        rejects_above_limit,
        rulings,
    })
}
