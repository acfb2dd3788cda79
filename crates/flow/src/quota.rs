//! The port to the quota ledger: what all syncs and processes on one state know together of an account's limits, and
//! what a destination says about them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::Result;

/// Whose requests go first where the budget is not enough for all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// What changed is sent.
    #[default]
    Live,
    /// Old rows are sent again: it takes what the live lane leaves.
    Backfill,
}

impl Lane {
    /// The word used in the quota ledger and in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Backfill => "backfill",
        }
    }
}

/// When and before whom an account's page is changed.
pub struct QuotaMoment<'a> {
    /// Names the clock that `micros` is read from. Moments of differently named clocks cannot be compared.
    pub clock: &'a str,
    /// Microseconds of a clock that everybody on this ledger reads the same, and that a person setting the time of day
    /// does not move, where there is one.
    pub micros: i64,
    /// Microseconds since 1970 UTC.
    pub wall_micros: i64,
    /// Whether the process that called itself by this name is certainly gone.
    pub is_gone: &'a (dyn Fn(&str) -> bool + Send + Sync),
}

impl fmt::Debug for QuotaMoment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QuotaMoment({} {}, {})", self.clock, self.micros, self.wall_micros)
    }
}

/// Makes an account's new page of its old one; `None` before the first, and as an answer to leave it as it is.
pub type QuotaChange = Box<dyn FnOnce(Option<&str>, &QuotaMoment<'_>) -> Option<String> + Send>;

/// A place that keeps one page of text per account. What stands on it is the business of `writer`; a store only sees to
/// it that two changes of one page never overlap, whichever processes make them.
///
/// A page is changed a few times a second while an account is written to. It need not survive a crash of the machine:
/// it says what happened within the last windows, and the destination's own answers correct it.
#[async_trait]
pub trait QuotaStore: Send + Sync + fmt::Debug {
    /// A name for one who takes part: nobody else has it, now or later, and [`QuotaMoment::is_gone`] understands it.
    fn name(&self) -> String;

    /// Applies `change` to the page of `account`, durable against a kill of this process. Bounded in time.
    ///
    /// # Errors
    /// `E307x`: the ledger cannot be used.
    async fn change(&self, account: &str, change: QuotaChange) -> Result<()>;
}

/// One limit of an account, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaWindow {
    /// For example `10s`, `day` or `concurrency`: the label `window` of metrics.
    pub name: &'static str,
    /// How long a request counts; zero for requests at once; `None` for a calendar day.
    pub length: Option<Duration>,
    /// Requests of the whole account.
    pub limit: u64,
    /// Of them, what this connection may use (`quota_share`).
    pub ours: u64,
    /// Of `ours`, what is left now, where it is known.
    pub left: Option<u64>,
    /// When all of it is left again, in microseconds since 1970 UTC, where that is known.
    pub resets_at: Option<i64>,
}

/// What is known of an account's limits without asking it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quota {
    /// Its limits; none is known to be kept where it is empty.
    pub windows: Vec<QuotaWindow>,
    /// Nothing is sent before this moment (microseconds since 1970 UTC).
    pub parked_until: Option<i64>,
    /// Why, in one sentence.
    pub parked_why: Option<String>,
}

/// A destination whose requests are kept within its account's limits.
#[async_trait]
pub trait KeepsQuota: Send + Sync {
    /// From now on the budget is shared with everybody on this ledger. Called before the first request.
    fn share(&self, ledger: Arc<dyn QuotaStore>, lane: Lane);

    /// What is known, without a request to the destination.
    ///
    /// # Errors
    /// When the ledger cannot be used.
    async fn quota(&self) -> Result<Quota>;

    /// Gives back what is held of the budget, so that others need not wait until it lapses.
    async fn leave(&self);
}
