//! What to do with a row that left the model, by what the ledger knows of it. Pure.

use flow::{Entry, Fingerprint, Gone, GoneHow, Mode};
use xxhash_rust::xxh3::xxh3_128;

use crate::{Removed, RemovedAction};

/// What a run does with a row that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its record is removed.
    Due,
    /// Not before its grace is over.
    Waits,
    /// There is nothing to do at the destination; the row is forgotten.
    Forget,
    /// It has a record that cannot be addressed: nothing is removed by guess.
    Unknown,
    /// The destination refused to remove the record, and nothing has changed since.
    Refused,
}

/// `now`: when the run began, in microseconds since 1970.
pub(crate) fn standing(removed: &Removed, entry: &Entry, gone: Gone, now: i64) -> Standing {
    let landed = entry.acknowledged.is_some() || entry.match_hash.is_some();
    if !landed && entry.remote_id.is_none() {
        return Standing::Forget;
    }
    if removed.grace_micros > 0 && now.saturating_sub(gone.since) < removed.grace_micros {
        return Standing::Waits;
    }
    match removed.action {
        RemovedAction::Ignore => Standing::Forget,
        _ if entry.remote_id.is_none() => Standing::Unknown,
        _ if entry.rejected == Some(fingerprint(removed)) => Standing::Refused,
        _ => Standing::Due,
    }
}

/// The memory of a row found gone at `now`; one that was gone before stays gone since then.
pub(crate) fn missed(entry: Entry, how: GoneHow, now: i64) -> Entry {
    let since = entry.gone.map_or(now, |gone| gone.since);
    Entry { gone: Some(Gone { since, how }), ..entry }
}

/// Stands for the removal as a payload, so that a refused one is told from another.
pub(crate) fn fingerprint(removed: &Removed) -> Fingerprint {
    Fingerprint(xxh3_128(format!("removed {:?}", removed.action).as_bytes()))
}

/// What is asked of the destination for a row of the model.
pub(crate) fn write_mode(mode: Mode) -> Mode {
    match mode {
        Mode::Mirror => Mode::Upsert,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use flow::MatchHash;

    use super::*;
    use crate::RemovalLimit;

    const HOUR: i64 = 3_600_000_000;

    fn removed(action: RemovedAction, grace_micros: i64) -> Removed {
        Removed { action, grace_micros, limit: RemovalLimit::default() }
    }

    fn entry() -> Entry {
        Entry {
            acknowledged: Some(Fingerprint(1)),
            match_hash: Some(MatchHash(2)),
            remote_id: Some("77".to_owned()),
            ..Entry::default()
        }
    }

    #[track_caller]
    fn check(removed: &Removed, entry: &Entry, now: i64, expected: Standing) {
        let gone = Gone { since: HOUR, how: GoneHow::Absent };
        assert_eq!(standing(removed, entry, gone, now), expected);
    }

    #[test]
    fn a_record_is_removed_when_its_grace_is_over_and_not_before() {
        let at_once = removed(RemovedAction::Delete, 0);
        check(&at_once, &entry(), HOUR, Standing::Due);
        check(&at_once, &entry(), 0, Standing::Due);
        let later = removed(RemovedAction::Delete, HOUR);
        check(&later, &entry(), 2 * HOUR - 1, Standing::Waits);
        check(&later, &entry(), 2 * HOUR, Standing::Due);
        check(&later, &entry(), 0, Standing::Waits);
    }

    #[test]
    fn only_a_record_that_is_known_is_touched() {
        // D8
        let delete = removed(RemovedAction::Delete, HOUR);
        let never_landed = Entry { rejected: Some(Fingerprint(0)), ..Entry::default() };
        check(&delete, &never_landed, HOUR, Standing::Forget);
        let unaddressed = Entry { remote_id: None, ..entry() };
        check(&delete, &unaddressed, HOUR, Standing::Waits);
        check(&delete, &unaddressed, 9 * HOUR, Standing::Unknown);
        let dirty = Entry { acknowledged: None, ..entry() };
        check(&delete, &dirty, 9 * HOUR, Standing::Due);
    }

    #[test]
    fn a_refused_removal_is_not_asked_for_again_until_another_one_is_wanted() {
        let delete = removed(RemovedAction::Delete, 0);
        let refused = Entry { rejected: Some(fingerprint(&delete)), ..entry() };
        check(&delete, &refused, HOUR, Standing::Refused);
        let earlier = Entry { rejected: Some(Fingerprint(3)), ..entry() };
        check(&delete, &earlier, HOUR, Standing::Due);
        check(&removed(RemovedAction::Ignore, 0), &refused, HOUR, Standing::Forget);
    }
}
