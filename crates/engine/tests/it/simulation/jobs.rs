//! The simulated vendor's jobs: made, given their rows, worked on in its own time, asked for, and forgotten. Watchers hold
//! that each is made once, after its intent, and given rows after its id is durable (D7), and that nothing overtakes it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flow::{
    Error, JobLimits, Journal, KeepsJobs, OpenJob, Outcome, Receipt, Result, Resumed, Retry,
    WriteBatch,
};

use super::mishap::{self, Applied};
use super::universe::{DOWN, POISON, Sabotage, State, Universe};
use super::vendor::{self, Sent, SimDestination};

/// How the vendor of one history takes jobs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JobWeather {
    pub(crate) limits: JobLimits,
    /// The rows come with the request that makes the job, so that its id is known only afterwards.
    pub(crate) rows_at_once: bool,
    /// Jobs can be found by the mark that was sent along.
    pub(crate) marked: bool,
    /// The longest time the vendor works on a job.
    pub(crate) work_ms: u64,
}

impl JobWeather {
    pub(crate) fn draw(dice: &mut fastrand::Rng, late_ms: u64) -> Option<Self> {
        if dice.u8(0..3) > 0 {
            return None;
        }
        let rows_at_once = dice.bool();
        let limits = JobLimits {
            rows_min: dice.usize(1..6),
            rows_max: dice.usize(2..12),
            bytes_max: if dice.bool() { 1 << 20 } else { dice.usize(100..600) },
        };
        // A job that may be lost sight of before it ends must end in the time a lost call may take.
        let work_ms = if rows_at_once { late_ms } else { 20_000 };
        Some(Self { limits, rows_at_once, marked: dice.bool(), work_ms })
    }
}

/// One job at the vendor.
pub(crate) struct VendorJob {
    key: String,
    state: JobState,
    tokens: BTreeSet<String>,
}

#[derive(Debug, Clone)]
enum JobState {
    /// It waits for its rows.
    Open,
    Working,
    Ended(Vec<Outcome>),
    /// Nothing of it was applied.
    Failed,
    Aborted,
    /// The vendor does not tell any more.
    Vanished,
}

/// The request is lost, or its answer is.
fn unlucky(state: &mut State) -> Option<bool> {
    state.misfortune(0.12).then(|| state.chance(0.5))
}

fn no_answer() -> Error {
    Error::new(&DOWN, "no answer").with_retry(Retry::Backoff).ambiguous()
}

/// Sends a batch as a job, to its end.
pub(crate) async fn write(
    universe: &Arc<Universe>,
    batch: &WriteBatch,
    journal: &dyn Journal,
) -> Result<Receipt> {
    let rows = vendor::sent(batch);
    let run = batch.run_id.to_string();
    universe.step("make the job").await;
    let (id, at_once) = {
        let mut state = universe.lock();
        if state.misfortune(0.05) {
            let wait = Duration::from_millis(state.dice.u64(100..5_000));
            return Err(Error::new(&DOWN, "slow down").with_retry(Retry::After(wait)));
        }
        let lost = unlucky(&mut state);
        if lost == Some(true) {
            return Err(no_answer());
        }
        let id = make(&mut state, journal.key());
        let at_once = state.weather.jobs.is_some_and(|jobs| jobs.rows_at_once);
        if at_once {
            begin(universe, &mut state, (id, &rows, &run));
        }
        if lost == Some(false) {
            return Err(no_answer());
        }
        (id, at_once)
    };
    let forgets = universe.lock().is(Sabotage::HidesJobIds);
    if !forgets {
        journal.created(&id.to_string()).await?;
    }
    if !at_once {
        universe.step("upload").await;
        let mut state = universe.lock();
        let lost = unlucky(&mut state);
        if lost == Some(true) {
            return Err(no_answer());
        }
        id_is_durable(&mut state, (journal.key(), id));
        begin(universe, &mut state, (id, &rows, &run));
        if lost == Some(false) {
            return Err(no_answer());
        }
    }
    match wait(universe, id).await? {
        JobState::Ended(outcomes) => Ok(Receipt { outcomes }),
        JobState::Failed => Err(Error::new(&POISON, "one of the rows is poison")),
        _ => Err(no_answer()),
    }
}

/// D7: made once, and not before its intent is durable.
fn make(state: &mut State, key: &str) -> u64 {
    if state.vendor.jobs.values().any(|job| job.key == key) {
        state.breach(format!("D7: the job {key} is made twice"));
    }
    if !state.memory.jobs.iter().any(|job| job.open.key == key) {
        state.breach(format!("D7: the job {key} is made without an intent"));
    }
    let id = state.vendor.jobs.len() as u64 + 1;
    let job = VendorJob { key: key.to_owned(), state: JobState::Open, tokens: BTreeSet::new() };
    state.vendor.jobs.insert(id, job);
    state.note(format_args!("makes job {id}"));
    id
}

/// D7: nobody uploads a row of a job that could not be found again.
fn id_is_durable(state: &mut State, (key, id): (&str, u64)) {
    let job = state.memory.jobs.iter().find(|job| job.open.key == key);
    let known = job.and_then(|job| job.open.remote_id.as_deref()) == Some(&id.to_string());
    if !known {
        state.breach(format!("D7: rows of job {id} are uploaded before its id is durable"));
    }
}

/// The job has its rows; the vendor works on it in its own time, whoever waits for it.
fn begin(universe: &Arc<Universe>, state: &mut State, (id, rows, run): (u64, &[Sent], &str)) {
    let tokens = vendor::watch(state, rows, run);
    let work_ms = state.weather.jobs.map_or(1, |jobs| jobs.work_ms);
    let work = Duration::from_millis(state.dice.u64(0..work_ms.max(1)));
    let (applied, special) = match state.misfortune(0.3) {
        true => mishap::mixed_rows(state, rows.len()),
        false => (Applied::All, vec![None; rows.len()]),
    };
    let job = state.vendor.jobs.get_mut(&id).expect("it was made");
    (job.state, job.tokens) = (JobState::Working, tokens);
    state.note(format_args!("job {id} has its rows: {rows:?}, {applied:?}, for {work:?}"));
    let (universe, rows) = (Arc::clone(universe), rows.to_vec());
    tokio::spawn(async move {
        tokio::time::sleep(work).await;
        let mut state = universe.lock();
        let ended = match vendor::apply(&mut state, &rows, &applied) {
            Ok(usual) => JobState::Ended(vendor::mix(usual, special)),
            Err(_) => JobState::Failed,
        };
        state.note(format_args!("job {id} has ended"));
        let job = state.vendor.jobs.get_mut(&id).expect("it was made");
        if !matches!(job.state, JobState::Vanished) {
            job.state = ended;
        }
        let tokens = std::mem::take(&mut job.tokens);
        vendor::landed(&mut state, &tokens);
    });
}

/// Asks until the job is not worked on any more.
async fn wait(universe: &Arc<Universe>, id: u64) -> Result<JobState> {
    loop {
        universe.step("ask for the job").await;
        let state = {
            let mut state = universe.lock();
            if state.misfortune(0.05) {
                return Err(no_answer());
            }
            if state.misfortune(0.03) {
                vanish(&mut state, id);
            }
            state.vendor.jobs[&id].state.clone()
        };
        if !matches!(state, JobState::Working) {
            return Ok(state);
        }
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
}

/// The vendor forgets a job that has ended; or one it still works on, where that ends soon enough.
fn vanish(state: &mut State, id: u64) {
    let in_time = state.weather.jobs.is_some_and(|jobs| jobs.work_ms <= state.weather.late_ms);
    let job = state.vendor.jobs.get_mut(&id).expect("it was made");
    if matches!(job.state, JobState::Ended(_))
        || (in_time && matches!(job.state, JobState::Working))
    {
        job.state = JobState::Vanished;
        lose_sight(state, id);
    }
}

/// Nobody waits for the job any more, so that nothing can be said to overtake it.
fn lose_sight(state: &mut State, id: u64) {
    state.note(format_args!("job {id} is out of sight"));
    let tokens = std::mem::take(&mut state.vendor.jobs.get_mut(&id).expect("known").tokens);
    vendor::landed(state, &tokens);
}

#[async_trait]
impl KeepsJobs for SimDestination {
    async fn resume(&self, job: &OpenJob) -> Result<Resumed> {
        self.0.step("resume").await;
        let id = {
            let mut state = self.0.lock();
            state.note(format_args!("asks for job {:?}", job.remote_id));
            if state.misfortune(0.05) {
                return Err(Error::new(&DOWN, "no answer").with_retry(Retry::Backoff));
            }
            let weather = state.weather.jobs.expect("jobs are offered");
            let made = state.vendor.jobs.iter().find(|(_, made)| made.key == job.key);
            let made = made.map(|(id, _)| *id);
            let known = job.remote_id.as_ref().and_then(|id| id.parse().ok());
            match (known, made) {
                (Some(id), _) => id,
                (None, Some(id)) if weather.marked || !weather.rows_at_once => id,
                // No id and no mark: rows that came with the request may be worked on.
                (None, made) if weather.rows_at_once && !weather.marked => {
                    if let Some(id) = made {
                        lose_sight(&mut state, id);
                    }
                    return Ok(Resumed::Lost);
                }
                (None, _) => return Ok(Resumed::NotApplied),
            }
        };
        let ended = wait(&self.0, id)
            .await
            .map_err(|_| Error::new(&DOWN, "no answer").with_retry(Retry::Backoff))?;
        Ok(match ended {
            JobState::Ended(outcomes) => Resumed::Ended(Receipt { outcomes }),
            JobState::Open => {
                self.0.lock().vendor.jobs.get_mut(&id).expect("known").state = JobState::Aborted;
                Resumed::NotApplied
            }
            JobState::Failed | JobState::Aborted => Resumed::NotApplied,
            JobState::Vanished | JobState::Working => Resumed::Lost,
        })
    }
}
