//! Guards: limits that stop a run before its first request. Judges what was weighed; pure.

use flow::{Code, Error, Result};
use serde::{Deserialize, Serialize};

use crate::diagnosis::Common;
use crate::{Sync, codes};

/// The limits of a sync. `None`: no limit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Guards {
    /// Fewest rows the model must have.
    pub min_rows: Option<u64>,
    /// Largest share (0 to 1) of known rows that may leave the model at once.
    pub max_removed: Option<f64>,
    /// So many rows may leave whatever share they are.
    pub max_removed_floor: u64,
    /// Largest share of known rows that may be updated by one run.
    pub max_changed: Option<f64>,
    /// Largest share of filled destination values that one run may empty.
    pub max_null_out: Option<f64>,
    /// Largest share of rows that may be rejected. Before the first request the rows known to be rejects count, at the
    /// end all of them do (exit 3).
    pub max_rejected: Option<f64>,
    /// Largest share of rows the mapping may refuse.
    pub max_invalid: Option<f64>,
    /// Most write calls one run may make.
    pub max_requests: Option<u64>,
    /// Nothing is sent before something was acknowledged, unless by an approved plan.
    pub confirm_first_run: bool,
}

impl Guards {
    /// Whether any of them needs to know all rows of a run before the first is sent.
    pub(crate) fn weigh(&self) -> bool {
        let shares = [
            self.max_removed,
            self.max_changed,
            self.max_null_out,
            self.max_rejected,
            self.max_invalid,
        ];
        self.min_rows.is_some() || self.max_requests.is_some() || shares.iter().any(Option::is_some)
    }
}

/// One of the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guard {
    /// The model's rows.
    MinRows,
    /// Rows that left the model.
    MaxRemoved,
    /// Rows whose payload changed.
    MaxChanged,
    /// Values that would be emptied.
    MaxNullOut,
    /// Rows known to be rejects.
    MaxRejected,
    /// Rows the mapping refuses.
    MaxInvalid,
    /// Write calls.
    MaxRequests,
    /// The first run.
    FirstRun,
}

impl Guard {
    /// Every guard.
    pub const ALL: [Self; 8] = [
        Self::MinRows,
        Self::MaxRemoved,
        Self::MaxChanged,
        Self::MaxNullOut,
        Self::MaxRejected,
        Self::MaxInvalid,
        Self::MaxRequests,
        Self::FirstRun,
    ];

    /// Its key under `guards:`.
    pub fn name(self) -> &'static str {
        match self {
            Self::MinRows => "min_rows",
            Self::MaxRemoved => "max_removed",
            Self::MaxChanged => "max_changed",
            Self::MaxNullOut => "max_null_out",
            Self::MaxRejected => "max_rejected",
            Self::MaxInvalid => "max_invalid",
            Self::MaxRequests => "max_requests",
            Self::FirstRun => "first_run",
        }
    }

    /// The guard of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|guard| guard.name() == name)
    }

    /// The code a run ends with that it stopped.
    pub fn code(self) -> &'static Code {
        match self {
            Self::MinRows => &codes::G002,
            Self::MaxRemoved => &codes::G003,
            Self::MaxChanged => &codes::G004,
            Self::MaxNullOut => &codes::G005,
            Self::MaxRejected => &codes::G006,
            Self::MaxInvalid => &codes::G007,
            Self::MaxRequests => &codes::G008,
            Self::FirstRun => &codes::G009,
        }
    }
}

/// What a guard says about a run or a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Ruling {
    /// Which guard.
    pub guard: Guard,
    /// What was counted: rows, values or calls.
    pub count: u64,
    /// Of how many; 0 where the limit is not a share.
    pub of: u64,
    /// The limit: a share of `of`, or a count.
    pub limit: Limit,
    /// The limit is passed: nothing is sent.
    pub stopped: bool,
    /// It is passed, and the plan that is applied was approved all the same.
    pub allowed: bool,
    /// What the rows in question have in common. Holds values of the model: for the operator's eyes, not for logs.
    pub common: Vec<Common>,
}

/// A guard's limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// At most this share, 0 to 1.
    Share(f64),
    /// At most this share, or so many whatever share they are.
    ShareOrRows(f64, u64),
    /// At most so many.
    AtMost(u64),
    /// At least so many.
    AtLeast(u64),
    /// An approved plan.
    Plan,
}

impl Limit {
    fn passed(self, count: u64, of: u64) -> bool {
        // Nothing known yet: there is no share of it, and nothing that could be harmed.
        let above = |share: f64| of > 0 && count as f64 > share * of as f64;
        match self {
            Self::Share(share) => above(share),
            Self::ShareOrRows(share, rows) => above(share) && count > rows,
            Self::AtMost(most) => count > most,
            Self::AtLeast(least) => count < least,
            Self::Plan => count == 0,
        }
    }
}

impl Ruling {
    /// The share that was counted, where the limit is one.
    pub fn share(&self) -> Option<f64> {
        (self.of > 0).then(|| self.count as f64 / self.of as f64)
    }

    /// The error of a run that is stopped: numbers, and no row values.
    pub(crate) fn error(&self, sync: &str) -> Error {
        let Self { guard, count, of, .. } = self;
        let name = guard.name();
        let percent = |share: f64| format!("{:.4}", share * 100.0);
        let short = |share: f64| {
            let text = percent(share);
            format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
        };
        let found = match guard {
            Guard::MinRows => format!("the model has {count} rows"),
            Guard::MaxRemoved => format!("{count} of {of} known rows left the model"),
            Guard::MaxChanged => format!("{count} of {of} known rows changed"),
            Guard::MaxNullOut => format!("{count} of {of} filled values would be emptied"),
            Guard::MaxRejected => format!("{count} of {of} rows would be rejected"),
            Guard::MaxInvalid => format!("{count} of {of} rows are invalid"),
            Guard::MaxRequests => format!("{count} calls would be made"),
            Guard::FirstRun => format!("nothing of `{sync}` was acknowledged yet"),
        };
        let limit = match self.limit {
            Limit::Share(share) => format!("`{name}` allows {}", short(share)),
            Limit::ShareOrRows(share, rows) => {
                format!("`{name}` allows {} or {rows} rows", short(share))
            }
            Limit::AtMost(most) => format!("`{name}` allows {most}"),
            Limit::AtLeast(least) => format!("`{name}` asks for {least}"),
            Limit::Plan => format!("`{name}: confirm` asks for an approved plan"),
        };
        Error::new(guard.code(), format!("{found}; {limit}; nothing was sent"))
    }
}

/// What guards judge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Rows read.
    pub(crate) read: u64,
    /// Rows the destination has acknowledged so far.
    pub(crate) known: u64,
    /// Rows of the model, where they were counted.
    pub(crate) model_rows: Option<u64>,
    /// Known rows that left the model and whose records would be removed.
    pub(crate) removed: u64,
    /// The read was of every row, and there was none.
    #[serde(default)]
    pub(crate) nothing_read: bool,
    /// Known rows whose payload changed.
    pub(crate) update: u64,
    /// Filled values that would be emptied, and filled values as last acknowledged.
    pub(crate) emptied: u64,
    pub(crate) filled: u64,
    /// Rows the mapping refuses.
    pub(crate) invalid: u64,
    /// Rows that would be rejects for any reason.
    pub(crate) refused: u64,
    /// Write calls, repeats aside.
    pub(crate) requests: u64,
}

/// What every guard of the sync says about `counts`, in the order of [`Guard::ALL`].
pub(crate) fn rulings(
    sync: &Sync,
    counts: &Counts,
    common: impl Fn(Guard) -> Vec<Common>,
) -> Vec<Ruling> {
    let share = |limit: Option<f64>| limit.map(Limit::Share);
    // A few bad rows of a small read are no crowd: what is known counts, where that is more.
    let rows = counts.read.max(counts.known);
    let guards = &sync.guards;
    let removed = removal_limit(sync);
    let nothing_left = counts.nothing_read && counts.removed > 0;
    let asked = [
        (Guard::MinRows, guards.min_rows.map(Limit::AtLeast), counts.model_rows, 0),
        (Guard::MaxRemoved, removed, Some(counts.removed), counts.known),
        (Guard::MaxChanged, share(guards.max_changed), Some(counts.update), counts.known),
        (Guard::MaxNullOut, share(guards.max_null_out), Some(counts.emptied), counts.filled),
        (Guard::MaxRejected, share(guards.max_rejected), Some(counts.refused), rows),
        (Guard::MaxInvalid, share(guards.max_invalid), Some(counts.invalid), rows),
        (Guard::MaxRequests, guards.max_requests.map(Limit::AtMost), Some(counts.requests), 0),
        (Guard::FirstRun, guards.confirm_first_run.then_some(Limit::Plan), Some(counts.known), 0),
    ];
    asked
        .into_iter()
        .filter_map(|(guard, limit, count, of)| {
            let (limit, count) = (limit?, count?);
            let stopped = match (guard, limit) {
                // A model without any row is broken, however small the share is that it makes.
                (Guard::MaxRemoved, Limit::Share(share) | Limit::ShareOrRows(share, _)) => {
                    limit.passed(count, of) || (nothing_left && share < 1.0)
                }
                _ => limit.passed(count, of),
            };
            let common = if stopped { common(guard) } else { Vec::new() };
            Some(Ruling { guard, count, of, limit, stopped, allowed: false, common })
        })
        .collect()
}

/// What `max_removed` allows: a mirror that removes records has a limit also where nobody asked for one.
fn removal_limit(sync: &Sync) -> Option<Limit> {
    let own = sync.removed.as_ref().filter(|removed| removed.action.needs().is_some());
    let (share, floor) = match (sync.guards.max_removed, own) {
        (Some(share), _) => (share, sync.guards.max_removed_floor),
        (None, Some(removed)) => (removed.limit.share, removed.limit.floor),
        (None, None) => return None,
    };
    Some(if floor == 0 { Limit::Share(share) } else { Limit::ShareOrRows(share, floor) })
}

/// The error of the first guard that stops the run.
pub(crate) fn stopped(sync: &str, rulings: &[Ruling]) -> Result<()> {
    match rulings.iter().find(|ruling| ruling.stopped) {
        Some(ruling) => Err(ruling.error(sync)),
        None => Ok(()),
    }
}

/// Lets these guards be passed, this once.
pub(crate) fn allow(rulings: &mut [Ruling], guards: &[Guard]) {
    for ruling in rulings {
        if ruling.stopped && guards.contains(&ruling.guard) {
            (ruling.stopped, ruling.allowed) = (false, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(limit: Limit, count: u64, of: u64, passed: bool) {
        assert_eq!(limit.passed(count, of), passed, "{limit:?}: {count} of {of}");
    }

    #[test]
    fn a_limit_is_passed_above_it_and_not_at_it() {
        check(Limit::Share(0.3), 30, 100, false);
        check(Limit::Share(0.3), 31, 100, true);
        check(Limit::Share(0.0), 0, 100, false);
        check(Limit::Share(0.0), 1, 100, true);
        check(Limit::Share(0.3), 5, 0, false);
        check(Limit::ShareOrRows(0.02, 5), 5, 10, false);
        check(Limit::ShareOrRows(0.02, 5), 6, 10, true);
        check(Limit::ShareOrRows(0.02, 5), 6, 1000, false);
        check(Limit::AtMost(3), 3, 0, false);
        check(Limit::AtMost(3), 4, 0, true);
        check(Limit::AtLeast(3), 3, 0, false);
        check(Limit::AtLeast(3), 2, 0, true);
        check(Limit::Plan, 0, 0, true);
        check(Limit::Plan, 1, 0, false);
    }

    #[test]
    fn guards_have_names_and_codes_of_their_own() {
        for guard in Guard::ALL {
            assert_eq!(Guard::named(guard.name()), Some(guard));
            assert!(guard.code().title.contains(guard.name()) || guard == Guard::FirstRun);
        }
        assert_eq!(Guard::named("max_everything"), None);
    }
}
