//! How the leading of rows ended: the books, and what the caller has to do about what was left.

use flow::{Error, Finding, RunCounts, Watermark};

use crate::codes;
use crate::conductor::Conductor;

/// How the conducting ended.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) counts: RunCounts,
    pub(crate) reached: Option<Watermark>,
    pub(crate) interrupted: bool,
    pub(crate) error: Option<Error>,
    /// Calls were left whose rows nobody could write down.
    pub(crate) unheard: bool,
    /// Advice that came up on the way.
    pub(crate) findings: Vec<Finding>,
}

impl Conductor<'_> {
    /// The books at the end: what has no answer is parked.
    pub(crate) fn outcome(self, error: Option<Error>) -> Outcome {
        let parked = self.parked + self.waiting_rows();
        let counts = RunCounts { read: self.read, parked, ..self.settler.total() };
        Outcome {
            counts,
            reached: self.settler.reached(),
            interrupted: self.options.stop.drain.is_cancelled(),
            unheard: self.commit_failed || !self.calls.is_empty() || is_aborted(error.as_ref()),
            error: error.or(self.failure),
            findings: self.findings,
        }
    }
}

/// Whatever was in flight was left there.
fn is_aborted(error: Option<&Error>) -> bool {
    error.is_some_and(|error| error.code().id == codes::E4004.id)
}
