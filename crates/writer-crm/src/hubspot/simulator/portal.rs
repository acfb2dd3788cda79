//! One HubSpot account: the properties and records of every object type, and the links between them.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde_json::{Value, json};
use simulator::{RecordQuery, Records};

use super::link::{LinkKinds, Links};
use super::object::Object;
use super::options::Options;
use super::reply::Problem;
use super::schema::{Origin, Property, Schema};
use super::store::{Extra, Store};
use super::view::View;

/// Lines of a page that `/_sim/records` makes at a time.
const PAGE_ROWS: usize = 1_000;

/// The account. Locks are taken in the order schema, store, kinds, links.
#[derive(Debug)]
pub(super) struct Portal {
    pub(super) options: Options,
    /// All object types, by their index.
    pub(super) objects: Vec<Object>,
    schemas: Vec<RwLock<Schema>>,
    stores: Vec<Mutex<Store>>,
    kinds: RwLock<LinkKinds>,
    links: Mutex<Links>,
}

impl Portal {
    pub(super) fn new(options: Options) -> Result<Self, String> {
        let objects = options.objects.clone();
        let mut kinds = LinkKinds::of(&objects);
        for (from, to, label) in &options.labels {
            kinds.define((*from, *to), label, None).map_err(|problem| problem.message)?;
        }
        let schema = |object: &Object| RwLock::new(Schema::standard(*object));
        let store = |object: &Object| Mutex::new(new_store(*object, &options));
        let portal = Self {
            schemas: objects.iter().map(schema).collect(),
            stores: objects.iter().map(store).collect(),
            kinds: RwLock::new(kinds),
            links: Mutex::new(Links::default()),
            objects,
            options,
        };
        for (object, property) in portal.options.properties.clone() {
            portal.schema_mut(object).add(property).map_err(|(_, message)| message)?;
        }
        Ok(portal)
    }

    /// The object type a path names.
    pub(super) fn object(&self, name: &str) -> Result<Object, Problem> {
        Object::parse(name, &self.objects)
            .ok_or_else(|| Problem::validation(format!("Unable to infer object type from: {name}")))
    }

    pub(super) fn schema(&self, object: Object) -> RwLockReadGuard<'_, Schema> {
        self.schemas[object.index()].read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn schema_mut(&self, object: Object) -> RwLockWriteGuard<'_, Schema> {
        self.schemas[object.index()].write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn store(&self, object: Object) -> MutexGuard<'_, Store> {
        self.stores[object.index()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ways in which records can be associated.
    pub(super) fn kinds(&self) -> RwLockReadGuard<'_, LinkKinds> {
        self.kinds.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn kinds_mut(&self) -> RwLockWriteGuard<'_, LinkKinds> {
        self.kinds.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a property of the portal's owner.
    pub(super) fn add_property(&self, object: Object, property: Property) -> Result<(), Problem> {
        self.schema_mut(object).add(property).map_err(|(status, message)| {
            let category = if status == 409 { "OBJECT_ALREADY_EXISTS" } else { "VALIDATION_ERROR" };
            Problem::new(status, category, message)
        })
    }
}

fn new_store(object: Object, options: &Options) -> Store {
    let schema = Schema::standard(object);
    let extra = schema.find("hs_additional_emails").zip(schema.find("email"));
    let extra = extra.map(|((property, _), (of, _))| Extra { property, of });
    Store::new(object, extra, options.search_lag_ms)
}

impl Records for Portal {
    fn page(&self, object: &str, query: &RecordQuery) -> Option<(Vec<String>, u64)> {
        let object = Object::parse(object, &self.objects)?;
        let schema = self.schema(object);
        let store = self.store(object);
        let from = u32::try_from(query.from).unwrap_or(u32::MAX);
        let mut lines = Vec::new();
        let mut next = from;
        for position in from..store.len() {
            next = position + 1;
            let record = store.at(position);
            if record.archived_ms.is_some() && !query.archived {
                continue;
            }
            let view = View { schema: &schema, id: store.id(position), record };
            lines.push(view.oracle_line());
            if lines.len() >= PAGE_ROWS {
                break;
            }
        }
        Some((lines, u64::from(next)))
    }

    fn stats(&self) -> Value {
        let mut objects = serde_json::Map::new();
        for object in self.objects.iter().copied() {
            let totals = self.store(object).totals();
            let shown = json!({
                "records": totals.live,
                "created": totals.created,
                "updated": totals.updated,
                "archived": totals.archived,
                "updates_max": totals.updates_max,
            });
            objects.insert(object.name().to_owned(), shown);
        }
        json!({ "objects": objects, "associations": self.links().len() })
    }

    fn reset(&self) {
        for object in self.objects.iter().copied() {
            *self.store(object) = new_store(object, &self.options);
        }
        *self.links() = Links::default();
    }
}

/// The name a schema has for a property that is not stored.
pub(super) fn name_of(schema: &Schema, origin: Origin) -> &str {
    let found = schema.all().iter().find(|property| property.origin == origin);
    found.map_or("", |property| property.name.as_str())
}
