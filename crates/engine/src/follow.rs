//! A run without an end: flush after flush, each an ordinary run, until it is told to stop.

use std::time::Duration;

use flow::{Kind, Result, RunCounts, Wait};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::diff::Resend;
use crate::prepare::Prepared;
use crate::run::run_with;
use crate::{Ports, RunFailure, RunOptions, RunReport, Sync, Watch};

/// Without any change, a run every so often says that all is well.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// What both sides said of themselves is asked again after so long.
const PREPARED_MAX: Duration = Duration::from_secs(300);
/// The pauses after failures grow from one to the other.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How changes are collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Follow {
    /// Flushes begin at least so far apart: a change waits at most so long before its flush begins.
    pub flush_every: Duration,
    /// So many changes are not waited for.
    pub flush_rows: u64,
}

/// What both sides said of themselves, for the flushes of one process.
#[derive(Default)]
pub(crate) struct Cache(Mutex<Option<(Instant, Prepared)>>);

impl Cache {
    /// What was said lately.
    pub(crate) async fn get(&self) -> Option<Prepared> {
        let known = self.0.lock().await;
        known.as_ref().filter(|(at, _)| at.elapsed() < PREPARED_MAX).map(|(_, said)| said.clone())
    }

    pub(crate) async fn put(&self, prepared: &Prepared) {
        // Flushes follow each other closely: rejects are tried again when both sides are asked again.
        let said = Prepared { resend: Resend::Nothing, tries_again: false, ..prepared.clone() };
        *self.0.lock().await = Some((Instant::now(), said));
    }

    async fn forget(&self) {
        *self.0.lock().await = None;
    }
}

/// Someone who hears of every flush.
pub trait Told: Send + std::marker::Sync {
    /// A flush has ended; `again` is the pause before it is tried again, where it failed and that may help.
    fn flushed(&self, result: &Result<RunReport, RunFailure>, again: Option<Duration>);
}

/// Runs the sync again whenever something changed, until `options.stop.drain`. A failure that may pass is tried again,
/// with growing pauses. Gives the last flush, with the counts of all of them.
///
/// # Errors
/// What trying again does not mend: configuration, credentials, guards.
pub async fn follow(
    sync: &Sync,
    ports: &Ports,
    (mut options, how): (RunOptions, Follow),
    (watch, told): (&dyn Watch, &dyn Told),
) -> Result<RunReport, RunFailure> {
    let cache = Cache::default();
    let drain = options.stop.drain.clone();
    let mut pause = PAUSES.0;
    let mut sum = Sum::default();
    loop {
        let began = Instant::now();
        let mut result = run_with(sync, ports, options.clone(), (watch, Some(&cache))).await;
        sum.add(&mut result);
        let again = match &result {
            Err(failure) if may_pass(failure) && !drain.is_cancelled() => Some(pause),
            _ => None,
        };
        told.flushed(&result, again);
        let is_over = result.is_err() && again.is_none();
        if !is_over && !drain.is_cancelled() {
            let pausing = async {
                match again {
                    Some(length) => tokio::time::sleep(length).await,
                    None => wait(sync, ports, (began, how)).await,
                }
            };
            tokio::select! {
                () = pausing => {}
                () = drain.cancelled() => {}
            }
        }
        if is_over || drain.is_cancelled() {
            sum.put(&mut result);
            return result;
        }
        if again.is_some() {
            cache.forget().await;
            pause = (pause * 2).min(PAUSES.1);
        } else {
            pause = PAUSES.0;
            options.full_refresh = false;
        }
    }
}

/// All flushes together.
#[derive(Default)]
struct Sum {
    counts: RunCounts,
    started_at: Option<i64>,
}

impl Sum {
    fn add(&mut self, result: &mut Result<RunReport, RunFailure>) {
        if let Some(report) = report_of(result) {
            self.counts += report.run.counts;
            self.started_at.get_or_insert(report.run.started_at);
        }
    }

    fn put(self, result: &mut Result<RunReport, RunFailure>) {
        if let Some(report) = report_of(result) {
            report.run.counts = self.counts;
            report.run.started_at = self.started_at.unwrap_or(report.run.started_at);
        }
    }
}

fn report_of(result: &mut Result<RunReport, RunFailure>) -> Option<&mut RunReport> {
    match result {
        Ok(report) => Some(report),
        Err(failure) => failure.report.as_deref_mut(),
    }
}

/// Whether the same flush may succeed later without anybody doing anything. Another run of the sync may be at work, as a
/// backfill is: between two flushes the lease is free.
fn may_pass(failure: &RunFailure) -> bool {
    !matches!(failure.error.kind(), Kind::Config | Kind::Credentials | Kind::Guard)
}

/// Waits until enough changed, or something changed and the last flush began long enough ago, or nothing changed for long.
async fn wait(sync: &Sync, ports: &Ports, (began, how): (Instant, Follow)) {
    // What changed since the last flush began was not in it, so that is how long it has waited at most.
    let at_most = how.flush_every.saturating_sub(began.elapsed());
    let wait = Wait { changes_min: how.flush_rows, at_most, idle_max: IDLE_MAX };
    let mark = ports.store.mark(&sync.name).await.ok().flatten().and_then(|stored| stored.mark);
    let waited = match &mark {
        Some(mark) => ports.source.wait(&sync.model, mark, wait).await.is_ok(),
        None => false,
    };
    if !waited {
        // The next flush says what is wrong, or reads what nobody can wait for; but not again and again at once.
        tokio::time::sleep(PAUSES.0).await;
    }
}
