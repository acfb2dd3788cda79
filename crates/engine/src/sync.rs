//! What the engine is given and what it gives back: a checked sync, its ports, options, and the report.

use std::path::PathBuf;
use std::sync::Arc;

use flow::metrics::Metrics;
use flow::{
    Clock, Destination, Error, Finding, JobLimits, Limits, Mode, Model, Removal, RunRecord, Source,
    Store, Trigger, Watermark,
};
use tokio_util::sync::CancellationToken;

use crate::{Forecast, Guards, RetryPolicy, Ruling};

/// One checked sync: which rows go where, and how.
#[derive(Debug, Clone)]
pub struct Sync {
    /// Unique in the project.
    pub name: String,
    /// The rows.
    pub model: Arc<Model>,
    /// Connection the model is read from.
    pub source: String,
    /// Connection the rows are sent to.
    pub destination: String,
    /// Destination object.
    pub object: String,
    /// How a record is found: destination field and model column.
    pub match_on: Vec<(String, String)>,
    /// What is done at the destination.
    pub mode: Mode,
    /// Destination fields and where their values come from.
    pub mappings: transform::Mappings,
    /// What becomes of records whose row left the model; with [`Mode::Mirror`], and only then.
    pub removed: Option<Removed>,
    /// How rows are sent.
    pub delivery: Delivery,
    /// Time between two compares of every row, for changes that the change method does not notice; `None` for none.
    pub compare_every_micros: Option<i64>,
    /// Limits that stop a run before its first request.
    pub guards: Guards,
    /// Columns and fields whose values are not shown in a diagnosis.
    pub private: Vec<String>,
}

/// What becomes of the record of a row that left the model.
#[derive(Debug, Clone)]
pub struct Removed {
    /// What is done with it.
    pub action: RemovedAction,
    /// The row must be missing in two complete reads that are at least so far apart; 0: one is enough.
    pub grace_micros: i64,
    /// How many may be removed in one run.
    pub limit: RemovalLimit,
}

/// What is done with the record of a row that left the model.
#[derive(Debug, Clone)]
pub enum RemovedAction {
    /// It is deleted, as the destination deletes.
    Delete,
    /// Its fields are set to these constants.
    Update(transform::Mappings),
    /// Nothing; the row is forgotten.
    Ignore,
}

impl RemovedAction {
    /// What the destination must be able to do.
    pub fn needs(&self) -> Option<Removal> {
        match self {
            Self::Delete => Some(Removal::Delete),
            Self::Update(_) => Some(Removal::Update),
            Self::Ignore => None,
        }
    }
}

/// How many rows may leave the model before a run refuses to act on it (D8): more than `floor` of them and more than
/// `share` of the rows the ledger knows are refused, and so is a read without any row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RemovalLimit {
    /// From 0 to 1; 1 refuses nothing.
    pub share: f64,
    /// So many rows are never too many.
    pub floor: u64,
}

impl RemovalLimit {
    /// Why so many removals of so many known rows are refused. `nothing_read`: a complete read had no row.
    pub(crate) fn refusal(&self, due: u64, known: u64, nothing_read: bool) -> Option<Error> {
        let allowed = self.floor.max((self.share * known as f64) as u64);
        let message = match due {
            0 => return None,
            _ if nothing_read && self.share < 1.0 => {
                format!("the read had no row at all, and {due} of {known} records would be removed")
            }
            _ if due <= allowed => return None,
            _ => {
                format!("{due} of {known} known rows left the model; at most {allowed} may at once")
            }
        };
        Some(Error::new(&crate::codes::E4020, message))
    }
}

impl Default for RemovalLimit {
    fn default() -> Self {
        Self { share: 0.1, floor: 10 }
    }
}

/// How rows are sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Delivery {
    /// Rows per call, at most the destination's own limit.
    pub batch_rows: Option<usize>,
    /// Calls in flight at once, at most the destination's own limit.
    pub max_concurrency: Option<usize>,
    /// Stop the run at the first reject.
    pub stop_on_reject: bool,
    /// What is remembered of an acknowledged payload besides its fingerprint.
    pub remember: Remember,
    /// Which of the destination's interfaces is used.
    pub api: Api,
}

/// How rows go to a destination that takes them by calls and as jobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Api {
    /// As a job where enough rows wait, else by calls; chosen at each flush.
    #[default]
    Auto,
    /// Always by calls.
    Collections,
    /// Always as jobs.
    Bulk,
}

impl Api {
    /// The destination's limits with this choice; `None` where it does not take rows that way.
    pub fn choose(self, limits: Limits) -> Option<Limits> {
        let jobs = match (self, limits.jobs) {
            (Self::Auto, jobs) => jobs,
            (Self::Bulk, None) => return None,
            (Self::Bulk, Some(jobs)) => Some(JobLimits { rows_min: 1, ..jobs }),
            (Self::Collections, Some(jobs)) if jobs.rows_min <= 1 => return None,
            (Self::Collections, _) => None,
        };
        Some(Limits { jobs, ..limits })
    }
}

/// What is remembered of an acknowledged payload besides its fingerprint, for plans and for the guard `max_null_out`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remember {
    /// Nothing.
    #[default]
    Nothing,
    /// Which fields had a value, and a hash of each value: which fields change is known.
    Fields,
    /// The values: what they were is known, too.
    Values,
}

impl Sync {
    /// What is remembered, since it is asked for, or since a guard counts by it or says by it what rows had.
    pub(crate) fn remember(&self) -> Remember {
        let removals = self.guards.max_removed.is_some() && self.removed.is_some();
        match self.guards.max_null_out.is_some() || removals {
            true => self.delivery.remember.max(Remember::Fields),
            false => self.delivery.remember,
        }
    }
}

/// The outside world of a run.
#[derive(Clone)]
pub struct Ports {
    /// Where rows come from.
    pub source: Arc<dyn Source>,
    /// Where rows go.
    pub destination: Arc<dyn Destination>,
    /// What is remembered.
    pub store: Arc<dyn Store>,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where rows wait on disk when the destination is slower than the warehouse.
    pub spool_dir: PathBuf,
    /// How much may wait.
    pub spool: SpoolLimits,
    /// How failed calls are repeated.
    pub retry: RetryPolicy,
}

/// How many read rows may wait to be sent.
#[derive(Debug, Clone, Copy)]
pub struct SpoolLimits {
    /// Bytes kept in memory before rows go to disk.
    pub memory_bytes_max: u64,
    /// Bytes on disk before reading pauses and its snapshot is closed.
    pub disk_bytes_max: u64,
}

impl Default for SpoolLimits {
    fn default() -> Self {
        Self { memory_bytes_max: 16 << 20, disk_bytes_max: 4 << 30 }
    }
}

/// How to run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// What started the run.
    pub trigger: Trigger,
    /// Read every row, whatever the watermark; rows that did not change are still not sent.
    pub full_refresh: bool,
    /// Send at most so many rows; the rest stays for the next run.
    pub rows_max: Option<u64>,
    /// Stop at the first reject.
    pub fail_fast: bool,
    /// How to stop early.
    pub stop: Stop,
}

/// How a run is told to stop early.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Read no more, finish what is in flight, commit, and end as interrupted.
    pub drain: CancellationToken,
    /// End at once; what is in flight stays unknown and is sent again by the next run.
    pub abort: CancellationToken,
}

/// Someone who looks on.
pub trait Watch: Send + std::marker::Sync {
    /// Called often; must return at once.
    fn progress(&self, progress: &Progress);

    /// Called once, before the first write call.
    fn forecast(&self, _forecast: &Forecast) {}
}

/// Where a run is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// Rows read and mapped so far.
    pub read: u64,
    /// Rows with nothing to send.
    pub unchanged: u64,
    /// Rows acknowledged.
    pub delivered: u64,
    /// Rows refused.
    pub rejected: u64,
    /// Records removed whose row left the model.
    pub removed: u64,
    /// Rows waiting to be sent or for an answer.
    pub in_flight: u64,
    /// Write calls made.
    pub requests: u64,
}

/// A finished run.
#[derive(Debug, Clone)]
pub struct RunReport {
    /// The run as the state keeps it; its counts balance.
    pub run: RunRecord,
    /// The stored watermark when the run began.
    pub from: Option<Watermark>,
    /// The stored watermark when the run ended.
    pub to: Option<Watermark>,
    /// Advice from the check of the model.
    pub findings: Vec<Finding>,
    /// Rows of this sync that wait as rejects, from this run and earlier ones.
    pub open_rejects: u64,
    /// Rows that a request nobody heard of may still change; a later run sends them once more.
    pub unconfirmed: u64,
    /// More rows were rejected than `max_rejected` allows (exit 3).
    pub rejects_above_limit: bool,
    /// What the guards said before the first request; empty where nothing was weighed.
    pub rulings: Vec<Ruling>,
}

/// A run that did not end well.
#[derive(Debug)]
pub struct RunFailure {
    /// Why.
    pub error: Error,
    /// What was done before; `None` when the run did not begin.
    pub report: Option<Box<RunReport>>,
}

impl From<Error> for RunFailure {
    fn from(error: Error) -> Self {
        Self { error, report: None }
    }
}
