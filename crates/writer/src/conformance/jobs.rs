//! The cases for destinations that take rows as jobs: a job is written down before its rows are uploaded, and whoever
//! crashes in between finds it again (D7).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flow::{Code, Error, Journal, KeepsJobs, Kind, Mode, OpenJob, Resumed, WriteBatch};
use tokio::sync::Notify;

use super::bench::{Bench, Rows, is_landed};
use super::{Subject, Told};

/// What a run says that lost its lease between the making of a job and its upload.
static TAKEN_OVER: Code = Code {
    id: "taken over",
    kind: Kind::Lease,
    title: "another run took over",
    cause: "The conformance suite says so.",
    remedy: "none",
};

/// Moments between the id of a job and its result at which a process dies.
const CRASHES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(1),
    Duration::from_millis(4),
    Duration::from_millis(15),
    Duration::from_millis(60),
];

/// What happens when the job's id is to be written down.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    GoesOn,
    Fails,
    Dies,
}

/// A journal in memory.
pub(super) struct MemoryJournal {
    key: String,
    created: Mutex<Vec<String>>,
    then: Then,
    reached: Notify,
}

impl MemoryJournal {
    /// One that is durable, for a job with a name of its own.
    pub(super) fn fresh() -> Arc<dyn Journal> {
        Self::that(Then::GoesOn)
    }

    fn that(then: Then) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self {
            key: format!("00000000-0000-7000-8000-{number:012x}"),
            created: Mutex::default(),
            then,
            reached: Notify::new(),
        })
    }

    fn ids(&self) -> Vec<String> {
        self.created.lock().expect("nothing panics under the lock").clone()
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    fn key(&self) -> &str {
        &self.key
    }

    async fn created(&self, remote_id: &str) -> Result<(), Error> {
        self.created.lock().expect("nothing panics under the lock").push(remote_id.to_owned());
        self.reached.notify_one();
        match self.then {
            Then::GoesOn => Ok(()),
            Then::Fails => Err(Error::new(&TAKEN_OVER, "another run took over")),
            Then::Dies => std::future::pending().await,
        }
    }
}

/// Runs every case, where the destination has jobs.
pub(super) async fn run(subject: &Subject<'_>) -> Told {
    if Bench::start(subject).await.limits.jobs.is_none() {
        return Err("the destination has no jobs");
    }
    a_job_says_its_id_once_and_lands(&Bench::start(subject).await).await;
    an_owner_that_was_replaced_stops_at_the_id(&Bench::start(subject).await).await;
    for at in CRASHES {
        a_crashed_job_is_found_again(&Bench::start(subject).await, Then::GoesOn, at).await;
    }
    a_crashed_job_is_found_again(&Bench::start(subject).await, Then::Dies, Duration::ZERO).await;
    a_job_nobody_made_has_no_end(&Bench::start(subject).await).await;
    Ok(())
}

impl Bench {
    fn job(&self, rows: &Rows, journal: &Arc<MemoryJournal>) -> WriteBatch {
        let job: Arc<dyn Journal> = Arc::<MemoryJournal>::clone(journal);
        WriteBatch { job: Some(job), ..self.batch(&self.text.name, rows) }
    }

    fn open_job(&self, rows: &Rows, key: &str, remote_id: Option<String>) -> OpenJob {
        OpenJob {
            key: key.to_owned(),
            remote_id,
            object: self.object.as_str().into(),
            mode: Mode::Upsert,
            match_on: Arc::new([self.match_on.name.clone()]),
            tokens: rows.iter().map(|(found_by, _)| found_by.clone()).collect(),
            intended_at: 0,
        }
    }

    async fn resume(&self, job: &OpenJob) -> Resumed {
        let keeps: Option<&dyn KeepsJobs> = self.destination.keeps_jobs();
        let keeps = keeps.unwrap_or_else(|| panic!("{}: jobs are not kept", self.name));
        keeps.resume(job).await.unwrap_or_else(|error| panic!("{}: {error:?}", self.name))
    }

    /// What a job became is what the simulator holds; and the rows can be sent once more.
    async fn is_told_truly(&self, rows: &Rows, resumed: Resumed) {
        match resumed {
            Resumed::Ended(receipt) => {
                assert_eq!(receipt.outcomes.len(), rows.len(), "{}: outcomes", self.name);
                for outcome in &receipt.outcomes {
                    assert!(is_landed(outcome), "{}: {outcome:?}", self.name);
                }
                assert_eq!(self.held().await.len(), rows.len(), "{}: it had ended", self.name);
            }
            Resumed::NotApplied => {
                assert!(self.held().await.is_empty(), "{}: nothing was applied", self.name);
            }
            Resumed::Lost => {}
        }
        self.lands(rows).await;
        assert_eq!(self.held().await.len(), rows.len(), "{}: nothing is doubled", self.name);
    }
}

async fn a_job_says_its_id_once_and_lands(bench: &Bench) {
    let rows = bench.rows(3, "job");
    let journal = MemoryJournal::that(Then::GoesOn);
    let receipt = bench.destination.write(&bench.job(&rows, &journal)).await.expect("an answer");
    assert_eq!(receipt.outcomes.len(), rows.len(), "{}", bench.name);
    assert!(receipt.outcomes.iter().all(is_landed), "{}: {receipt:?}", bench.name);
    let ids = journal.ids();
    assert!(ids.len() == 1 && !ids[0].is_empty(), "{}: one job, one id: {ids:?}", bench.name);
    assert_eq!(bench.held().await.len(), rows.len(), "{}", bench.name);
    // It can still be asked about, or it is forgotten; it never counts as not applied.
    let resumed = bench.resume(&bench.open_job(&rows, journal.key(), ids.into_iter().next())).await;
    assert!(!matches!(resumed, Resumed::NotApplied), "{}: it was applied", bench.name);
    bench.is_told_truly(&rows, resumed).await;
}

/// S2: who cannot write the id down is not the owner any more, and uploads nothing from then on.
async fn an_owner_that_was_replaced_stops_at_the_id(bench: &Bench) {
    let rows = bench.rows(3, "job");
    let journal = MemoryJournal::that(Then::Fails);
    let error = bench.destination.write(&bench.job(&rows, &journal)).await.expect_err("stopped");
    assert_eq!(error.kind(), Kind::Lease, "{}: {error:?}", bench.name);
    let id = journal.ids().into_iter().next();
    let resumed = bench.resume(&bench.open_job(&rows, journal.key(), id)).await;
    assert!(!matches!(resumed, Resumed::Lost), "{}: its id is known", bench.name);
    bench.is_told_truly(&rows, resumed).await;
}

async fn a_crashed_job_is_found_again(bench: &Bench, then: Then, at: Duration) {
    let rows = bench.rows(3, "job");
    let journal = MemoryJournal::that(then);
    let batch = bench.job(&rows, &journal);
    let crash = async {
        journal.reached.notified().await;
        tokio::time::sleep(at).await;
    };
    tokio::select! {
        biased;
        () = crash => {}
        // It was faster.
        _ = bench.destination.write(&batch) => {}
    }
    let id = journal.ids().into_iter().next().filter(|_| then == Then::GoesOn);
    let known = id.is_some();
    let resumed = bench.resume(&bench.open_job(&rows, journal.key(), id)).await;
    assert!(!(known && matches!(resumed, Resumed::Lost)), "{}: its id is known", bench.name);
    bench.is_told_truly(&rows, resumed).await;
}

async fn a_job_nobody_made_has_no_end(bench: &Bench) {
    let rows = bench.rows(3, "job");
    for id in [None, Some("no-such-job".to_owned())] {
        let resumed = bench.resume(&bench.open_job(&rows, "nobody", id)).await;
        assert!(!matches!(resumed, Resumed::Ended(_)), "{}: {resumed:?}", bench.name);
        assert!(bench.held().await.is_empty(), "{}: resuming sends no row", bench.name);
    }
}
