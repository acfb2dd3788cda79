//! The part of the world that rows leave: a mirror, a destination that removes records, rows that say they are gone.

use std::sync::Arc;

use engine::{RemovalLimit, Removed, RemovedAction};
use flow::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use flow::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use flow::{Changes, Mode, Model, Outcome, REMOVED, Receipt, Result, WriteBatch};

use super::{Behaviour, FakeDestination, Person, World, schema, to_arrow};

/// A person with this name counts as removed, where the model says so.
pub(crate) const LEFT: &str = "left";

pub(crate) fn delete() -> Removed {
    Removed { action: RemovedAction::Delete, grace_micros: 0, limit: RemovalLimit::default() }
}

pub(crate) fn set(written: &str) -> RemovedAction {
    let fields = serde_json::from_str(written).expect("an object");
    RemovedAction::Update(transform::read_set(&fields).expect("values"))
}

impl World {
    /// A world whose sync is a mirror by snapshot.
    pub(crate) fn mirror(rows: Vec<Person>, removed: Removed) -> Self {
        let mut world = Self::new(rows);
        world.change_model(|model| model.changes = Changes::Snapshot);
        world.sync.mode = Mode::Mirror;
        world.sync.removed = Some(removed);
        world
    }

    pub(crate) fn change_model(&mut self, change: impl FnOnce(&mut Model)) {
        let mut model = (*self.sync.model).clone();
        change(&mut model);
        self.sync.model = Arc::new(model);
    }

    /// Takes these people out of the model, and gives them back.
    pub(crate) fn leave(&self, ids: &[i64]) -> Vec<Person> {
        let mut rows = self.source.rows.lock().unwrap();
        let (left, stay) = rows.drain(..).partition(|row| ids.contains(&row.id));
        *rows = stay;
        left
    }

    pub(crate) fn enter(&self, people: Vec<Person>) {
        self.source.rows.lock().unwrap().extend(people);
    }

    /// The e-mails of all removals, call by call.
    pub(crate) fn removals(&self) -> Vec<Vec<String>> {
        self.destination.remote().removals.clone()
    }

    /// A full-refresh run.
    pub(crate) async fn refresh(&self) -> Result<engine::RunReport, engine::RunFailure> {
        let options = engine::RunOptions { full_refresh: true, ..self.options() };
        engine::run(&self.sync, &self.ports, options, &super::Nobody).await
    }
}

impl FakeDestination {
    /// Deletes or updates records by their ids.
    pub(super) async fn remove(&self, batch: &WriteBatch) -> Result<Receipt> {
        let ids = &batch.record_ids;
        assert_eq!(ids.len(), batch.payload.rows(), "every record is addressed by its id");
        assert!(!ids.is_empty() && ids.len() <= 10, "the limit of the destination is kept");
        let emails: Vec<String> = {
            let mut remote = self.remote();
            let emails = ids.iter().map(|id| remote.ids.get(id).unwrap_or(id).clone());
            let emails: Vec<String> = emails.collect();
            for email in &emails {
                assert!(remote.in_flight.insert(email.clone()), "D3: two calls for {email}");
            }
            remote.removals.push(emails.clone());
            emails
        };
        tokio::time::sleep(self.latency).await;
        let behaviour = self.script.lock().unwrap().as_mut().and_then(|script| script(&emails));
        let mut remote = self.remote();
        let mut outcomes = Vec::new();
        for (row, email) in emails.iter().enumerate() {
            remote.in_flight.remove(email);
            let special = match &behaviour {
                Some(Behaviour::Fails(_)) => continue,
                Some(Behaviour::Rows(outcome_of)) => outcome_of(email),
                _ => None,
            };
            let remote_id = Some(ids[row].clone());
            outcomes.push(special.unwrap_or_else(|| {
                match batch.mode {
                    Mode::Delete => _ = remote.records.remove(email),
                    _ => _ = remote.records.insert(email.clone(), shown(batch, row)),
                }
                Outcome::Delivered { created: Some(false), remote_id }
            }));
        }
        match behaviour {
            Some(Behaviour::Fails(error) | Behaviour::AppliesAndFails(error)) => Err(error),
            _ => Ok(Receipt { outcomes }),
        }
    }
}

/// The fields of a row that are set, as text.
fn shown(batch: &WriteBatch, row: usize) -> String {
    let columns = batch.payload.fields.columns().iter();
    columns.map(|column| column.as_string::<i32>().value(row).to_owned()).collect()
}

pub(super) fn schema_with_removed() -> SchemaRef {
    let mut fields = schema().fields().to_vec();
    fields.push(Arc::new(Field::new(REMOVED, DataType::Boolean, true)));
    Arc::new(Schema::new(fields))
}

pub(super) fn to_arrow_with_removed(rows: &[Person]) -> RecordBatch {
    let said: BooleanArray = rows.iter().map(|row| Some(row.name == LEFT)).collect();
    let mut columns: Vec<ArrayRef> = to_arrow(rows).columns().to_vec();
    columns.push(Arc::new(said) as ArrayRef);
    assert!(columns.iter().all(|column| column.len() == rows.len()));
    RecordBatch::try_new(schema_with_removed(), columns).expect("the columns fit the schema")
}
