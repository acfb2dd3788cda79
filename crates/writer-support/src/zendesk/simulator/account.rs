//! One Zendesk account: its objects, its jobs, and what a test may read of them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use simulator::{RecordQuery, Records};

use super::jobs::Jobs;
use super::options::Options;
use super::table::Table;

/// Lines of a page that `/_sim/records` makes at a time.
const PAGE_ROWS: usize = 1_000;

/// The account.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) options: Options,
    inner: Mutex<Inner>,
}

/// All that changes.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) tables: BTreeMap<String, Table>,
    pub(super) jobs: Jobs,
}

impl Inner {
    fn new(options: &Options) -> Self {
        let standard = ["users", "organizations", "tickets"].map(str::to_owned);
        let objects = standard.into_iter().chain(options.custom_objects.iter().cloned());
        let table = |object: String| {
            let own = options.fields.iter().filter(|(known, _)| *known == object);
            let fields = own.map(|(_, field)| field.clone()).collect();
            (object.clone(), Table::new(&object, fields))
        };
        Self { tables: objects.map(table).collect(), jobs: Jobs::default() }
    }
}

impl Account {
    pub(super) fn new(options: Options) -> Result<Self, String> {
        let inner = Inner::new(&options);
        for (object, field) in &options.fields {
            if !inner.tables.contains_key(object) {
                return Err(format!("field `{}`: there is no object `{object}`", field.key));
            }
        }
        Ok(Self { inner: Mutex::new(inner), options })
    }

    /// The account at a moment: jobs that are due by then are done.
    pub(super) fn at(&self, now_ms: i64) -> MutexGuard<'_, Inner> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.work(&self.options, Some(now_ms));
        inner
    }

    /// The account once every job is done.
    fn settled(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.work(&self.options, None);
        inner
    }
}

impl Records for Account {
    fn page(&self, object: &str, query: &RecordQuery) -> Option<(Vec<String>, u64)> {
        let inner = self.settled();
        let table = inner.tables.get(object.strip_prefix("custom_objects/").unwrap_or(object))?;
        let from = usize::try_from(query.from).unwrap_or(usize::MAX);
        let mut lines = Vec::new();
        let mut next = from;
        for record in table.all().iter().skip(from) {
            next += 1;
            if !record.deleted || query.archived {
                lines.push(table.oracle_line(record));
            }
            if lines.len() >= PAGE_ROWS {
                break;
            }
        }
        Some((lines, next as u64))
    }

    fn stats(&self) -> Value {
        let inner = self.settled();
        let objects: serde_json::Map<String, Value> =
            inner.tables.iter().map(|(name, table)| (name.clone(), table.stats())).collect();
        json!({ "objects": objects, "jobs": inner.jobs.count() })
    }

    fn reset(&self) {
        *self.inner.lock().unwrap_or_else(PoisonError::into_inner) = Inner::new(&self.options);
    }
}
