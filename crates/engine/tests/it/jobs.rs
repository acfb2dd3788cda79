//! Jobs: one intent, one job, found again after a death at any moment (D7), and never overtaken by a newer version (D3).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use flow::{
    Attribution, Destination, Error, JobLimits, Journal, KeepsJobs, Limits, Mode, NullRule,
    ObjectSchema, OpenJob, Outcome, Receipt, Result, Resumed, RunStatus, WriteBatch, text_at,
};
use tokio::sync::Notify;

use crate::world::{DOWN, FakeDestination, REFUSED, World, people};

/// A place in the life of a job where a process may die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    BeforeCreate,
    Created,
    IdKnown,
    Uploaded,
    Polled,
    Ended,
}

const STEPS: [Step; 6] =
    [Step::BeforeCreate, Step::Created, Step::IdKnown, Step::Uploaded, Step::Polled, Step::Ended];

#[derive(Debug)]
struct Job {
    key: String,
    rows: Vec<(String, String)>,
    /// When the vendor is done with it.
    ends_at: Option<tokio::time::Instant>,
    vanished: bool,
}

#[derive(Default)]
struct Remote {
    records: BTreeMap<String, String>,
    jobs: Vec<Job>,
    calls: usize,
}

/// A destination that takes two rows or more as a job.
struct JobDestination {
    like: Arc<FakeDestination>,
    remote: Mutex<Remote>,
    work: Duration,
    /// The process dies here.
    dies_at: Mutex<Option<Step>>,
    died: Notify,
}

impl JobDestination {
    fn remote(&self) -> MutexGuard<'_, Remote> {
        self.remote.lock().unwrap()
    }

    async fn step(&self, step: Step) {
        if *self.dies_at.lock().unwrap() == Some(step) {
            self.died.notify_one();
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the vendor is done, and tells what became of the rows; `None`: it does not tell any more.
    async fn wait(&self, id: usize) -> Option<Vec<Outcome>> {
        let ends_at = self.remote().jobs[id].ends_at?;
        tokio::time::sleep_until(ends_at).await;
        let mut remote = self.remote();
        if remote.jobs[id].vanished {
            return None;
        }
        let rows = remote.jobs[id].rows.clone();
        let outcome = |(email, name): (String, String)| {
            if name == "refused" {
                let message = "no".to_owned();
                return Outcome::Rejected { code: &REFUSED, message, field: None };
            }
            let created = remote.records.insert(email.clone(), name).is_none();
            Outcome::Delivered { created: Some(created), remote_id: Some(email) }
        };
        Some(rows.into_iter().map(outcome).collect())
    }
}

#[async_trait]
impl Destination for JobDestination {
    fn limits(&self, _object: &str) -> Result<Limits> {
        Ok(Limits {
            rows_max: 10,
            bytes_max: 1 << 20,
            in_flight_max: 2,
            modes: &[Mode::Upsert],
            attribution: Attribution::JobRows,
            null_rule: NullRule::EmptyString,
            jobs: Some(JobLimits { rows_min: 2, rows_max: 20, bytes_max: 1 << 20 }),
            ..Limits::LEAST
        })
    }

    async fn describe(&self, object: &str) -> Result<ObjectSchema> {
        self.like.describe(object).await
    }

    fn objects(&self) -> Vec<String> {
        self.like.objects()
    }

    fn keeps_jobs(&self) -> Option<&dyn KeepsJobs> {
        Some(self)
    }

    async fn write(&self, batch: &WriteBatch) -> Result<Receipt> {
        let column = |name: &str| batch.payload.fields.column_by_name(name).unwrap().clone();
        let (emails, names) = (column("email"), column("name"));
        let row = |row| (text_at(&emails, row).into_owned(), text_at(&names, row).into_owned());
        let rows: Vec<_> = (0..batch.payload.rows()).map(row).collect();
        let Some(journal) = &batch.job else {
            let mut remote = self.remote();
            remote.calls += 1;
            let delivered = |(email, name): (String, String)| {
                let created = remote.records.insert(email.clone(), name).is_none();
                Outcome::Delivered { created: Some(created), remote_id: Some(email) }
            };
            return Ok(Receipt { outcomes: rows.into_iter().map(delivered).collect() });
        };
        assert!(rows.len() >= 2 && rows.len() <= 20);
        self.step(Step::BeforeCreate).await;
        let id = {
            let mut remote = self.remote();
            let key = journal.key().to_owned();
            assert!(remote.jobs.iter().all(|job| job.key != key), "D7: a job is made once");
            remote.jobs.push(Job { key, rows: Vec::new(), ends_at: None, vanished: false });
            remote.jobs.len() - 1
        };
        self.step(Step::Created).await;
        Journal::created(journal.as_ref(), &id.to_string()).await?;
        self.step(Step::IdKnown).await;
        {
            let mut remote = self.remote();
            remote.jobs[id].rows = rows;
            remote.jobs[id].ends_at = Some(tokio::time::Instant::now() + self.work);
        }
        self.step(Step::Uploaded).await;
        tokio::time::sleep(self.work / 2).await;
        self.step(Step::Polled).await;
        let outcomes = self.wait(id).await;
        self.step(Step::Ended).await;
        match outcomes {
            Some(outcomes) => Ok(Receipt { outcomes }),
            None => Err(Error::new(&DOWN, "no such job").ambiguous()),
        }
    }
}

#[async_trait]
impl KeepsJobs for JobDestination {
    async fn resume(&self, job: &OpenJob) -> Result<Resumed> {
        let found = self.remote().jobs.iter().position(|made| made.key == job.key);
        let Some(id) = found else { return Ok(Resumed::NotApplied) };
        if self.remote().jobs[id].ends_at.is_none() {
            return Ok(Resumed::NotApplied);
        }
        assert_eq!(job.remote_id, Some(id.to_string()), "D7: its id was durable before its rows");
        let emails: Vec<_> = self.remote().jobs[id].rows.iter().map(|row| row.0.clone()).collect();
        assert_eq!(job.tokens, emails, "result rows find their rows");
        let outcomes = self.wait(id).await;
        Ok(outcomes.map_or(Resumed::Lost, |outcomes| Resumed::Ended(Receipt { outcomes })))
    }
}

fn world(rows: i64, work: Duration) -> (World, Arc<JobDestination>) {
    let mut world = World::new(people(0..rows));
    let destination = Arc::new(JobDestination {
        like: Arc::clone(&world.destination),
        remote: Mutex::default(),
        work,
        dies_at: Mutex::default(),
        died: Notify::new(),
    });
    world.ports.destination = Arc::<JobDestination>::clone(&destination);
    (world, destination)
}

/// The process dies at this step of its first job.
async fn dies_at(world: &World, destination: &JobDestination, step: Step) {
    *destination.dies_at.lock().unwrap() = Some(step);
    tokio::select! {
        biased;
        () = destination.died.notified() => {}
        _ = world.run() => panic!("{step:?} is never reached"),
    }
    *destination.dies_at.lock().unwrap() = None;
    world.crashed();
}

#[track_caller]
fn converged(world: &World, destination: &JobDestination) {
    let rows = world.source.rows.lock().unwrap();
    let expected: BTreeMap<_, _> =
        rows.iter().map(|row| (row.email.clone(), row.name.clone())).collect();
    assert_eq!(destination.remote().records, expected);
    assert!(world.store.memory().jobs.is_empty(), "every job is over");
}

#[tokio::test(start_paused = true)]
async fn enough_rows_go_as_jobs_and_few_as_a_call() {
    let (world, destination) = world(41, Duration::from_secs(30));
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.created, report.unconfirmed), (41, 0));
    let made = destination.remote().jobs.len();
    assert_eq!((made, destination.remote().calls), (2, 1));
    converged(&world, &destination);
}

#[tokio::test(start_paused = true)]
async fn a_job_is_found_again_after_a_death_at_any_step_and_its_rows_are_not_sent_twice() {
    // D7
    for step in STEPS {
        let (world, destination) = world(20, Duration::from_secs(30));
        dies_at(&world, &destination, step).await;
        let report = world.run().await.unwrap();
        let counts = report.run.counts;
        assert_eq!((counts.delivered(), counts.unaccounted()), (20, 0), "{step:?}");
        let uploaded = destination.remote().jobs.iter().filter(|job| !job.rows.is_empty()).count();
        assert_eq!(uploaded, 1, "{step:?}: the rows are uploaded once");
        converged(&world, &destination);
        assert_eq!(world.run().await.unwrap().run.counts.requests, 0, "{step:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_version_waits_for_the_job_that_has_an_older_one() {
    // D3
    let (world, destination) = world(20, Duration::from_secs(600));
    dies_at(&world, &destination, Step::Uploaded).await;
    {
        let mut rows = world.source.rows.lock().unwrap();
        rows[7].name = "newer".to_owned();
        rows[7].updated_at = 50_000_000;
    }
    let report = world.run().await.unwrap();
    assert_eq!(report.run.counts.delivered(), 21);
    converged(&world, &destination);
}

#[tokio::test(start_paused = true)]
async fn a_row_the_job_refused_is_booked_as_if_the_answer_had_come() {
    let (world, destination) = world(20, Duration::from_secs(30));
    world.source.rows.lock().unwrap()[3].name = "refused".to_owned();
    dies_at(&world, &destination, Step::Polled).await;
    let report = world.run().await.unwrap();
    let counts = report.run.counts;
    assert_eq!((counts.created, counts.rejected, report.open_rejects), (19, 2, 1), "once held");
    assert_eq!(world.store.memory().rejects.get("3"), Some(&"R298"));
    assert_eq!(destination.remote().jobs.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_job_is_sent_again_and_its_rows_are_confirmed() {
    // D4, D7
    let (world, destination) = world(20, Duration::from_secs(30));
    dies_at(&world, &destination, Step::Uploaded).await;
    destination.remote().jobs[0].vanished = true;
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.delivered(), report.unconfirmed), (20, 20));
    assert_eq!(destination.remote().jobs.len(), 2);
    converged(&world, &destination);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_vanishes_in_the_middle_is_asked_for_before_another_is_made() {
    let (world, destination) = world(20, Duration::from_secs(30));
    let vanishes = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        destination.remote().jobs[0].vanished = true;
    };
    let (report, ()) = tokio::join!(world.run(), vanishes);
    assert_eq!(
        (report.as_ref().unwrap().run.counts.delivered(), report.unwrap().unconfirmed),
        (20, 20)
    );
    converged(&world, &destination);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_does_not_end_parks_its_rows_and_the_next_run_goes_on() {
    // L4
    let (world, destination) = world(20, Duration::from_secs(5400));
    let failure = world.run().await.unwrap_err();
    assert_eq!(failure.error.code().id, "E4035");
    let counts = failure.report.unwrap().run.counts;
    assert_eq!((counts.parked, counts.unaccounted()), (20, 0));
    let failure = world.run().await.unwrap_err();
    assert_eq!(failure.error.code().id, "E4035", "it is asked for, and nothing is sent");
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.delivered(), destination.remote().jobs.len()), (20, 1));
    converged(&world, &destination);
}

#[tokio::test(start_paused = true)]
async fn a_drain_leaves_a_long_job_open_within_its_grace_time() {
    // S3
    for wait in [Duration::from_secs(3), Duration::from_secs(60)] {
        let (world, destination) = world(20, wait);
        let drain = world.stop.drain.clone();
        let began = tokio::time::Instant::now();
        let (report, ()) = tokio::join!(world.run(), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drain.cancel();
        });
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
        let report = report.unwrap();
        assert_eq!(report.run.status, RunStatus::Interrupted);
        let short = wait < Duration::from_secs(5);
        assert_eq!(report.run.counts.delivered(), if short { 20 } else { 0 });
        let stop = engine::Stop::default();
        let options = engine::RunOptions { stop, ..world.options() };
        engine::run(&world.sync, &world.ports, options, &crate::world::Nobody).await.unwrap();
        assert_eq!(destination.remote().jobs.len(), 1);
        converged(&world, &destination);
    }
}
