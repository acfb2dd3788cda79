//! The oracles: what must hold at every commit and at the end, said independently of the engine.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use flow::{Batch, Key, Mode, NullRule, RunCounts, StoredWatermark};
use transform::{MapContext, Mapper, MapperSpec, Mappings, RunMeta};

use super::source::to_arrow;
use super::table::{Row, Table};
use super::universe::State;
use super::vendor;
use super::weather::Season;
use crate::world::schema;

/// The two mappings of the histories, by the tag they send.
pub(crate) const TAGS: [&str; 2] = ["a", "b"];

/// What a record holds, and what is sent for a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) row: i64,
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) tag: String,
}

/// What the mapping makes of a row; nothing of one without a key or an e-mail.
pub(crate) fn content(row: &Row, tag: &str) -> Option<Content> {
    Some(Content {
        row: row.id?,
        email: row.email.clone()?,
        name: row.name.clone(),
        tag: tag.to_owned(),
    })
}

pub(crate) fn mappings(tag: &str) -> Mappings {
    let written = format!(r#"{{"name": "name", "row": "id", "tag": {{"const": "{tag}"}}}}"#);
    serde_json::from_str(&written).unwrap()
}

pub(crate) fn match_on() -> Vec<(String, String)> {
    vec![("email".to_owned(), "email".to_owned())]
}

fn mappers() -> &'static [Mapper; 2] {
    static MAPPERS: OnceLock<[Mapper; 2]> = OnceLock::new();
    MAPPERS.get_or_init(|| {
        TAGS.map(|tag| {
            Mapper::compile(&MapperSpec {
                mappings: &mappings(tag),
                match_on: &match_on(),
                primary_key: &["id".to_owned()],
                columns: schema(),
                object: &vendor::object(),
                mode: Mode::Upsert,
                null_rule: NullRule::EmptyString,
            })
            .unwrap()
        })
    })
}

/// Commits what the writers made visible, and learns the fingerprints of the new rows.
pub(crate) fn settle(state: &mut State, now: i64) {
    let new: Vec<Row> =
        state.table.settle(now).into_iter().filter(|row| content(row, "").is_some()).collect();
    if new.is_empty() {
        return;
    }
    let run = RunMeta { id: String::new(), sync: String::new(), started_at: 0 };
    for row in new {
        let batch =
            Batch { rows: to_arrow(std::slice::from_ref(&row)), faults: Vec::new(), last: None };
        for (mapper, tag) in mappers().iter().zip(TAGS) {
            let duplicates = std::collections::HashSet::new();
            let mapped = mapper
                .map(&batch, &MapContext { run: &run, duplicates: &duplicates, lookups: &[] })
                .unwrap();
            let content = content(&row, tag).unwrap();
            state.matches.insert(content.email.to_lowercase(), mapped.matches[0]);
            state.contents.insert(mapped.fingerprints[0].0, content);
        }
    }
}

/// After every commit.
pub(crate) fn at_commit(state: &mut State, before: Option<&StoredWatermark>, counts: RunCounts) {
    if counts.unaccounted() != 0 {
        state.breach(format!("D9: a commit does not balance: {counts:?}"));
    }
    let now = state.now();
    settle(state, now);
    ledger(state);
    rejects(state);
    let after = state.memory.watermark.clone();
    let Some(after) = after.filter(|after| Some(after) != before) else { return };
    if before.is_some_and(|before| before.watermark > after.watermark) {
        state.breach(format!("R1: the watermark went back to {}", after.watermark));
    }
    passed(state, &after);
}

/// D2, D4: what the ledger calls acknowledged, and does not wait for another write to confirm it, the vendor holds.
fn ledger(state: &mut State) {
    let mut wrong = Vec::new();
    for (key, (_, entry)) in &state.memory.ledger {
        let Some(fingerprint) = entry.acknowledged else { continue };
        if state.memory.is_unconfirmed(key) {
            continue;
        }
        let held = state.contents.get(&fingerprint.0).and_then(|content| {
            let id = state.vendor.find(&content.email)?;
            Some((content, &state.vendor.records[&id]))
        });
        match held {
            Some((content, record)) if content == record => {}
            held => wrong.push(format!("D2: {key:?} is called acknowledged; it is {held:?}")),
        }
    }
    wrong.into_iter().for_each(|wrong| state.breach(wrong));
}

/// D9: the ledger and the list of rejects tell the same.
fn rejects(state: &mut State) {
    let open = state.memory.open_keys();
    let ledger = state.memory.ledger.iter();
    let held = ledger.filter(|(_, (_, entry))| entry.rejected.is_some());
    let held = held.map(|(key, _)| key.clone()).collect();
    if open != held {
        let (only_open, only_held): (Vec<&Key>, Vec<&Key>) =
            (open.difference(&held).collect(), held.difference(&open).collect());
        let what =
            format!("D9: rejects only listed {only_open:?}, only in the ledger {only_held:?}");
        state.breach(what);
    }
}

/// R1, R3, D2: every row the watermark has passed by more than the lag is at the vendor or an open reject.
fn passed(state: &mut State, stored: &StoredWatermark) {
    let bound = stored.watermark.0 - state.table.lag_micros;
    // A change of the mapping has begun: every row is going to be looked at again.
    if stored.mapping.is_empty() {
        return;
    }
    let tag = state.tag;
    let rows = state.table.rows().map(|(_, row)| row);
    let rows = rows.filter(|row| row.updated_at.is_some_and(|at| at != i64::MIN && at < bound));
    // D4: a late call may have changed the record for now; it is going to be put right.
    let rows = rows.filter(|row| !row.key().is_some_and(|key| state.memory.is_unconfirmed(&key)));
    let missing: Vec<String> = missing(state, rows, tag);
    for missing in missing {
        state.breach(format!("R1: the watermark passed {missing}"));
    }
}

/// Of these rows, those that are neither at the vendor nor excused: by an open reject, or by a key that comes twice.
fn missing<'a>(state: &State, rows: impl Iterator<Item = &'a Row>, tag: &str) -> Vec<String> {
    let twice = Table::duplicates(state.table.rows().map(|(_, row)| row));
    let open = state.memory.open_keys();
    rows.filter(|row| match row.key() {
        None => !state.memory.rejects.contains_key(&None),
        Some(key) if open.contains(&key) || twice.contains(&key) => false,
        Some(_) => {
            let Some(wanted) = content(row, tag) else { return true };
            let id = state.vendor.find(&wanted.email);
            id.is_none_or(|id| state.vendor.records[&id] != wanted)
        }
    })
    .map(|row| format!("{row:?}, which the vendor does not have"))
    .collect()
}

/// At the end, when all is calm: D1, and no record without a row but where one is to be expected.
pub(crate) fn at_the_end(state: &mut State, tag: &str) {
    ledger(state);
    rejects(state);
    let missing = missing(state, state.table.rows().map(|(_, row)| row), tag);
    for missing in missing {
        state.breach(format!("D1: not converged: {missing}"));
    }
    if state.weather.season == Season::Gentle {
        let orphans = orphans(state);
        if orphans > 0 {
            state.breach(format!("D1: {orphans} records belong to no row"));
        }
    }
}

/// Records whose row is still there and has another record.
pub(crate) fn orphans(state: &State) -> usize {
    let rows: BTreeMap<i64, &Row> =
        state.table.rows().filter_map(|(_, row)| Some((row.id?, row))).collect();
    let open = state.memory.open_keys();
    let records = state.vendor.records.values();
    let orphan = |record: &&Content| {
        let Some(row) = rows.get(&record.row) else { return false };
        let excused = row.key().is_some_and(|key| open.contains(&key));
        let email = row.email.as_deref().unwrap_or_default().to_lowercase();
        !excused && email != record.email.to_lowercase()
    };
    records.filter(orphan).count()
}
