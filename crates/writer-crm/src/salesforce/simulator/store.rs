//! The records of one object, found by id and by the fields records are found by.

use std::collections::HashMap;

use super::id;
use super::schema::{Field, Object};
use super::value::Held;

/// One record.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    /// By the field's place; in order.
    values: Vec<(u16, Held)>,
    pub(super) deleted: bool,
    /// Deleted for good: as if it had never been.
    pub(super) gone: bool,
    pub(super) created_ms: i64,
    pub(super) modified_ms: i64,
    pub(super) updates: u32,
    /// The order of the last writes of all records.
    pub(super) version: u64,
}

impl Record {
    pub(super) fn get(&self, field: usize) -> Option<&Held> {
        let place =
            self.values.binary_search_by_key(&field, |(known, _)| usize::from(*known)).ok()?;
        Some(&self.values[place].1)
    }

    fn set(&mut self, field: usize, value: Option<Held>) {
        let place = self.values.binary_search_by_key(&field, |(known, _)| usize::from(*known));
        match (place, value) {
            (Ok(place), Some(value)) => self.values[place].1 = value,
            (Ok(place), None) => _ = self.values.remove(place),
            (Err(place), Some(value)) => {
                self.values.insert(place, (u16::try_from(field).unwrap_or(u16::MAX), value));
            }
            (Err(_), None) => {}
        }
    }
}

/// A checked change of one record: what each field becomes.
pub(super) type Changes = Vec<(usize, Option<Held>)>;

/// All records of one object.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) records: Vec<Record>,
    /// By the field's place: which live records hold a value, letter case aside.
    index: HashMap<usize, HashMap<Box<str>, Vec<u32>>>,
    version: u64,
    pub(super) created: u64,
    pub(super) updated: u64,
    pub(super) deleted: u64,
}

fn folded(value: &Held) -> Box<str> {
    value.text().to_lowercase().into()
}

impl Store {
    /// The live record of that id.
    pub(super) fn by_id(&self, object: &Object, text: &str) -> Option<usize> {
        let place = self.place(object, text)?;
        (!self.records[place].deleted).then_some(place)
    }

    /// The record of that id, also one in the bin.
    pub(super) fn place(&self, object: &Object, text: &str) -> Option<usize> {
        let number = usize::try_from(id::read(&object.prefix, text)?).ok()?;
        let place = number.checked_sub(1)?;
        self.records.get(place).filter(|record| !record.gone).map(|_| place)
    }

    /// The live records that hold a value in a field records are found by.
    pub(super) fn holders(&self, field: usize, value: &str) -> &[u32] {
        let index = self.index.get(&field);
        index.and_then(|index| index.get(value.to_lowercase().as_str())).map_or(&[], Vec::as_slice)
    }

    pub(super) fn id(&self, object: &Object, place: usize) -> String {
        id::spell(&object.prefix, place as u64 + 1)
    }

    pub(super) fn create(&mut self, fields: &[Field], changes: Changes, now_ms: i64) -> usize {
        let place = self.records.len();
        self.records.push(Record { created_ms: now_ms, ..Record::default() });
        self.created += 1;
        self.apply(fields, place, changes, now_ms);
        place
    }

    pub(super) fn update(&mut self, fields: &[Field], place: usize, changes: Changes, now_ms: i64) {
        self.updated += 1;
        self.records[place].updates += 1;
        self.apply(fields, place, changes, now_ms);
    }

    fn apply(&mut self, fields: &[Field], place: usize, changes: Changes, now_ms: i64) {
        self.version += 1;
        for (field, value) in changes {
            if fields[field].finds() {
                self.unlist(place, field);
                if let Some(value) = &value {
                    let index = self.index.entry(field).or_default();
                    index.entry(folded(value)).or_default().push(as_u32(place));
                }
            }
            self.records[place].set(field, value);
        }
        let record = &mut self.records[place];
        record.modified_ms = now_ms;
        record.version = self.version;
    }

    pub(super) fn delete(&mut self, place: usize, for_good: bool) {
        let listed: Vec<usize> = self.index.keys().copied().collect();
        for field in listed {
            self.unlist(place, field);
        }
        let record = &mut self.records[place];
        if !record.deleted {
            self.deleted += 1;
        }
        record.deleted = true;
        record.gone |= for_good;
    }

    fn unlist(&mut self, place: usize, field: usize) {
        let Some(value) = self.records[place].get(field).map(folded) else { return };
        let Some(index) = self.index.get_mut(&field) else { return };
        if let Some(places) = index.get_mut(&value) {
            places.retain(|known| *known != as_u32(place));
            if places.is_empty() {
                index.remove(&value);
            }
        }
    }
}

fn as_u32(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}
