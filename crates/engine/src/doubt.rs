//! Whether a request nobody heard of may still change the record of a row (D4).
//!
//! A call that ended without a clear answer may be carried out later, over whatever was acknowledged meanwhile. How much
//! later at most the destination says (`Limits::apply_max`). An acknowledged write counts for good only when it began
//! after that; until then its row is unconfirmed, which the state remembers, and is sent once more when the time has come.

use std::collections::HashMap;

use flow::{Key, MatchHash, Unconfirmed};

/// What is known of one row on its way. Times are in microseconds since 1970; a write that begins then or later counts.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Doubt {
    /// The state has the row as unconfirmed until then.
    pub(crate) remembered: Option<i64>,
    /// Requests of other rows, or ones nobody wrote down, may find this row's record until then.
    pub(crate) others: Option<i64>,
    /// An attempt of this run was not heard of.
    unheard: Option<i64>,
    /// When the newest attempt began.
    began: i64,
    /// An attempt of this run wrote the record without all of the row.
    in_part: bool,
}

impl Doubt {
    /// What other requests may still do to the record until when, before the first attempt.
    pub(crate) fn until(&self) -> Option<i64> {
        self.remembered.max(self.others)
    }

    /// Another attempt begins.
    pub(crate) fn begin(&mut self, at: i64) {
        self.began = at;
    }

    /// The attempt ended, and nobody knows how; until then it may be carried out.
    pub(crate) fn not_heard(&mut self, until: i64) {
        self.unheard = self.unheard.max(Some(until));
    }

    /// The attempt wrote the record, but not all of the row: what was acknowledged before counts no longer.
    pub(crate) fn in_part(&mut self) {
        self.in_part = true;
    }

    /// Requests of others may find the record until then.
    pub(crate) fn may_be_found(&mut self, until: i64) {
        self.others = self.others.max(Some(until));
    }

    /// Nothing is in doubt: what was acknowledged before still counts, should this write be refused.
    pub(crate) fn is_none(&self) -> bool {
        (self.remembered, self.others, self.unheard) == (None, None, None) && !self.in_part
    }

    /// The newest attempt was answered, and it began late enough for what the state remembers.
    pub(crate) fn confirms(&self) -> bool {
        self.remembered.is_some_and(|until| until <= self.began)
    }

    /// The newest attempt was answered, and another one must confirm it after this time.
    pub(crate) fn again_after(&self) -> Option<i64> {
        self.others.max(self.unheard).filter(|until| *until > self.began)
    }

    /// The row ends without an answer: what may be carried out until when.
    pub(crate) fn left_until(&self) -> Option<i64> {
        self.unheard
    }
}

/// What the state remembers about the rows of a chunk.
#[derive(Default)]
pub(crate) struct Doubts {
    by_key: HashMap<Key, i64>,
    by_match: HashMap<MatchHash, Vec<(Key, i64)>>,
    /// Until when calls may be carried out whose rows nobody wrote down.
    pub(crate) unheard_until: Option<i64>,
}

impl Doubts {
    pub(crate) fn new(rows: Vec<Unconfirmed>, unheard_until: Option<i64>) -> Self {
        let mut doubts = Self { unheard_until, ..Self::default() };
        for Unconfirmed { key, match_hash, confirm_after } in rows {
            let known = doubts.by_key.entry(key.clone()).or_insert(confirm_after);
            *known = confirm_after.max(*known);
            doubts.by_match.entry(match_hash).or_default().push((key, confirm_after));
        }
        doubts
    }

    /// Whether the row is unconfirmed.
    pub(crate) fn has(&self, key: &Key) -> bool {
        self.by_key.contains_key(key)
    }

    /// What is in doubt of a row about to be sent. `settled`: its last write was acknowledged, under the same match value.
    pub(crate) fn of(&self, key: &Key, match_hash: MatchHash, settled: bool) -> Doubt {
        let mut doubt = Doubt { remembered: self.by_key.get(key).copied(), ..Doubt::default() };
        if settled {
            return doubt;
        }
        // It may have been on its way when a process died, and others may be on their way to the value it takes.
        if let Some(until) = self.unheard_until {
            doubt.may_be_found(until);
        }
        let others = self.by_match.get(&match_hash).into_iter().flatten();
        for (_, until) in others.filter(|(other, _)| other != key) {
            doubt.may_be_found(*until);
        }
        doubt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubts() -> Doubts {
        let row = |key: &str, hash, confirm_after| Unconfirmed {
            key: Key::from_parts(&[key]),
            match_hash: MatchHash(hash),
            confirm_after,
        };
        Doubts::new(vec![row("a", 1, 10), row("a", 2, 30), row("b", 2, 20)], Some(15))
    }

    #[track_caller]
    fn check(doubt: Doubt, began: i64, confirms: bool, again_after: Option<i64>) {
        let mut doubt = doubt;
        doubt.begin(began);
        assert_eq!((doubt.confirms(), doubt.again_after()), (confirms, again_after));
    }

    #[test]
    fn a_write_confirms_only_when_it_began_after_every_request_that_may_still_come() {
        // D4
        let a = doubts().of(&Key::from_parts(&["a"]), MatchHash(1), true);
        check(a, 29, false, None);
        check(a, 30, true, None);
        let mut unheard = a;
        unheard.not_heard(40);
        check(unheard, 30, true, Some(40));
        check(unheard, 40, true, None);
    }

    #[test]
    fn a_row_that_takes_a_value_is_in_doubt_because_of_whoever_may_still_be_on_its_way_to_it() {
        let key = Key::from_parts(&["c"]);
        assert!(doubts().of(&key, MatchHash(2), true).is_none());
        check(doubts().of(&key, MatchHash(2), false), 29, false, Some(30));
        check(doubts().of(&key, MatchHash(3), false), 14, false, Some(15));
        check(doubts().of(&key, MatchHash(3), false), 15, false, None);
    }
}
