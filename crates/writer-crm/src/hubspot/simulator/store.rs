//! All records of one object type: found by id or by a unique value, written one at a time.

use std::collections::{HashMap, VecDeque};

use super::object::Object;
use super::record::{Fields, Record, Stale};

/// The records of one object type.
#[derive(Debug)]
pub(super) struct Store {
    first_id: u64,
    records: Vec<Record>,
    /// Per unique property: value to position; a contact's further addresses count as its `email`.
    unique: HashMap<u16, HashMap<Box<str>, u32>>,
    /// The property whose value is a list of further values of another: the contact's addresses.
    extra: Option<Extra>,
    lag_ms: i64,
    behind: VecDeque<(i64, u32)>,
    version: u64,
    created: u64,
    updated: u64,
    archived: u64,
}

/// `property` holds further values of `of`, separated by `;`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extra {
    pub(super) property: u16,
    pub(super) of: u16,
}

/// What is written to one record.
#[derive(Debug)]
pub(super) struct Change<'c, T> {
    /// Property and value; an empty value clears.
    pub(super) values: &'c [(u16, T)],
    /// The unique values among them, from [`Store::claims`].
    pub(super) claims: &'c [(u16, &'c str)],
    pub(super) now_ms: i64,
}

/// Counters for the statistics.
#[derive(Debug)]
pub(super) struct Totals {
    pub(super) live: u64,
    pub(super) created: u64,
    pub(super) updated: u64,
    pub(super) archived: u64,
    pub(super) updates_max: u32,
}

impl Store {
    pub(super) fn new(object: Object, extra: Option<Extra>, lag_ms: i64) -> Self {
        Self {
            first_id: object.first_id(),
            records: Vec::new(),
            unique: HashMap::new(),
            extra,
            lag_ms,
            behind: VecDeque::new(),
            version: 0,
            created: 0,
            updated: 0,
            archived: 0,
        }
    }

    pub(super) fn id(&self, position: u32) -> u64 {
        self.first_id + u64::from(position)
    }

    pub(super) fn at(&self, position: u32) -> &Record {
        &self.records[position as usize]
    }

    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.records.len()).unwrap_or(u32::MAX)
    }

    /// A record by its id, archived or not.
    pub(super) fn by_id(&self, id: &str) -> Option<u32> {
        let position = id.parse::<u64>().ok()?.checked_sub(self.first_id)?;
        u32::try_from(position).ok().filter(|position| *position < self.len())
    }

    /// A record that is not archived, by its id.
    pub(super) fn live(&self, id: &str) -> Option<u32> {
        self.by_id(id).filter(|position| self.at(*position).archived_ms.is_none())
    }

    /// The record that holds a value of a unique property.
    pub(super) fn holder(&self, property: u16, value: &str) -> Option<u32> {
        self.unique.get(&property)?.get(value).copied()
    }

    /// The unique values a change claims, as (property, value).
    pub(super) fn claims<'c>(
        &self,
        changes: &'c [(u16, impl AsRef<str>)],
        unique: impl Fn(u16) -> bool,
    ) -> Vec<(u16, &'c str)> {
        let mut claims = Vec::new();
        for (property, value) in changes {
            let value = value.as_ref();
            if self.extra.is_some_and(|extra| extra.property == *property) {
                let of = self.extra.map_or(*property, |extra| extra.of);
                claims.extend(value.split(';').filter(|v| !v.is_empty()).map(|v| (of, v)));
            } else if !value.is_empty() && unique(*property) {
                claims.push((*property, value));
            }
        }
        claims
    }

    /// Adds a record; its position.
    pub(super) fn create<T: AsRef<str>>(&mut self, change: &Change<'_, T>) -> u32 {
        let now_ms = change.now_ms;
        let position = self.len();
        self.version += 1;
        self.created += 1;
        self.records.push(Record {
            fields: Fields::default().with(change.values),
            created_ms: now_ms,
            updated_ms: now_ms,
            archived_ms: None,
            version: self.version,
            updates: 0,
            indexed: None,
        });
        self.hold(position, change.claims);
        self.fall_behind(position, None, now_ms);
        position
    }

    /// Changes a record.
    pub(super) fn update<T: AsRef<str>>(&mut self, position: u32, change: &Change<'_, T>) {
        let now_ms = change.now_ms;
        self.release(position, change.values.iter().map(|(property, _)| *property));
        self.hold(position, change.claims);
        self.version += 1;
        self.updated += 1;
        let version = self.version;
        let record = &mut self.records[position as usize];
        let after = record.fields.with(change.values);
        let before = std::mem::replace(&mut record.fields, after);
        record.updated_ms = now_ms.max(record.updated_ms);
        record.version = version;
        record.updates += 1;
        self.fall_behind(position, Some(before), now_ms);
    }

    /// Archives a record; its unique values are free again.
    pub(super) fn archive(&mut self, position: u32, now_ms: i64) {
        let properties: Vec<u16> =
            self.at(position).fields.iter().map(|(index, _)| index).collect();
        self.release(position, properties.into_iter());
        self.version += 1;
        self.archived += 1;
        let record = &mut self.records[position as usize];
        record.archived_ms = Some(now_ms);
        record.version = self.version;
    }

    fn hold(&mut self, position: u32, claims: &[(u16, &str)]) {
        for (property, value) in claims {
            self.unique.entry(*property).or_default().insert((*value).into(), position);
        }
    }

    /// Gives up the unique values of the properties that change.
    fn release(&mut self, position: u32, properties: impl Iterator<Item = u16>) {
        for property in properties {
            let extra = self.extra.filter(|extra| extra.property == property);
            let index = extra.map_or(property, |extra| extra.of);
            let Some(held) = self.unique.get_mut(&index) else { continue };
            let Some(before) = self.records[position as usize].fields.get(property) else {
                continue;
            };
            let values = before.split(if extra.is_some() { ';' } else { '\u{0}' });
            for value in values {
                if held.get(value) == Some(&position) {
                    held.remove(value);
                }
            }
        }
    }

    fn fall_behind(&mut self, position: u32, before: Option<Fields>, now_ms: i64) {
        if self.lag_ms == 0 {
            return;
        }
        self.catch_up(now_ms);
        let until_ms = now_ms + self.lag_ms;
        let record = &mut self.records[position as usize];
        match &mut record.indexed {
            Some(stale) => stale.until_ms = until_ms,
            None => record.indexed = Some(Box::new(Stale { fields: before, until_ms })),
        }
        self.behind.push_back((until_ms, position));
    }

    /// Lets the search index learn what is old enough.
    pub(super) fn catch_up(&mut self, now_ms: i64) {
        while let Some((until_ms, position)) = self.behind.front().copied() {
            if until_ms > now_ms {
                return;
            }
            self.behind.pop_front();
            let indexed = &mut self.records[position as usize].indexed;
            if indexed.as_ref().is_some_and(|stale| stale.until_ms <= now_ms) {
                *indexed = None;
            }
        }
    }

    pub(super) fn totals(&self) -> Totals {
        Totals {
            live: self.created - self.archived,
            created: self.created,
            updated: self.updated,
            archived: self.archived,
            updates_max: self.records.iter().map(|record| record.updates).max().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMAIL: u16 = 0;
    const EXTRA: u16 = 1;

    fn store(lag_ms: i64) -> Store {
        let extra = Extra { property: EXTRA, of: EMAIL };
        Store::new(Object::Contacts, Some(extra), lag_ms)
    }

    fn create(store: &mut Store, changes: &[(u16, &str)]) -> u32 {
        let claims = store.claims(changes, |property| property == EMAIL);
        store.create(&Change { values: changes, claims: &claims, now_ms: 1_000 })
    }

    fn update(store: &mut Store, position: u32, changes: &[(u16, &str)]) {
        let claims = store.claims(changes, |property| property == EMAIL);
        store.update(position, &Change { values: changes, claims: &claims, now_ms: 2_000 });
    }

    #[test]
    fn a_record_is_found_by_every_address_it_has_and_by_none_it_gave_up() {
        let mut store = store(0);
        let ada = create(&mut store, &[(EMAIL, "ada@x.io"), (EXTRA, "a@x.io;b@x.io")]);
        assert_eq!(store.holder(EMAIL, "b@x.io"), Some(ada));
        update(&mut store, ada, &[(EXTRA, "c@x.io")]);
        assert_eq!(store.holder(EMAIL, "b@x.io"), None);
        assert_eq!(store.holder(EMAIL, "c@x.io"), Some(ada));
        update(&mut store, ada, &[(EMAIL, "lovelace@x.io")]);
        assert_eq!(store.holder(EMAIL, "ada@x.io"), None);
        assert_eq!(store.holder(EMAIL, "lovelace@x.io"), Some(ada));
    }

    #[test]
    fn an_archived_record_frees_its_values_and_keeps_its_id() {
        let mut store = store(0);
        let ada = create(&mut store, &[(EMAIL, "ada@x.io"), (EXTRA, "a@x.io")]);
        store.archive(ada, 3_000);
        assert_eq!(store.holder(EMAIL, "ada@x.io"), None);
        assert_eq!(store.holder(EMAIL, "a@x.io"), None);
        let id = store.id(ada).to_string();
        assert_eq!((store.live(&id), store.by_id(&id)), (None, Some(ada)));
        assert_ne!(create(&mut store, &[(EMAIL, "ada@x.io")]), ada);
    }

    #[test]
    fn an_address_moved_from_further_to_main_stays_held() {
        let mut store = store(0);
        let ada = create(&mut store, &[(EMAIL, "ada@x.io"), (EXTRA, "a@x.io")]);
        update(&mut store, ada, &[(EMAIL, "a@x.io"), (EXTRA, "")]);
        assert_eq!(store.holder(EMAIL, "a@x.io"), Some(ada));
        assert_eq!(store.holder(EMAIL, "ada@x.io"), None);
    }

    #[test]
    fn search_shows_the_old_state_until_the_record_has_been_quiet_for_the_lag() {
        let mut store = store(500);
        let ada = create(&mut store, &[(EMAIL, "ada@x.io")]);
        assert!(store.at(ada).indexed.as_ref().unwrap().fields.is_none());
        store.catch_up(1_500);
        assert!(store.at(ada).indexed.is_none());
        update(&mut store, ada, &[(EMAIL, "eve@x.io")]);
        let stale = store.at(ada).indexed.as_ref().unwrap().fields.as_ref().unwrap();
        assert_eq!(stale.get(EMAIL), Some("ada@x.io"));
        store.catch_up(2_499);
        assert!(store.at(ada).indexed.is_some());
    }
}
