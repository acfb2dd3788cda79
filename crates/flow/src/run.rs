//! One execution of a sync: what started it, its row accounting, and how it ended.

use serde::Serialize;

/// Row accounting of a run: `read = unchanged + delivered + rejected + parked`, and beside it, for rows that left the
/// model, `gone = removed + gone_waiting + gone_ignored + gone_failed`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RunCounts {
    /// Rows read from the warehouse.
    pub read: u64,
    /// Rows whose payload equals the last acknowledged one.
    pub unchanged: u64,
    /// Acknowledged rows that made a new record, where the destination says so.
    pub created: u64,
    /// Acknowledged rows that changed a record.
    pub updated: u64,
    /// Rows that did not land.
    pub rejected: u64,
    /// Rows read and not settled when the run ended; the next run reads them again.
    pub parked: u64,
    /// Write calls made, retries included.
    pub requests: u64,
    /// Write calls made again after a failure.
    pub retries: u64,
    /// Of the rows sent, those that changed without the change method noticing: only a full compare found them.
    pub found_only_by_compare: u64,
    /// Rows that left the model and whose record was not acted on before this run.
    pub gone: u64,
    /// Records of such rows that the destination acknowledged as removed.
    pub removed: u64,
    /// Rows that are not acted on yet: their grace is not over, or the run could not come to them.
    pub gone_waiting: u64,
    /// Rows that need nothing: `action: ignore`, no record, or a record that another row has now.
    pub gone_ignored: u64,
    /// Rows whose record could not be removed; each is an open reject.
    pub gone_failed: u64,
}

impl RunCounts {
    /// Acknowledged rows.
    pub fn delivered(&self) -> u64 {
        self.created + self.updated
    }

    /// Rows read that are in no other count, or, where those are in order, rows gone that are in no other count;
    /// anything but 0 is a bug.
    pub fn unaccounted(&self) -> i128 {
        let read = i128::from(self.read)
            - i128::from(self.unchanged)
            - i128::from(self.delivered())
            - i128::from(self.rejected)
            - i128::from(self.parked);
        let gone = i128::from(self.gone)
            - i128::from(self.removed)
            - i128::from(self.gone_waiting)
            - i128::from(self.gone_ignored)
            - i128::from(self.gone_failed);
        if read == 0 { gone } else { read }
    }
}

impl std::ops::AddAssign for RunCounts {
    fn add_assign(&mut self, other: Self) {
        self.read += other.read;
        self.unchanged += other.unchanged;
        self.created += other.created;
        self.updated += other.updated;
        self.rejected += other.rejected;
        self.parked += other.parked;
        self.requests += other.requests;
        self.retries += other.retries;
        self.found_only_by_compare += other.found_only_by_compare;
        self.gone += other.gone;
        self.removed += other.removed;
        self.gone_waiting += other.gone_waiting;
        self.gone_ignored += other.gone_ignored;
        self.gone_failed += other.gone_failed;
    }
}

/// What started a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// A person or another scheduler ran the command.
    Manual,
    /// Our own scheduler.
    Schedule,
    /// Something happened upstream.
    Event,
    /// A backfill.
    Backfill,
}

impl Trigger {
    /// The word used in state and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Schedule => "schedule",
            Self::Event => "event",
            Self::Backfill => "backfill",
        }
    }
}

/// How a run ended, or that it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Not finished; or its process ended without saying so.
    Running,
    /// Every row landed or was unchanged.
    Ok,
    /// Some rows were rejected.
    Partial,
    /// The run stopped on an error.
    Failed,
    /// A guard stopped the run before anything was sent.
    Guarded,
    /// The destination's quota is used up: what is left waits for the run's wake-up time.
    Parked,
    /// Stopped by a signal, after a clean drain.
    Interrupted,
    /// The process ended without finishing the run.
    Crashed,
}

impl RunStatus {
    /// The word used in state, metrics and output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Ok => "ok",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Guarded => "guarded",
            Self::Parked => "parked",
            Self::Interrupted => "interrupted",
            Self::Crashed => "crashed",
        }
    }
}

/// One execution of a sync.
#[derive(Debug, Clone, Serialize)]
pub struct RunRecord {
    /// UUID version 7.
    pub id: String,
    /// The sync.
    pub sync: String,
    /// What started it.
    pub trigger: Trigger,
    /// How it ended.
    pub status: RunStatus,
    /// Microseconds since 1970 UTC.
    pub started_at: i64,
    /// Microseconds since 1970 UTC.
    pub ended_at: Option<i64>,
    /// Row accounting.
    pub counts: RunCounts,
    /// The error it stopped on: code and message.
    pub error: Option<String>,
    /// Of a parked run: when it can go on, in microseconds since 1970 UTC.
    pub wake_at: Option<i64>,
}
