//! One org: its objects, records, jobs and sessions.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use serde_json::{Map, Value, json};
use simulator::{Moment, RecordQuery, Records};
use tokio::time::Instant;

use super::job::Jobs;
use super::options::Options;
use super::reply::{Problem, moment};
use super::schema::{Object, add_field};
use super::standard;
use super::store::Store;
use super::token::Sessions;

/// The user all work is done by.
pub(super) const USER: &str = "005000000000001AAA";
/// Records of one page of the list for tests.
const PAGE: usize = 1_000;

/// Everything behind the API.
#[derive(Debug)]
pub(super) struct Org {
    pub(super) options: Options,
    objects: RwLock<Vec<Object>>,
    stores: Mutex<HashMap<String, Store>>,
    jobs: Mutex<Jobs>,
    pub(super) sessions: Mutex<Sessions>,
    /// The last moment anybody asked, and when that was.
    seen: Mutex<Option<(Moment, Instant)>>,
}

impl Org {
    pub(super) fn new(options: Options) -> Result<Self, String> {
        let mut objects = standard::objects();
        for field in &options.fields {
            add_field(&mut objects, field)?;
        }
        let sessions = Sessions::new(&options);
        let org = Self {
            options,
            objects: RwLock::new(objects),
            stores: Mutex::default(),
            jobs: Mutex::default(),
            sessions: Mutex::new(sessions),
            seen: Mutex::new(None),
        };
        org.reset();
        Ok(org)
    }

    /// The object of that name, letter case aside.
    pub(super) fn object(&self, name: &str) -> Result<Object, Problem> {
        self.find(name).ok_or_else(Problem::not_found)
    }

    pub(super) fn find(&self, name: &str) -> Option<Object> {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects.iter().find(|object| object.name.eq_ignore_ascii_case(name)).cloned()
    }

    pub(super) fn all_objects(&self) -> Vec<Object> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn add_field(&self, text: &str) -> Result<(), String> {
        add_field(&mut self.objects.write().unwrap_or_else(PoisonError::into_inner), text)
    }

    pub(super) fn stores(&self) -> MutexGuard<'_, HashMap<String, Store>> {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The jobs, each as far as it is by now.
    pub(super) fn jobs(&self, now: Moment) -> MutexGuard<'_, Jobs> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, Instant::now()));
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.work(self, now);
        jobs
    }

    /// The jobs, for the double's own routes.
    pub(super) fn known_jobs(&self) -> MutexGuard<'_, Jobs> {
        self.catch_up();
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on jobs whose time has come although nobody asks after them.
    fn catch_up(&self) {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((mut now, at)) = seen else { return };
        let passed = at.elapsed();
        now.since_start_us += u64::try_from(passed.as_micros()).unwrap_or(0);
        now.unix_ms += i64::try_from(passed.as_millis()).unwrap_or(0);
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).work(self, now);
    }

    pub(super) fn admits(&self, token: &str) -> bool {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.admits(&self.options, token)
    }

    pub(super) fn identity_url(&self) -> String {
        format!("https://login.salesforce.com/id/{}/{USER}", self.options.org_id)
    }
}

/// A record's fields as JSON, in the object's order.
pub(super) fn members(object: &Object, store: &Store, place: usize) -> Map<String, Value> {
    let record = &store.records[place];
    let mut members = Map::new();
    members.insert("Id".to_owned(), store.id(object, place).into());
    for (index, field) in object.fields.iter().enumerate() {
        let value = match field.name.as_str() {
            "CreatedDate" => Some(moment(record.created_ms).into()),
            "LastModifiedDate" => Some(moment(record.modified_ms).into()),
            _ => record.get(index).map(super::value::Held::json),
        };
        if let Some(value) = value {
            members.insert(field.name.clone(), value);
        }
    }
    members
}

impl Records for Org {
    fn page(&self, object: &str, query: &RecordQuery) -> Option<(Vec<String>, u64)> {
        self.catch_up();
        let object = self.find(object)?;
        let stores = self.stores();
        let Some(store) = stores.get(&object.name) else { return Some((Vec::new(), 0)) };
        let from = usize::try_from(query.from).unwrap_or(usize::MAX);
        let mut lines = Vec::new();
        let mut next = from;
        for place in from..store.records.len() {
            if lines.len() >= PAGE {
                break;
            }
            next = place + 1;
            let record = &store.records[place];
            if record.deleted && (record.gone || !query.archived) {
                continue;
            }
            let mut line = members(&object, store, place);
            line.insert("IsDeleted".to_owned(), record.deleted.into());
            line.insert("updates".to_owned(), record.updates.into());
            line.insert("writes".to_owned(), (u64::from(record.updates) + 1).into());
            line.insert("version".to_owned(), record.version.into());
            let mut text = Vec::new();
            let _ = write!(text, "{}", Value::Object(line));
            lines.push(String::from_utf8(text).unwrap_or_default());
        }
        Some((lines, next as u64))
    }

    fn stats(&self) -> Value {
        self.catch_up();
        let jobs = self.known_jobs().all.len();
        let stores = self.stores();
        let objects: Map<String, Value> = stores
            .iter()
            .map(|(name, store)| {
                let updates_max = store.records.iter().map(|record| record.updates).max();
                let counts = json!({
                    "created": store.created, "updated": store.updated, "deleted": store.deleted,
                    "updates_max": updates_max.unwrap_or(0),
                });
                (name.clone(), counts)
            })
            .collect();
        json!({ "objects": objects, "jobs": jobs })
    }

    fn reset(&self) {
        *self.jobs.lock().unwrap_or_else(PoisonError::into_inner) = Jobs::default();
        let mut stores = self.stores();
        stores.clear();
        for (name, field, value) in
            [("Organization", "Name", "Practice"), ("User", "Username", "integration@example.com")]
        {
            let Some(object) = self.find(name) else { continue };
            let Some((place, _)) = object.find(field) else { continue };
            let held = super::value::Held::Text(value.into());
            let store = stores.entry(name.to_owned()).or_default();
            store.create(&object.fields, vec![(place, Some(held))], 0);
        }
    }
}
