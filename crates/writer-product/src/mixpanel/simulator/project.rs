//! Everything one Mixpanel project holds.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};
use simulator::{RecordQuery, Records};

use super::options::Options;

/// Records per page of the list.
const PAGE: usize = 1000;

pub(super) type Properties = Map<String, Value>;

#[derive(Debug)]
pub(super) struct Project {
    pub(super) options: Options,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
pub(super) struct Held {
    /// By distinct id.
    pub(super) profiles: BTreeMap<String, Properties>,
    /// By group key and group id.
    pub(super) groups: BTreeMap<(String, String), Properties>,
    pub(super) events: Vec<Value>,
    /// What makes an event the same one: name, time, person, insert id.
    pub(super) seen: HashSet<(String, i64, String, String)>,
    /// Events of the last second: when and how many.
    pub(super) recent: VecDeque<(u64, usize)>,
    /// Objects that were dropped without a word.
    pub(super) dropped: u64,
}

impl Project {
    pub(super) fn new(options: Options) -> Self {
        Self { options, held: Mutex::default() }
    }

    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Records for Project {
    fn page(&self, object: &str, query: &RecordQuery) -> Option<(Vec<String>, u64)> {
        let held = self.held();
        let from = usize::try_from(query.from).unwrap_or(usize::MAX);
        let page: Vec<String> = match object {
            "profiles" => {
                let line = |(id, properties): (&String, &Properties)| {
                    json!({ "distinct_id": id, "properties": properties }).to_string()
                };
                held.profiles.iter().skip(from).take(PAGE).map(line).collect()
            }
            "events" => held.events.iter().skip(from).take(PAGE).map(Value::to_string).collect(),
            _ => {
                let key = object.strip_prefix("groups.")?;
                let of_key = held.groups.iter().filter(|((known, _), _)| known == key);
                let line = |((_, id), properties): (&(String, String), &Properties)| {
                    json!({ "group_id": id, "properties": properties }).to_string()
                };
                of_key.skip(from).take(PAGE).map(line).collect()
            }
        };
        let next = query.from + page.len() as u64;
        Some((page, next))
    }

    fn stats(&self) -> Value {
        let held = self.held();
        json!({
            "profiles": held.profiles.len(),
            "groups": held.groups.len(),
            "events": held.events.len(),
            "dropped": held.dropped,
        })
    }

    fn reset(&self) {
        *self.held() = Held::default();
    }
}
