//! Compares mapped rows with the ledger: what to send, what is unchanged, what is held back. Pure.

use std::collections::{HashMap, HashSet};

use flow::{Entry, Fingerprint, Key, MatchHash};
use transform::Mapped;

use crate::doubt::Doubts;

/// What to do with one mapped row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its payload must be sent.
    Send,
    /// Its payload is the acknowledged one. `resolves`: an open reject of the row is over.
    Unchanged {
        /// Whether the row has an open reject.
        resolves: bool,
    },
    /// The same payload was refused before.
    Held,
    /// Another row holds the record it would be written to.
    Conflict,
    /// It changed, and is not in the plan that is applied: the next run sends it.
    Left,
}

/// Which rows are sent although nothing about them changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Resend {
    /// None.
    #[default]
    Nothing,
    /// Those whose payload was refused before.
    Refused,
    /// All.
    Everything,
}

/// The verdict of every row by its ledger entry alone.
pub(crate) fn compare(
    fingerprints: &[Fingerprint],
    entries: &[Option<Entry>],
    resend: Resend,
) -> Vec<Verdict> {
    fingerprints
        .iter()
        .zip(entries)
        .map(|(fingerprint, entry)| match entry {
            _ if resend == Resend::Everything => Verdict::Send,
            None => Verdict::Send,
            Some(entry) if entry.acknowledged == Some(*fingerprint) => {
                Verdict::Unchanged { resolves: entry.rejected.is_some() }
            }
            Some(entry) if entry.rejected == Some(*fingerprint) && resend == Resend::Nothing => {
                Verdict::Held
            }
            Some(_) => Verdict::Send,
        })
        .collect()
}

/// Rows to send that take a match value they did not hold when last acknowledged: whoever held it must be asked.
pub(crate) fn newly_matched(
    mapped: &Mapped,
    entries: &[Option<Entry>],
    verdicts: &[Verdict],
) -> Vec<usize> {
    (0..verdicts.len())
        .filter(|row| {
            let held = entries[*row].as_ref().and_then(|entry| entry.match_hash);
            verdicts[*row] == Verdict::Send && held != Some(mapped.matches[*row])
        })
        .collect()
}

/// Rows of the ledger that hold a match value a row of the batch takes, and that the batch says nothing about.
pub(crate) fn contested(
    mapped: &Mapped,
    (asked, owners): (&[usize], &[Option<Key>]),
) -> Vec<(Key, MatchHash)> {
    let held = asked
        .iter()
        .zip(owners)
        .filter_map(|(row, owner)| owner.clone().map(|owner| (owner, mapped.matches[*row])));
    let held: Vec<_> = held.collect();
    if held.is_empty() {
        return held;
    }
    let here: HashSet<&Key> = mapped.keys.iter().collect();
    held.into_iter().filter(|(owner, _)| !here.contains(owner)).collect()
}

/// Turns rows to send into conflicts where another row holds their match value: in the ledger (`owners`, parallel to
/// `asked`), unless that row leaves the value in this very batch; or earlier in the batch.
pub(crate) fn settle_conflicts(
    mapped: &Mapped,
    (asked, owners): (&[usize], &[Option<Key>]),
    verdicts: &mut [Verdict],
) {
    let moved: HashMap<&Key, MatchHash> =
        mapped.keys.iter().zip(mapped.matches.iter().copied()).collect();
    for (row, owner) in asked.iter().zip(owners) {
        let Some(owner) = owner else { continue };
        let leaves = moved.get(owner).is_some_and(|now| *now != mapped.matches[*row]);
        if *owner != mapped.keys[*row] && !leaves {
            verdicts[*row] = Verdict::Conflict;
        }
    }
    let mut taken: HashMap<MatchHash, usize> = HashMap::new();
    for (row, verdict) in verdicts.iter_mut().enumerate() {
        if *verdict == Verdict::Send && *taken.entry(mapped.matches[row]).or_insert(row) != row {
            *verdict = Verdict::Conflict;
        }
    }
}

/// Rows of the batch whose record another row of the batch is going to take.
pub(crate) fn dispossessed(
    mapped: &Mapped,
    (asked, owners): (&[usize], &[Option<Key>]),
    verdicts: &[Verdict],
) -> Vec<usize> {
    let taken: HashSet<&Key> = asked
        .iter()
        .zip(owners)
        .filter(|(row, _)| verdicts[**row] == Verdict::Send)
        .filter_map(|(row, owner)| owner.as_ref().filter(|owner| **owner != mapped.keys[*row]))
        .collect();
    (0..mapped.keys.len()).filter(|row| taken.contains(&mapped.keys[*row])).collect()
}

/// Of the rows that take a new match value, those whose record is to be renamed: the destination told its id, nobody
/// holds the new value, and no other row of the batch takes the old one (then the record is that row's).
pub(crate) fn renamed(
    mapped: &Mapped,
    (asked, owners): (&[usize], &[Option<Key>]),
    (entries, verdicts): (&[Option<Entry>], &[Verdict]),
) -> HashSet<usize> {
    let sent = asked.iter().filter(|row| verdicts[**row] == Verdict::Send);
    let taken: HashSet<MatchHash> = sent.map(|row| mapped.matches[*row]).collect();
    let renames = |row: usize| {
        let Some(Entry { match_hash: Some(old), remote_id: Some(_), .. }) = &entries[row] else {
            return false;
        };
        verdicts[row] == Verdict::Send && !taken.contains(old)
    };
    let free = asked.iter().zip(owners).filter(|(_, owner)| owner.is_none());
    free.map(|(row, _)| *row).filter(|row| renames(*row)).collect()
}

/// Rows to be sent that are unconfirmed, and whose record's id is known: a request that may still come may give the record
/// another match value, under which it would not be found.
pub(crate) fn doubted(
    mapped: &Mapped,
    (entries, verdicts): (&[Option<Entry>], &[Verdict]),
    doubts: &Doubts,
) -> HashSet<usize> {
    let own = |row: usize| {
        let entry = entries[row].as_ref();
        entry.is_some_and(|entry| {
            entry.remote_id.is_some() && entry.match_hash == Some(mapped.matches[row])
        })
    };
    (0..verdicts.len())
        .filter(|row| verdicts[*row] == Verdict::Send)
        .filter(|row| own(*row) && doubts.has(&mapped.keys[*row]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(acknowledged: Option<u128>, rejected: Option<u128>) -> Option<Entry> {
        Some(Entry {
            acknowledged: acknowledged.map(Fingerprint),
            rejected: rejected.map(Fingerprint),
            ..Entry::default()
        })
    }

    #[track_caller]
    fn check(entry: Option<Entry>, resend: Resend, expected: &Verdict) {
        assert_eq!(&compare(&[Fingerprint(7)], &[entry], resend)[0], expected);
    }

    #[test]
    fn only_an_acknowledged_equal_payload_is_unchanged() {
        // D2, D4: a dirty entry and a new row are sent; so is everything that differs.
        check(None, Resend::Nothing, &Verdict::Send);
        check(entry(None, None), Resend::Nothing, &Verdict::Send);
        check(entry(Some(6), None), Resend::Nothing, &Verdict::Send);
        check(entry(Some(7), None), Resend::Nothing, &Verdict::Unchanged { resolves: false });
        check(entry(Some(7), None), Resend::Everything, &Verdict::Send);
    }

    #[test]
    fn a_refused_payload_is_held_until_it_changes_or_a_retry_is_asked_for() {
        // D9
        check(entry(Some(6), Some(7)), Resend::Nothing, &Verdict::Held);
        check(entry(Some(6), Some(7)), Resend::Everything, &Verdict::Send);
        check(entry(Some(6), Some(7)), Resend::Refused, &Verdict::Send);
        let unchanged = Verdict::Unchanged { resolves: true };
        check(entry(Some(7), Some(7)), Resend::Refused, &unchanged);
        check(entry(Some(6), Some(0)), Resend::Nothing, &Verdict::Send);
        check(entry(Some(7), Some(6)), Resend::Nothing, &Verdict::Unchanged { resolves: true });
    }
}
