//! Values that groups of rows share, by field: what rows that left the model had in common can be said only of what is
//! remembered of them, and of a row that is a hash per field. Fields with many values, or long ones, are left out.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use flow::arrow::array::Array;
use flow::{Key, Payload, Result, Store, text_at};
use xxhash_rust::xxh3::xxh3_64;

use crate::diagnosis::{Common, VALUE_BYTES_MAX, VALUES_MAX, hidden, most_telling, telling};
use crate::remembered::{self, Before};
use crate::{Remember, Sync};

/// Remembered rows looked at in one go.
const PAGE_ROWS: usize = 10_000;
/// Where they are remembered beside the rows: no row has this key.
const KEY: &str = "\u{1}groups";

/// Per field the values seen so far; `None` where they are too many.
pub(crate) struct Groups {
    fields: BTreeMap<String, Option<BTreeSet<String>>>,
    hidden: HashSet<String>,
    news: bool,
}

/// Whether a remembered payload is that of a row.
pub(crate) fn is_row(key: &Key) -> bool {
    key.as_str() != KEY
}

impl Groups {
    /// What is remembered; `None` where the sync removes nothing or remembers nothing.
    pub(crate) async fn of(sync: &Sync, store: &dyn Store) -> Result<Option<Self>> {
        if sync.removed.is_none() || sync.remember() == Remember::Nothing {
            return Ok(None);
        }
        let found = store.payloads(&sync.name, &[Key::from_stored(KEY.to_owned())]).await?;
        let bytes = found.into_iter().flatten().next().unwrap_or_default();
        let fields = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(Some(Self { fields, hidden: hidden(sync).into_iter().collect(), news: false }))
    }

    /// Notes the values of a row that is sent.
    pub(crate) fn see(&mut self, payload: &Payload, row: usize) {
        let columns = payload.fields.schema_ref().fields().iter().zip(payload.fields.columns());
        for (at, (field, column)) in columns.enumerate() {
            let name = field.name();
            if payload.is_absent(at, row) || column.is_null(row) || self.hidden.contains(name) {
                continue;
            }
            let known = match self.fields.get_mut(name) {
                Some(None) => continue,
                Some(Some(known)) => known,
                None => {
                    self.fields.entry(name.clone()).or_default().get_or_insert_with(BTreeSet::new)
                }
            };
            let text = text_at(column, row);
            if known.contains(text.as_ref()) {
                continue;
            }
            self.news = true;
            if known.len() < VALUES_MAX && text.len() <= VALUE_BYTES_MAX {
                known.insert(text.into_owned());
            } else {
                self.fields.insert(name.clone(), None);
            }
        }
    }

    /// What is to be remembered, if it became more.
    pub(crate) fn news(&mut self) -> Option<(Key, Vec<u8>)> {
        let bytes = std::mem::take(&mut self.news).then(|| serde_json::to_vec(&self.fields));
        Some((Key::from_stored(KEY.to_owned()), bytes?.ok()?))
    }

    /// What those of the remembered rows have in common that are `gone`, compared with all of them.
    pub(crate) async fn common(
        &self,
        store: &dyn Store,
        (sync, gone): (&str, &HashSet<Key>),
    ) -> Result<Vec<Common>> {
        let mut values: HashMap<(u32, u64), (&str, &str, [u64; 2])> = HashMap::new();
        for (name, known) in &self.fields {
            for value in known.iter().flatten() {
                let place = (remembered::name_hash(name), xxh3_64(value.as_bytes()));
                values.insert(place, (name, value, [0, 0]));
            }
        }
        let (mut rows, mut left, mut after) = (0, 0, None);
        loop {
            let page = store.payloads_after(sync, after.as_ref(), PAGE_ROWS).await?;
            for (key, bytes) in page.iter().filter(|(key, _)| is_row(key)) {
                let is_gone = gone.contains(key);
                rows += 1;
                left += u64::from(is_gone);
                for (name, before) in remembered::fields(bytes) {
                    let hash = match before {
                        Before::Empty => continue,
                        Before::Hash(hash) => hash,
                        Before::Text(text) => xxh3_64(text.as_bytes()),
                    };
                    if let Some((.., counted)) = values.get_mut(&(name, hash)) {
                        counted[0] += 1;
                        counted[1] += u64::from(is_gone);
                    }
                }
            }
            let last = page.len() < PAGE_ROWS;
            after = page.into_iter().next_back().map(|(key, _)| key);
            if last {
                break;
            }
        }
        let found = values.into_values().filter_map(|(name, value, [all, of_gone])| {
            let everywhere = all as f64 / f64::max(rows as f64, 1.0);
            telling((name, value), (of_gone, left), everywhere)
        });
        Ok(most_telling(found.collect()))
    }
}
