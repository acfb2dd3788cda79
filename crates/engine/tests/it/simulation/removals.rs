//! Mirrors in the simulation: what the vendor does with removals, and who may be removed at all (D8).

use std::collections::BTreeSet;

use engine::{RemovalLimit, Removed, RemovedAction};
use flow::{Key, Mode, Outcome, WriteBatch};

use super::oracle::Content;
use super::table::Row;
use super::universe::{REFUSED, State};
use super::vendor::{Sent, Vendor};
use super::weather::Season;

/// The tag of a record whose row left.
pub(crate) const GONE: &str = "gone";
/// Records that are somebody else's.
const OTHERS: u64 = 3;

/// What a mirror does, drawn with the weather.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MirrorWeather {
    deletes: bool,
    pub(crate) grace_micros: i64,
    share: f64,
}

impl MirrorWeather {
    pub(crate) fn draw(seed: u64) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed ^ 0x6d69_7272_6f72);
        Self {
            deletes: dice.u8(0..3) > 0,
            grace_micros: [0, 0, 2_000_000, 9_000_000][dice.usize(0..4)],
            share: [1.0, 1.0, 0.3][dice.usize(0..3)],
        }
    }

    pub(crate) fn removed(&self, calm: bool) -> Removed {
        let set = serde_json::from_str(r#"{"tag": "gone"}"#).expect("an object");
        let action = match self.deletes {
            true => RemovedAction::Delete,
            false => RemovedAction::Update(transform::read_set(&set).expect("values")),
        };
        // In the end everything that is gone is meant to be.
        let share = if calm { 1.0 } else { self.share };
        let limit = RemovalLimit { share, floor: 2 };
        Removed { action, grace_micros: self.grace_micros, limit }
    }
}

/// What is done with a record by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removing {
    Delete,
    Mark,
}

/// What a read of everything has given so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Given {
    keys: BTreeSet<Key>,
    nameless: bool,
}

impl Given {
    pub(crate) fn add(&mut self, rows: &[Row]) {
        for row in rows {
            match row.key() {
                Some(key) => _ = self.keys.insert(key),
                None => self.nameless = true,
            }
        }
    }
}

/// The rows of a call that removes; `None` where it does something else.
pub(crate) fn removing(state: &State, batch: &WriteBatch) -> Option<Vec<Sent>> {
    let what = match batch.mode {
        Mode::Delete => Removing::Delete,
        Mode::Update => Removing::Mark,
        _ => return None,
    };
    let row = |id: &String| {
        let holder = state.memory.holder(id);
        let record = state.vendor.records.get(&id.parse().expect("an id of ours"));
        let email =
            record.map_or_else(|| format!("nobody with {id}"), |record| record.email.clone());
        let row = holder.and_then(|key| key.as_str().parse().ok()).unwrap_or(-1);
        let content = Content { row, email, name: String::new(), tag: GONE.to_owned() };
        Sent { content, record_id: Some(id.clone()), removing: Some(what) }
    };
    Some(batch.record_ids.iter().map(row).collect())
}

/// D8: before a call that removes goes out. Only records that the ledger has, of rows that the last complete read did not
/// contain, that no other row has, and that are dirty by then (D4).
pub(crate) fn check(state: &mut State, rows: &[Sent]) {
    let mut wrong = Vec::new();
    for row in rows.iter().filter(|row| row.removing.is_some()) {
        let id = row.record_id.as_deref().unwrap_or_default();
        let holders: Vec<_> = state.memory.holders(id).collect();
        let [(key, entry)] = holders[..] else {
            wrong.push(format!("record {id} is removed, and {} rows have it", holders.len()));
            continue;
        };
        if entry.gone.is_none() || entry.acknowledged.is_some() {
            wrong.push(format!("the record of {key:?} is removed, of which is known: {entry:?}"));
        }
        match &state.complete {
            Some(given) if given.nameless => wrong.push("a row had no key".to_owned()),
            Some(given) if !given.keys.contains(key) => {}
            _ => wrong.push(format!("{key:?} was in the last complete read, or there was none")),
        }
    }
    wrong.into_iter().for_each(|wrong| state.breach(format!("D8: {wrong}")));
}

impl Vendor {
    /// Deletes or marks a record; one that is not there is as good as deleted.
    pub(crate) fn remove(&mut self, row: &Sent, what: Removing) -> Outcome {
        let remote_id = row.record_id.clone();
        let id: u64 = remote_id.as_deref().and_then(|id| id.parse().ok()).expect("an id of ours");
        match (what, self.records.get_mut(&id)) {
            (Removing::Delete, _) => _ = self.records.remove(&id),
            (Removing::Mark, Some(record)) => GONE.clone_into(&mut record.tag),
            (Removing::Mark, None) => {
                let message = "no such record".to_owned();
                return Outcome::Rejected { code: &REFUSED, message, field: None };
            }
        }
        Outcome::Delivered { created: Some(false), remote_id }
    }

    /// Records that are nobody's of ours.
    pub(crate) fn with_others(mut self) -> Self {
        for number in 0..OTHERS {
            self.records.insert(1_000_000 + number, other(number));
        }
        self
    }
}

fn other(number: u64) -> Content {
    let email = format!("Other{number}@example.org");
    Content { row: -1, email, name: "other".to_owned(), tag: "theirs".to_owned() }
}

/// At the end: nobody else's record was touched, and nothing is remembered of a row that is not there, but that it was
/// acted on.
pub(crate) fn at_the_end(state: &mut State) {
    if state.weather.season != Season::Mirror {
        return;
    }
    let lost =
        (0..OTHERS).filter(|n| state.vendor.records.get(&(1_000_000 + n)) != Some(&other(*n)));
    let mut wrong: Vec<String> = lost.map(|n| format!("record {n} of somebody else")).collect();
    let rows: BTreeSet<Key> = state.table.rows().filter_map(|(_, row)| row.key()).collect();
    let nameless = state.table.rows().any(|(_, row)| row.id.is_none());
    for (key, (_, entry)) in &state.memory.ledger {
        let settled = entry.gone.is_some_and(|gone| gone.how == flow::GoneHow::Settled);
        let refused = entry.rejected.is_some();
        if !rows.contains(key) && !nameless && !settled && !refused {
            wrong.push(format!("{key:?} left and is still known: {entry:?}"));
        }
    }
    wrong.into_iter().for_each(|wrong| state.breach(format!("D8: at the end: {wrong}")));
}
