//! Runs of the engine, one sync after another, as `run`, `backfill` and `rejects retry` ask for them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::{BackfillScope, Guard, PlanFile, Ports, RunFailure, RunOptions, RunReport};
use flow::metrics::SyncInfo;
use flow::{Changes, Finding, Key, Lease, RunCounts, RunStatus, Shard, Trigger};
use state::{State, SyncState};

use crate::config::CheckedSync;
use crate::context::Context;
use crate::exit;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::process;
use crate::progress::{Reporter, Style};
use crate::project::{self, Project};
use crate::report::{self, Refused, Shown};
use crate::signals::Signals;
use crate::spool::InUse;
use crate::summary::SyncSummary;

/// What the first signal tells a person.
const DRAINING: &str = "stopping after the requests in flight; again to abort";
/// Runs looked at for the last success of a sync.
const RUNS_LOOKED_AT: u64 = 200;

/// What to do with a sync.
#[derive(Debug, Clone)]
pub(crate) enum Job {
    /// Send what changed.
    Run,
    /// Send an old range again.
    Backfill(BackfillScope, Vec<String>),
    /// Read these rows again and send them.
    Retry(Vec<Key>),
    /// Send what changed of the rows of one shard, under its lease.
    Shard(Arc<Lease>, Shard),
    /// Send what this plan says, and let these guards be passed.
    Apply(Arc<PlanFile>, Vec<Guard>),
}

/// How to do it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manner {
    /// Read every row, whatever the watermark.
    pub full_refresh: bool,
    /// Send at most so many rows.
    pub rows_max: Option<u64>,
    /// Stop at the first reject.
    pub fail_fast: bool,
    /// Go on until a signal, where the sync asks for it.
    pub follow: bool,
}

/// Says what each flush of a run without an end came to.
struct Flushes<'a> {
    sync: &'a str,
    output: &'a Output,
    /// Advice that was given, by its code; it is given again when it was no longer needed meanwhile.
    advised: Mutex<BTreeSet<&'static str>>,
}

impl Flushes<'_> {
    fn advise(&self, findings: &[Finding]) {
        let codes = findings.iter().map(|finding| finding.code.id).collect();
        let mut advised = self.advised.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *advised, codes);
        for finding in findings.iter().filter(|finding| !before.contains(finding.code.id)) {
            let Finding { code, message, remedy } = finding;
            self.output.complain(format_args!("{}: {} {message}; {remedy}", self.sync, code.id));
        }
    }
}

impl engine::Told for Flushes<'_> {
    fn flushed(&self, result: &Result<RunReport, RunFailure>, again: Option<Duration>) {
        match (result, again) {
            (Ok(report), _) => {
                let RunCounts { read, unchanged, rejected, .. } = report.run.counts;
                let delivered = report.run.counts.delivered();
                tracing::info!(sync = %self.sync, read, unchanged, delivered, rejected, "a flush ended");
                self.advise(&report.findings);
            }
            (Err(failure), Some(pause)) => self.output.complain(format_args!(
                "{}: {} {}; again in {} s",
                self.sync,
                failure.error.code().id,
                failure.error.message(),
                pause.as_secs()
            )),
            (Err(_), None) => {}
        }
    }
}

/// Everything the runs of one call share.
pub(crate) struct Session<'a> {
    context: &'a Context,
    project: &'a Project,
    state: Arc<dyn State>,
    /// The signals of the process.
    pub signals: Signals,
    style: Style,
    _spool: InUse,
}

impl<'a> Session<'a> {
    /// Starts listening for signals. What killed processes left in the spool is removed.
    pub(crate) fn start(context: &'a Context, project: &'a Project, state: Arc<dyn State>) -> Self {
        let signals = Signals::listen(Arc::clone(&context.output), DRAINING);
        let spool = project.claim_spool();
        Self { context, project, state, signals, style: context.progress_style(), _spool: spool }
    }

    /// Whether a signal asked to stop: no further sync is begun.
    pub(crate) fn is_stopping(&self) -> bool {
        self.signals.stop.drain.is_cancelled()
    }

    /// Announces the syncs, so that their series exist from the start, also of those that fail early.
    pub(crate) async fn announce(&self, syncs: &[&CheckedSync]) {
        let known = self.state.syncs().await.unwrap_or_default();
        for planned in syncs {
            let sync = &planned.sync;
            let metrics = &self.context.metrics;
            metrics.sync_known(&SyncInfo {
                sync: sync.name.clone(),
                source: sync.source.clone(),
                destination: sync.destination.clone(),
                object: sync.object.clone(),
                mode: sync.mode.as_str(),
                method: match sync.model.changes {
                    Changes::Snapshot => "snapshot",
                    Changes::Log(_) => "log",
                    Changes::Watermark { .. } => "watermark",
                },
                expected_interval_seconds: planned.expected_interval_seconds,
                enabled: planned.enabled,
            });
            self.recall(&sync.name, known.iter().find(|known| known.sync == sync.name)).await;
        }
    }

    /// What earlier processes left behind stays visible while this one works, and when it fails.
    async fn recall(&self, sync: &str, known: Option<&SyncState>) {
        let Some(known) = known else { return };
        let metrics = &self.context.metrics;
        metrics.rejects(sync, known.open_rejects, known.oldest_reject_at);
        metrics.unconfirmed(sync, known.unconfirmed_rows);
        if let Some(stored) = &known.watermark {
            metrics.delivered_watermark(sync, stored.watermark);
        }
        let runs = self.state.runs(Some(sync), RUNS_LOOKED_AT).await.unwrap_or_default();
        let mut finished = runs.iter().filter_map(|run| Some((run, run.ended_at?)));
        if let Some((run, ended_at)) = finished.clone().next() {
            metrics.run_finished_before(sync, run.status, (run.started_at, ended_at));
        }
        let good = |status| matches!(status, RunStatus::Ok | RunStatus::Partial);
        if let Some((_, ended_at)) = finished.find(|(run, _)| good(run.status)) {
            metrics.run_succeeded_before(sync, ended_at);
        }
    }

    /// The state.
    pub(crate) fn state(&self) -> &dyn State {
        self.state.as_ref()
    }

    /// Does `job` and prints what came of it.
    pub(crate) async fn perform(
        &self,
        planned: &CheckedSync,
        job: Job,
        manner: Manner,
    ) -> SyncSummary {
        let sync = &planned.sync;
        let output = &self.context.output;
        let ports = self.project.ports(self.context, planned, &self.state);
        let ports = match ports {
            Ok(ports) => {
                project::refuse_denied(self.context, planned, &ports).await.map(|()| ports)
            }
            Err(failure) => Err(failure),
        };
        let summary = match ports {
            Ok(ports) => {
                let ordinary = matches!(job, Job::Run | Job::Apply(..));
                let result = self.engine(planned, &ports, job, manner).await;
                self.conclude(planned, result, ordinary).await
            }
            Err(failure) => {
                report::heading(output, planned);
                process::show(output, &failure);
                SyncSummary::failed(&sync.name, &failure)
            }
        };
        if let Ok(bytes) = self.state.size_bytes().await {
            self.context.metrics.state_size(bytes);
        }
        output.stream("sync", &summary);
        summary
    }

    async fn engine(
        &self,
        planned: &CheckedSync,
        ports: &Ports,
        job: Job,
        manner: Manner,
    ) -> Result<RunReport, RunFailure> {
        let sync = &planned.sync;
        let options = RunOptions {
            trigger: match job {
                Job::Backfill(..) => Trigger::Backfill,
                Job::Run | Job::Shard(..) | Job::Retry(_) | Job::Apply(..) => Trigger::Manual,
            },
            full_refresh: manner.full_refresh,
            rows_max: manner.rows_max,
            fail_fast: manner.fail_fast,
            stop: self.signals.stop.clone(),
        };
        let trigger = options.trigger.as_str();
        tracing::info!(sync = %sync.name, trigger, full = manner.full_refresh, "a run begins");
        let watch = Reporter::start(&sync.name, &self.style, &self.context.output);
        match job {
            Job::Run => match planned.continuous.filter(|_| manner.follow) {
                Some(how) => {
                    let told = Flushes {
                        sync: &sync.name,
                        output: &self.context.output,
                        advised: Mutex::default(),
                    };
                    engine::follow(sync, ports, (options, how), (&watch, &told)).await
                }
                None => engine::run(sync, ports, options, &watch).await,
            },
            Job::Shard(lease, shard) => {
                let about = (lease.as_ref(), shard);
                let report = engine::run_shard(sync, ports, about, options, &watch).await?;
                let run = &report.run;
                let is_done = matches!(run.status, RunStatus::Ok | RunStatus::Partial);
                if is_done && run.counts.parked == 0 {
                    let now = self.context.clock.now_micros();
                    self.state.end_shard(&lease, &run.id, now).await?;
                }
                Ok(report)
            }
            Job::Backfill(scope, fields) => {
                let what = (scope, fields.as_slice(), options);
                engine::backfill_fields(sync, ports, what, &watch).await
            }
            Job::Retry(keys) => engine::retry(sync, ports, (keys, options), &watch).await,
            Job::Apply(plan, allowed) => {
                let origin = self.project.origin();
                let about = (sync, origin.as_str());
                engine::apply(about, ports, (plan, allowed, options), &watch).await
            }
        }
    }

    async fn conclude(
        &self,
        planned: &CheckedSync,
        result: Result<RunReport, RunFailure>,
        ordinary: bool,
    ) -> SyncSummary {
        let output = &self.context.output;
        let (report, failure) = match result {
            Ok(report) => (Some(report), None),
            Err(failure) => (failure.report.map(|report| *report), Some(failure.error)),
        };
        let failure = failure.map(Failure::from);
        let mut summary = match &failure {
            Some(failure) => SyncSummary::failed(&planned.sync.name, failure),
            None => SyncSummary { sync: planned.sync.name.clone(), ..SyncSummary::default() },
        };
        if let Some(report) = &report {
            let refused = Refused::of_run(self.state.as_ref(), &report.run).await;
            if failure.is_none() {
                summary.exit_code = self.exit_code(report);
                // A run without an end ends by a signal, also while it waits.
                if planned.continuous.is_some() && summary.exit_code == exit::DONE {
                    summary.exit_code = self.signals.exit_code().unwrap_or(exit::DONE);
                }
                summary.status = report::status_word(report, &refused).to_owned();
            }
            report::fill(&mut summary, report, &refused);
            let RunCounts { read, unchanged, rejected, parked, removed, requests, retries, .. } =
                report.run.counts;
            let (run, delivered) = (&report.run.id, report.run.counts.delivered());
            let status = report.run.status.as_str();
            tracing::info!(
                sync = %planned.sync.name, %run, status, read, unchanged, delivered, rejected,
                parked, removed, requests, retries, "a run ended"
            );
            let shown = Shown { planned, report, summary: &summary, ordinary };
            report::print(output, &shown);
            if let Some(error) = report::unbalanced(report) {
                output.complain(error);
                summary.exit_code = exit::FAILED;
                summary.status = "failed".to_owned();
            }
        } else {
            report::heading(output, planned);
        }
        if let Some(failure) = &failure {
            process::show(output, failure);
        }
        summary
    }

    fn exit_code(&self, report: &RunReport) -> u8 {
        match report.run.status {
            RunStatus::Interrupted => self.signals.exit_code().unwrap_or(exit::FAILED),
            RunStatus::Ok | RunStatus::Partial if report.rejects_above_limit => exit::REJECTS,
            RunStatus::Ok | RunStatus::Partial => exit::DONE,
            RunStatus::Guarded => exit::GUARD,
            RunStatus::Parked => exit::PARKED,
            RunStatus::Running | RunStatus::Failed | RunStatus::Crashed => exit::FAILED,
        }
    }
}
