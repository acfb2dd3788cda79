//! Everything one simulated history consists of, behind one lock: dice, time, warehouse, vendor, state, and the journal.
//!
//! All of it runs in one thread under paused time, and every decision comes from the seed's dice, so that a seed is a
//! history (S5).

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use flow::{Clock, Code, Kind, MatchHash};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::oracle::{Content, TAGS};
use super::removals::Given;
use super::store::Memory;
use super::table::Table;
use super::vendor::Vendor;
use super::weather::Weather;

/// When every history begins, in microseconds since 1970.
pub(crate) const BEGINNING: i64 = 1_800_000_000_000_000;

/// A history that is longer does not end.
const STEPS_MAX: u64 = 60_000;

pub(crate) static BROKEN: Code = Code {
    id: "E3998",
    kind: Kind::Failed,
    title: "the simulation broke something",
    cause: "The dice say so.",
    remedy: "none",
};
pub(crate) static LOST: Code = Code { id: "E3997", kind: Kind::Lease, ..BROKEN };
pub(crate) static CUT: Code = Code { id: "E1998", ..BROKEN };
pub(crate) static DOWN: Code = Code { id: "E2998", ..BROKEN };
pub(crate) static UNREACHABLE: Code = Code { id: "E2997", kind: Kind::Unreachable, ..BROKEN };
pub(crate) static POISON: Code = Code { id: "R297", kind: Kind::Poison, ..BROKEN };
pub(crate) static REFUSED: Code = Code { id: "R296", kind: Kind::Row, ..BROKEN };

/// A way to break a port on purpose, to show that an oracle notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// The store does not forget fingerprints before a request goes out.
    ForgetsDirty,
    /// The destination reports rows it knows nothing of as delivered.
    UnknownIsDelivered,
    /// The destination's answers are moved by one row.
    AnswersShift,
    /// The store moves the watermark to the warehouse's clock with every commit.
    WatermarkEarly,
    /// The store moves the watermark back with every other commit.
    WatermarkBack,
    /// The store loses rejects.
    LosesRejects,
    /// The store books one delivered row too few.
    Miscounts,
    /// The store forgets every acknowledged fingerprint at each new lease.
    Amnesia,
    /// A read that was cut looks like the end of the rows.
    CutLooksClean,
    /// An incremental read does not go back by the lag.
    IgnoresLag,
    /// The destination says half of what the vendor asked to wait.
    HurriesRetry,
    /// The destination sends every call twice, one beside the other.
    SendsTwice,
    /// The destination goes on sending after its run has ended.
    Lingers,
    /// The store takes commits of an owner whose lease was taken over.
    NoFence,
    /// The store forgets which rows a call nobody heard of may still change.
    ForgetsUnconfirmed,
    /// The store does not notice that the last run did not end.
    ForgetsCrashes,
    /// The destination does not say what id a job has.
    HidesJobIds,
    /// The store forgets the jobs of an owner whose lease was taken over.
    ForgetsJobs,
    /// The source says that a read which was cut is complete, and that nobody is there who is asked for by key.
    SeesNobody,
    /// Every rename is done as if the record were new.
    RenamesDouble,
}

pub(crate) struct State {
    pub(crate) dice: fastrand::Rng,
    pub(crate) weather: Weather,
    pub(crate) sabotage: Option<Sabotage>,
    /// The tag the mapping in force sends.
    pub(crate) tag: &'static str,
    /// No more faults.
    pub(crate) calm: bool,
    pub(crate) table: Table,
    pub(crate) vendor: Vendor,
    pub(crate) memory: Memory,
    /// What each fingerprint stands for.
    pub(crate) contents: HashMap<u128, Content>,
    /// The match hash of each e-mail in lower case.
    pub(crate) matches: HashMap<String, MatchHash>,
    /// Calls of ports so far, and at which of them the process dies.
    pub(crate) steps: u64,
    pub(crate) dies_at: Option<u64>,
    /// Rows the warehouse gave to the run in progress.
    pub(crate) rows_given: u64,
    /// Whether the newest read came to its clean end.
    pub(crate) read_ended: bool,
    /// What the read of everything in progress has given, and what the newest one that ended cleanly had.
    pub(crate) given: Given,
    pub(crate) complete: Option<Given>,
    /// Runs that have ended, however.
    pub(crate) ended_runs: BTreeSet<String>,
    pub(crate) journal: Vec<String>,
    pub(crate) breaches: Vec<String>,
    /// Keys and match values that were in two calls at once since a lease was taken over; measured, not promised.
    pub(crate) races: u64,
    began: Instant,
}

/// The lock, and what is waited for outside of it.
pub(crate) struct Universe {
    state: Mutex<State>,
    /// The process dies.
    pub(crate) death: Notify,
}

impl Universe {
    pub(crate) fn new(seed: u64, weather: Weather, sabotage: Option<Sabotage>) -> Arc<Self> {
        let dice = fastrand::Rng::with_seed(seed ^ 0x6f75_7466_6c6f_7721);
        let state = State {
            dice,
            table: Table::new(weather.lag_micros),
            vendor: match weather.mirror {
                Some(_) => Vendor::default().with_others(),
                None => Vendor::default(),
            },
            memory: Memory::default(),
            contents: HashMap::new(),
            matches: HashMap::new(),
            weather,
            sabotage,
            tag: TAGS[0],
            calm: false,
            steps: 0,
            dies_at: None,
            rows_given: 0,
            read_ended: false,
            given: Given::default(),
            complete: None,
            ended_runs: BTreeSet::new(),
            journal: Vec::new(),
            breaches: Vec::new(),
            races: 0,
            began: Instant::now(),
        };
        Arc::new(Self { state: Mutex::new(state), death: Notify::new() })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// A port is called: some time may pass, and the process may die here.
    pub(crate) async fn step(&self, what: &str) {
        let pause = {
            let mut state = self.lock();
            state.steps += 1;
            if state.steps == STEPS_MAX {
                state.breach("L4: the history does not end".to_owned());
            }
            if state.steps >= STEPS_MAX {
                None
            } else if state.dies_at == Some(state.steps) {
                state.note(format_args!("dies in {what}"));
                None
            } else {
                let pause = if state.chance(0.3) { state.dice.u64(1..15) } else { 0 };
                Some(pause)
            }
        };
        match pause {
            None => {
                self.death.notify_one();
                std::future::pending::<()>().await;
            }
            Some(0) => {}
            Some(pause) => tokio::time::sleep(Duration::from_millis(pause)).await,
        }
    }
}

impl State {
    /// The simulated time, in microseconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        BEGINNING + i64::try_from(self.began.elapsed().as_micros()).unwrap()
    }

    pub(crate) fn chance(&mut self, share: f64) -> bool {
        self.dice.f64() < share
    }

    /// Whether a fault that happens with this likelihood in a storm happens now.
    pub(crate) fn misfortune(&mut self, share: f64) -> bool {
        !self.calm && self.weather.storm > 0.0 && self.chance(share * self.weather.storm)
    }

    pub(crate) fn note(&mut self, what: std::fmt::Arguments<'_>) {
        let mut line = String::new();
        let _ = write!(line, "{:>9} ms {what}", (self.now() - BEGINNING) / 1000);
        self.journal.push(line);
    }

    /// An oracle speaks; `what` begins with the name of the invariant.
    pub(crate) fn breach(&mut self, what: String) {
        self.note(format_args!("BREACH {what}"));
        self.breaches.push(what);
    }

    pub(crate) fn is(&self, sabotage: Sabotage) -> bool {
        self.sabotage == Some(sabotage)
    }
}

/// The universe's time for the engine.
pub(crate) struct SimClock(pub(crate) Arc<Universe>);

impl std::fmt::Debug for SimClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimClock")
    }
}

impl Clock for SimClock {
    fn now_micros(&self) -> i64 {
        self.0.lock().now()
    }
}
