//! One history from its seed: writers, runs that are disturbed in every way, then calm and the last judgement.

use std::sync::Arc;
use std::time::Duration;

use engine::{
    BackfillScope, Delivery, Guards, Ports, RunFailure, RunOptions, RunReport, Stop, Sync,
};
use flow::metrics::Metrics;
use flow::{Changes, Key, Mode, Model, Relation, RunStatus, Trigger, Watermark};
use futures::FutureExt;

use super::oracle;
use super::removals;
use super::source::SimSource;
use super::store::SimStore;
use super::universe::{Sabotage, SimClock, Universe};
use super::vendor::SimDestination;
use super::weather::{Season, Weather};
use super::writers;
use crate::world::Nobody;

const SYNC: &str = "people";
/// Runs in which a calm world must have converged: a chain of rows that wait for each other's match value is as long
/// as it is.
const CALM_RUNS_MAX: usize = 40;

/// What became of one history.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) breaches: Vec<String>,
    pub(crate) journal: Vec<String>,
    pub(crate) races: u64,
    pub(crate) runs: usize,
    pub(crate) writes: u64,
    pub(crate) orphans: usize,
}

/// What a run is for.
#[derive(Debug, Clone)]
enum Task {
    Run { full: bool },
    Backfill(BackfillScope),
    Retry(Vec<Key>),
}

/// Lives the history of `seed` through.
pub(crate) fn live(seed: u64, season: Season, sabotage: Option<Sabotage>) -> Verdict {
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let verdict = runtime.block_on(async {
        let life = Life::new(seed, season, sabotage);
        life.storm().await;
        life.calm().await;
        let mut state = life.universe.lock();
        Verdict {
            breaches: std::mem::take(&mut state.breaches),
            journal: std::mem::take(&mut state.journal),
            races: state.races,
            runs: state.memory.runs.len(),
            writes: state.vendor.writes,
            orphans: oracle::orphans(&state),
        }
    });
    drop(runtime);
    verdict
}

struct Life {
    universe: Arc<Universe>,
    store: Arc<SimStore>,
    ports: Ports,
    _dir: tempfile::TempDir,
}

impl Life {
    fn new(seed: u64, season: Season, sabotage: Option<Sabotage>) -> Self {
        let weather = Weather::of(seed, season);
        let dir = tempfile::tempdir().unwrap();
        let universe = Universe::new(seed, weather.clone(), sabotage);
        let store = Arc::new(SimStore(Arc::clone(&universe)));
        let ports = Ports {
            source: Arc::new(SimSource(Arc::clone(&universe))),
            destination: Arc::new(SimDestination(Arc::clone(&universe))),
            store: Arc::<SimStore>::clone(&store),
            metrics: Metrics::new("test", "test"),
            clock: Arc::new(SimClock(Arc::clone(&universe))),
            spool_dir: dir.path().to_owned(),
            spool: weather.spool,
            retry: weather.retry,
        };
        Self { universe, store, ports, _dir: dir }
    }

    fn sync(&self) -> Sync {
        let state = self.universe.lock();
        let weather = &state.weather;
        let changes = match weather.snapshot {
            true => Changes::Snapshot,
            false => Changes::Watermark {
                column: "updated_at".to_owned(),
                lag_micros: weather.lag_micros,
            },
        };
        Sync {
            name: SYNC.to_owned(),
            model: Arc::new(Model {
                relation: Relation::Table("people".to_owned()),
                primary_key: vec!["id".to_owned()],
                changes,
                removed_when: None,
            }),
            source: "warehouse".to_owned(),
            destination: "crm".to_owned(),
            object: "contacts".to_owned(),
            match_on: oracle::match_on(),
            mode: if weather.mirror.is_some() { Mode::Mirror } else { Mode::Upsert },
            mappings: oracle::mappings(state.tag),
            removed: weather.mirror.map(|mirror| mirror.removed(state.calm)),
            delivery: Delivery {
                batch_rows: Some(weather.batch_rows),
                max_concurrency: Some(weather.concurrency),
                stop_on_reject: false,
                remember: engine::Remember::default(),
                api: engine::Api::default(),
            },
            compare_every_micros: None,
            guards: Guards::default(),
            private: Vec::new(),
        }
    }

    /// Writers write and runs are disturbed, until both have had enough.
    async fn storm(&self) {
        let writers = tokio::spawn(writers::write(Arc::clone(&self.universe)));
        let runs = self.universe.lock().weather.runs;
        for _ in 0..runs {
            let gap = self.universe.lock().dice.u64(500..6_000);
            tokio::time::sleep(Duration::from_millis(gap)).await;
            self.disturbed_run().await;
        }
        writers.await.unwrap();
    }

    async fn disturbed_run(&self) {
        let (task, options, kind) = {
            let mut state = self.universe.lock();
            let gentle = state.weather.season == Season::Gentle;
            if !gentle && state.chance(0.1) {
                state.tag =
                    if state.tag == oracle::TAGS[0] { oracle::TAGS[1] } else { oracle::TAGS[0] };
                let tag = state.tag;
                state.note(format_args!("the mapping now sends tag {tag}"));
            }
            let task = self.task(&mut state);
            let limit = state.chance(0.15).then(|| state.dice.u64(1..12));
            let options = RunOptions {
                trigger: Trigger::Manual,
                full_refresh: matches!(task, Task::Run { full: true }),
                rows_max: limit,
                fail_fast: !gentle && state.chance(0.05),
                stop: Stop::default(),
            };
            let kind = if gentle { 99 } else { state.dice.u8(0..100) };
            (task, options, kind)
        };
        match kind {
            0..15 => {
                let at = self.universe.lock().dice.u64(1..120);
                self.attempt(task, options, Some(at), None).await;
            }
            15..30 => {
                let at = self.universe.lock().dice.u64(1..5_000);
                self.attempt(task, options, None, Some(at)).await;
            }
            30..45 => self.stopped_run(task, options, kind).await,
            45..52 => self.overtaken_run(task, options).await,
            _ => {
                self.attempt(task, options, None, None).await;
            }
        }
    }

    /// A run that is drained or aborted.
    async fn stopped_run(&self, task: Task, options: RunOptions, kind: u8) {
        let stop = options.stop.clone();
        let at = self.universe.lock().dice.u64(1..3_000);
        let signals = async {
            tokio::time::sleep(Duration::from_millis(at)).await;
            stop.drain.cancel();
            if kind.is_multiple_of(3) {
                tokio::time::sleep(Duration::from_millis(at / 3)).await;
                stop.abort.cancel();
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            _ = self.attempt(task, options, None, None) => {}
            () = signals => {}
        }
    }

    /// A run whose lease is taken over.
    async fn overtaken_run(&self, task: Task, options: RunOptions) {
        let at = self.universe.lock().dice.u64(1..2_000);
        let both = self.universe.lock().weather.season == Season::TwoOwners;
        let other = async {
            tokio::time::sleep(Duration::from_millis(at)).await;
            let lease = self.store.take_over(SYNC);
            self.universe.lock().note(format_args!("the lease is taken over"));
            drop(lease);
            if both {
                let next = RunOptions { stop: Stop::default(), ..options.clone() };
                let _ = Box::pin(self.execute(&Task::Run { full: false }, next)).await;
            }
        };
        tokio::join!(self.attempt(task, options.clone(), None, None), other);
    }

    fn task(&self, state: &mut super::universe::State) -> Task {
        let now = state.now();
        match state.dice.u8(0..20) {
            0..2 => Task::Run { full: true },
            2 if !state.weather.snapshot => {
                let from = now - state.dice.i64(0..60_000_000);
                let to = from + state.dice.i64(0..60_000_000);
                let scope = BackfillScope::Range { from: Watermark(from), to: Watermark(to) };
                Task::Backfill(scope)
            }
            3 => {
                let from = state.dice.i64(0..state.weather.keys);
                let keys = from..from + state.dice.i64(1..9);
                Task::Backfill(BackfillScope::Keys(
                    keys.map(|id| Key::from_parts(&[id.to_string()])).collect(),
                ))
            }
            4 => Task::Backfill(BackfillScope::Where("true".to_owned())),
            5..7 => Task::Retry(state.memory.open_keys().into_iter().collect()),
            _ => Task::Run { full: false },
        }
    }

    /// One process: it may die at its n-th step or after some time; then nothing of it goes on.
    async fn attempt(
        &self,
        task: Task,
        options: RunOptions,
        dies_at_step: Option<u64>,
        dies_after_ms: Option<u64>,
    ) -> Option<RunReport> {
        {
            let mut state = self.universe.lock();
            state.dies_at = dies_at_step.map(|at| state.steps + at);
            state.note(format_args!("begins {task:?}, limit {:?}", options.rows_max));
        }
        let limited = options.rows_max.is_some();
        // A death that came too late for the last process is not for this one.
        let _ = self.universe.death.notified().now_or_never();
        let after = Duration::from_millis(dies_after_ms.unwrap_or(u64::MAX >> 20));
        let result = tokio::select! {
            biased;
            () = self.universe.death.notified() => None,
            () = tokio::time::sleep(after) => None,
            result = Box::pin(self.execute(&task, options)) => Some(result),
        };
        // What a process had in the air when it ended has landed before the next one begins.
        tokio::task::yield_now().await;
        let mut state = self.universe.lock();
        state.dies_at = None;
        if state.weather.season != Season::TwoOwners {
            let ended: Vec<String> = state.memory.runs.keys().cloned().collect();
            state.ended_runs.extend(ended);
        }
        drop(state);
        self.look_at(result, limited)
    }

    async fn execute(&self, task: &Task, options: RunOptions) -> Result<RunReport, RunFailure> {
        {
            let mut state = self.universe.lock();
            (state.rows_given, state.read_ended) = (0, true);
        }
        let (sync, ports) = (self.sync(), &self.ports);
        match task.clone() {
            Task::Run { .. } => engine::run(&sync, ports, options, &Nobody).await,
            Task::Backfill(scope) => {
                engine::backfill(&sync, ports, (scope, options), &Nobody).await
            }
            Task::Retry(keys) => engine::retry(&sync, ports, (keys, options), &Nobody).await,
        }
    }

    /// D9, R3: the books of a run that could end.
    fn look_at(
        &self,
        result: Option<Result<RunReport, RunFailure>>,
        limited: bool,
    ) -> Option<RunReport> {
        let mut state = self.universe.lock();
        let report = match result {
            None => {
                state.note(format_args!("died"));
                return None;
            }
            Some(Ok(report)) => report,
            Some(Err(failure)) => {
                state.note(format_args!("failed: {}", failure.error));
                if ["E4001", "E4003"].contains(&failure.error.code().id) {
                    state.breach(format!("D9: {}", failure.error));
                }
                if let Some(report) = &failure.report
                    && report.run.counts.unaccounted() != 0
                {
                    state.breach(format!("D9: the books do not balance: {:?}", report.run.counts));
                }
                return None;
            }
        };
        let (counts, given) = (report.run.counts, state.rows_given);
        if counts.unaccounted() != 0 {
            state.breach(format!("D9: the books do not balance: {counts:?}"));
        }
        let whole = [RunStatus::Ok, RunStatus::Partial].contains(&report.run.status);
        if whole && state.weather.season != Season::TwoOwners {
            if counts.read > given {
                state.breach(format!("D9: {} rows were read of {given}", counts.read));
            }
            if !limited && !state.read_ended {
                state.breach("R3: a run ended well whose read did not".to_owned());
            }
        }
        if whole && counts.parked > 0 && counts.delivered() + counts.rejected == 0 {
            state.breach(format!("D9: rows are parked without a reason: {counts:?}"));
        }
        Some(report)
    }

    /// Faults stop and the source is quiet: incremental runs, then full ones, until nothing is sent any more.
    async fn calm(&self) {
        let lag = {
            let mut state = self.universe.lock();
            state.calm = true;
            state.note(format_args!("calm"));
            state.table.lag_micros.unsigned_abs() + state.weather.late_ms * 1000
        };
        tokio::time::sleep(Duration::from_micros(lag) + Duration::from_secs(2)).await;
        {
            let mut state = self.universe.lock();
            let now = state.now();
            oracle::settle(&mut state, now);
            assert!(state.table.is_quiet(), "every transaction is over");
        }
        for full in [false, true] {
            let quiet = self.until_quiet(full).await;
            // Rows that left in the end are gone for good only after their grace.
            let grace = self.universe.lock().weather.mirror.map_or(0, |mirror| mirror.grace_micros);
            let quiet = quiet && (grace == 0 || self.after(grace).await);
            let mut state = self.universe.lock();
            if !quiet {
                state.breach("D1: calm runs still send".to_owned());
            }
            let tag = state.tag;
            oracle::at_the_end(&mut state, tag);
            removals::at_the_end(&mut state);
        }
    }

    /// Runs again when the grace is over.
    async fn after(&self, grace_micros: i64) -> bool {
        tokio::time::sleep(Duration::from_micros(grace_micros.unsigned_abs())).await;
        self.until_quiet(true).await
    }

    /// Runs until one sends nothing and no row is unconfirmed: a job that is lost only now may still be carried out for
    /// some time, and its rows are sent once more after it (seed 3470).
    async fn until_quiet(&self, full: bool) -> bool {
        for _ in 0..CALM_RUNS_MAX {
            let options = RunOptions {
                trigger: Trigger::Manual,
                full_refresh: full,
                rows_max: None,
                fail_fast: false,
                stop: Stop::default(),
            };
            tokio::time::sleep(Duration::from_secs(1)).await;
            let Some(report) = self.attempt(Task::Run { full }, options, None, None).await else {
                self.universe.lock().breach("D1: a calm run fails".to_owned());
                return false;
            };
            if report.run.counts.requests > 0 {
                continue;
            }
            let wait = {
                let state = self.universe.lock();
                let last = state.memory.unconfirmed.values().max().copied();
                last.map(|last| u64::try_from(last - state.now()).unwrap_or(0))
            };
            match wait {
                Some(wait) => tokio::time::sleep(Duration::from_micros(wait)).await,
                None => return true,
            }
        }
        false
    }
}
