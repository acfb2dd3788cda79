//! Work a destination takes as a job: it is told the rows, works on them by itself, and is asked for the result later.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{Fingerprint, Key, MatchHash, Mode, Receipt, Result};

/// When rows are sent as a job rather than by a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobLimits {
    /// So many rows or more are a job; 1 where the destination knows nothing but jobs.
    pub rows_min: usize,
    /// Rows per job.
    pub rows_max: usize,
    /// Bytes per job.
    pub bytes_max: usize,
}

/// Where one job is written down, so that a crash neither forgets it nor makes it twice (D7).
///
/// The intent - the rows and [`Journal::key`] - is durable before [`crate::Destination::write`] is called with it.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Names the job; no other job has this name. To be sent along where the destination keeps such a mark.
    fn key(&self) -> &str;

    /// The destination made the job under this id. Durable on return; to be called before any row is uploaded.
    ///
    /// # Errors
    /// When it could not be written down, or the run is no longer the sync's owner. Nothing may be uploaded then.
    async fn created(&self, remote_id: &str) -> Result<()>;
}

impl fmt::Debug for dyn Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Journal({})", self.key())
    }
}

/// A job that an earlier run began and nobody saw the end of.
#[derive(Debug, Clone)]
pub struct OpenJob {
    /// The job's name, as [`Journal::key`] gave it.
    pub key: String,
    /// The destination's id of it; `None` when the run ended before it was written down, whether or not the
    /// destination made the job.
    pub remote_id: Option<String>,
    /// Destination object.
    pub object: Arc<str>,
    /// What is done with the rows.
    pub mode: Mode,
    /// Fields a record is found by.
    pub match_on: Arc<[String]>,
    /// Per row, in the order of the job: the text of its first `match_on` field, or its record's id where records are
    /// addressed by id. By it a result row finds its row.
    pub tokens: Vec<String>,
    /// When the intent was written down, in microseconds since 1970.
    pub intended_at: i64,
}

/// What became of an [`OpenJob`].
#[derive(Debug, Clone)]
pub enum Resumed {
    /// It has ended: one outcome per row, in the job's order.
    Ended(Receipt),
    /// None of its rows was applied, and none ever will be: there is no such job, or it had no rows yet and is aborted.
    NotApplied,
    /// The destination no longer tells; any of its rows may have been applied.
    Lost,
}

/// A destination that works by jobs, and can be asked about them after a crash.
#[async_trait]
pub trait KeepsJobs: Send + Sync {
    /// Finds a job of an earlier run again and waits for its end. Never sends its rows.
    ///
    /// # Errors
    /// When the destination cannot be asked now; the job stays open.
    async fn resume(&self, job: &OpenJob) -> Result<Resumed>;
}

/// What the state keeps of a job: enough to ask for it, and to book each of its rows as if the answer had come.
#[derive(Debug, Clone)]
pub struct StoredJob {
    /// What the destination is asked about.
    pub open: OpenJob,
    /// Its records are addressed by their ids.
    pub by_id: bool,
    /// Its rows, parallel to [`OpenJob::tokens`].
    pub rows: Vec<JobRow>,
}

/// One row of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    /// The row.
    pub key: Key,
    /// What was sent of it.
    pub fingerprint: Fingerprint,
    /// What its record is found by.
    pub match_hash: MatchHash,
    /// When it changed in the warehouse, in microseconds since 1970.
    pub changed_at: Option<i64>,
    /// Requests from before the job may still change its record until then: an acknowledgement by the job is confirmed by
    /// another write after it (D4).
    pub confirm_after: Option<i64>,
}
