//! A destination as fast as memory: one book of records by key, for tests and benchmarks of everything before it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use flow::arrow::array::AsArray;
use flow::{
    Attribution, Destination, Field, FieldKind, Limits, Mode, NullRule, ObjectSchema, Outcome,
    Receipt, Removal, Result, WriteBatch,
};

/// Records: key and value. The value is empty where the row's is NULL.
#[derive(Debug, Default)]
pub struct Book {
    records: Mutex<BTreeMap<String, String>>,
    heard: Option<Heard>,
}

/// Someone who is told each value as it is written.
struct Heard(Box<dyn Fn(&str) + Send + Sync>);

impl std::fmt::Debug for Heard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Heard")
    }
}

impl Book {
    /// A book that tells each value as it is written.
    pub fn telling(heard: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { heard: Some(Heard(Box::new(heard))), ..Self::default() }
    }

    /// The records, by key.
    pub fn records(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn field(name: &str, unique: bool) -> Field {
    Field {
        name: name.to_owned(),
        label: name.to_owned(),
        kind: FieldKind::Text { chars_max: None },
        required: false,
        unique,
        read_only: false,
        folds_case: false,
    }
}

#[async_trait]
impl Destination for Book {
    fn limits(&self, _object: &str) -> Result<Limits> {
        Ok(Limits {
            rows_max: 1000,
            bytes_max: 16 << 20,
            in_flight_max: 4,
            modes: &[Mode::Upsert, Mode::Mirror],
            attribution: Attribution::EchoedId,
            null_rule: NullRule::EmptyString,
            removals: &[Removal::Delete],
            ..Limits::LEAST
        })
    }

    async fn describe(&self, object: &str) -> Result<ObjectSchema> {
        let fields = vec![field("key", true), field("value", false)];
        Ok(ObjectSchema { object: object.to_owned(), fields, open: false })
    }

    fn objects(&self) -> Vec<String> {
        vec!["records".to_owned()]
    }

    async fn write(&self, batch: &WriteBatch) -> Result<Receipt> {
        let mut records = self.records();
        let delivered =
            |id: &String| Outcome::Delivered { created: None, remote_id: Some(id.clone()) };
        if batch.mode == Mode::Delete {
            let outcomes = batch.record_ids.iter().map(|id| {
                records.remove(id);
                delivered(id)
            });
            return Ok(Receipt { outcomes: outcomes.collect() });
        }
        let column = |name: &str| -> Vec<String> {
            let column = batch.payload.fields.column_by_name(name);
            let texts = column.map(|column| column.as_string::<i32>().iter());
            texts.into_iter().flatten().map(|text| text.unwrap_or_default().to_owned()).collect()
        };
        let mut outcomes = Vec::new();
        for (key, value) in column("key").into_iter().zip(column("value")) {
            if let Some(Heard(heard)) = &self.heard {
                heard(&value);
            }
            outcomes.push(delivered(&key));
            records.insert(key, value);
        }
        Ok(Receipt { outcomes })
    }
}
