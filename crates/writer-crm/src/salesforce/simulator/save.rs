//! Saving one row: read against the object, its parents found, its rules held, then kept. Collections, single calls and
//! jobs all come through here.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::org::Org;
use super::reply::{Fault, Problem};
use super::schema::{Field, Kind, Object};
use super::store::{Changes, Store};
use super::value::{Held, Refused, Sent, check};

/// One field of a row as it was sent.
pub(super) struct Cell<'a> {
    pub(super) name: &'a str,
    /// The field of the parent, where the parent is named by it.
    pub(super) of_parent: Option<&'a str>,
    /// None empties the field.
    pub(super) sent: Option<Sent<'a>>,
}

/// What becomes of the row.
#[derive(Debug, Clone)]
pub(super) enum Verb {
    Create,
    Update {
        id: String,
    },
    /// By the value the row has in this field.
    Upsert {
        field: usize,
    },
}

/// A row that can be read: its values, or what is wrong with them.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    values: Vec<(usize, Option<Held>)>,
    parents: Vec<Parent>,
    faults: Vec<Fault>,
}

#[derive(Debug)]
struct Parent {
    /// The reference in the row's object.
    field: usize,
    object: Object,
    found_by: usize,
    value: Held,
}

/// A row that is saved.
#[derive(Debug, Clone)]
pub(super) struct Saved {
    pub(super) id: String,
    pub(super) created: bool,
}

/// The cells of a JSON record, without what is not a field.
pub(super) fn cells(record: &Map<String, Value>) -> Vec<Cell<'_>> {
    let mut cells = Vec::with_capacity(record.len());
    for (name, value) in record {
        if name == "attributes" || name == "id" {
            continue;
        }
        match value {
            Value::Object(parent) => {
                let inner: Vec<_> =
                    parent.iter().filter(|(name, _)| *name != "attributes").collect();
                // Anything but one field is no name of a parent; it is refused below.
                let (of_parent, value) = match inner[..] {
                    [(name, value)] => (name.as_str(), value),
                    _ => ("", &Value::Null),
                };
                let sent = Some(Sent::Json(value));
                cells.push(Cell { name, of_parent: Some(of_parent), sent });
            }
            Value::Null => cells.push(Cell { name, of_parent: None, sent: None }),
            value => cells.push(Cell { name, of_parent: None, sent: Some(Sent::Json(value)) }),
        }
    }
    cells
}

/// Reads a row. An `Err` is wrong with the whole call: a field that does not exist, or JSON of another type.
pub(super) fn parse(
    org: &Org,
    object: &Object,
    cells: &[Cell<'_>],
    (creates, found_by): (bool, Option<usize>),
) -> Result<Parsed, Fault> {
    let mut parsed = Parsed::default();
    let mut locked: Vec<&str> = Vec::new();
    for cell in cells {
        if let Some(field) = cell.of_parent {
            parsed.parent(org, object, (cell.name, field, cell.sent))?;
            continue;
        }
        let (place, field) = object.find(cell.name).ok_or_else(|| unknown(object, cell.name))?;
        if field.read_only {
            locked.push(&field.name);
            continue;
        }
        match cell.sent.map_or(Ok(None), |sent| check(field, sent)) {
            Ok(value) => parsed.values.push((place, value)),
            Err(Refused::Row(fault)) => parsed.faults.push(fault),
            Err(Refused::Call(fault)) => return Err(fault),
        }
    }
    if !locked.is_empty() {
        let message = format!(
            "Unable to create/update fields: {}. Please check the security settings of this field and verify that it is \
             read/write for your profile or permission set.",
            locked.join(", ")
        );
        parsed.faults.push(Fault::new("INVALID_FIELD_FOR_INSERT_UPDATE", message, &locked));
    }
    parsed.check_required(object, creates && found_by.is_none());
    Ok(parsed)
}

pub(super) fn unknown(object: &Object, name: &str) -> Fault {
    let message = format!("No such column '{name}' on sobject of type {}", object.name);
    Fault::new("INVALID_FIELD", message, &[])
}

impl Parsed {
    fn parent(
        &mut self,
        org: &Org,
        object: &Object,
        (relationship, name, sent): (&str, &str, Option<Sent<'_>>),
    ) -> Result<(), Fault> {
        let (field, to) =
            object.parent(relationship).ok_or_else(|| unknown(object, relationship))?;
        let parent = org.find(to).ok_or_else(|| unknown(object, relationship))?;
        let (found_by, key) = parent.find(name).ok_or_else(|| unknown(&parent, name))?;
        if !key.finds() {
            let message = format!(
                "Field name provided, {name} is not an External ID or indexed field for {to}"
            );
            return Err(Fault::new("INVALID_FIELD", message, &[]));
        }
        let Some(sent) = sent else {
            self.values.push((field, None));
            return Ok(());
        };
        match check(key, sent) {
            Ok(Some(value)) => {
                self.parents.push(Parent { field, object: parent.clone(), found_by, value });
            }
            Ok(None) => {
                let message = format!("{name} not specified");
                return Err(Fault::new("MISSING_ARGUMENT", message, &[]));
            }
            Err(Refused::Row(fault)) => self.faults.push(fault),
            Err(Refused::Call(fault)) => return Err(fault),
        }
        Ok(())
    }

    /// Required fields that are missing, where a record is surely made, or that are emptied.
    fn check_required(&mut self, object: &Object, creates: bool) {
        let missing: Vec<&str> = object
            .fields
            .iter()
            .enumerate()
            .filter(|(_, field)| field.required)
            .filter(|(place, _)| match self.values.iter().find(|(known, _)| known == place) {
                Some((_, value)) => value.is_none(),
                None => {
                    creates
                        && !self
                            .faults
                            .iter()
                            .any(|fault| fault.fields.contains(&object.fields[*place].name))
                }
            })
            .map(|(_, field)| field.name.as_str())
            .collect();
        if !missing.is_empty() {
            let message = format!("Required fields are missing: [{}]", missing.join(", "));
            self.faults.push(Fault::new("REQUIRED_FIELD_MISSING", message, &missing));
        }
    }

    /// The value the row has in a field.
    pub(super) fn value(&self, field: usize) -> Option<&Held> {
        self.values.iter().find(|(known, _)| *known == field).and_then(|(_, value)| value.as_ref())
    }
}

/// The stores of all objects, while rows are saved.
pub(super) struct Saving<'a> {
    pub(super) org: &'a Org,
    pub(super) stores: &'a mut HashMap<String, Store>,
    pub(super) now_ms: i64,
}

impl Saving<'_> {
    /// Saves a row that was read.
    pub(super) fn save(
        &mut self,
        object: &Object,
        verb: &Verb,
        mut parsed: Parsed,
    ) -> Result<Saved, Fault> {
        if let Some(fault) = parsed.faults.first() {
            return Err(fault.clone());
        }
        for parent in std::mem::take(&mut parsed.parents) {
            let id = self.parent(&parent)?;
            parsed.values.push((parent.field, Some(Held::Text(id.into()))));
        }
        self.check_references(object, &parsed.values)?;
        let place = self.place(object, verb, &parsed)?;
        let store = self.stores.entry(object.name.clone()).or_default();
        check_unique(object, store, &parsed.values, place)?;
        match place {
            Some(place) => {
                store.update(&object.fields, place, parsed.values, self.now_ms);
                Ok(Saved { id: store.id(object, place), created: false })
            }
            None => {
                parsed.check_required(object, true);
                if let Some(fault) = parsed.faults.pop() {
                    return Err(fault);
                }
                let place = store.create(&object.fields, parsed.values, self.now_ms);
                Ok(Saved { id: store.id(object, place), created: true })
            }
        }
    }

    /// The record the row is about; `None` makes one.
    fn place(&self, object: &Object, verb: &Verb, parsed: &Parsed) -> Result<Option<usize>, Fault> {
        let store = self.stores.get(&object.name);
        match verb {
            Verb::Create => Ok(None),
            Verb::Update { id } => {
                let place = store.and_then(|store| store.place(object, id));
                match place
                    .filter(|place| !store.is_some_and(|store| store.records[*place].deleted))
                {
                    Some(place) => Ok(Some(place)),
                    None => Err(lost(id, place.is_some())),
                }
            }
            Verb::Upsert { field } => {
                let name = object.fields[*field].name.as_str();
                let Some(value) = parsed.value(*field) else {
                    return Err(Fault::new(
                        "MISSING_ARGUMENT",
                        format!("{name} not specified"),
                        &[name],
                    ));
                };
                let holders = store.map_or(&[][..], |store| store.holders(*field, &value.text()));
                match holders {
                    [] => Ok(None),
                    [place] => Ok(Some(*place as usize)),
                    _ => {
                        let ids: Vec<String> = store
                            .map(|store| {
                                holders
                                    .iter()
                                    .map(|place| store.id(object, *place as usize))
                                    .collect()
                            })
                            .unwrap_or_default();
                        let message = format!(
                            "{name}: more than one record found for external id field: [{}]",
                            ids.join(", ")
                        );
                        Err(Fault::new("DUPLICATE_EXTERNAL_ID", message, &[name]))
                    }
                }
            }
        }
    }

    fn parent(&self, parent: &Parent) -> Result<String, Fault> {
        let store = self.stores.get(&parent.object.name);
        let value = parent.value.text();
        let holders = store.map_or(&[][..], |store| store.holders(parent.found_by, &value));
        let field = &parent.object.fields[parent.found_by].name;
        match (holders, store) {
            ([place], Some(store)) => Ok(store.id(&parent.object, *place as usize)),
            ([], _) | (_, None) => {
                let message = format!(
                    "Foreign key external ID: {value} not found for field {field} in entity {}",
                    parent.object.name
                );
                Err(Fault::new("INVALID_FIELD", message, &[]))
            }
            _ => {
                let message = format!("{field}: more than one record found for external id field");
                Err(Fault::new("DUPLICATE_EXTERNAL_ID", message, &[]))
            }
        }
    }

    fn check_references(&self, object: &Object, values: &Changes) -> Result<(), Fault> {
        for (place, value) in values {
            let Field { kind: Kind::Reference(to), name, .. } = &object.fields[*place] else {
                continue;
            };
            let Some(Held::Text(id)) = value else { continue };
            let known = self.org.find(to).is_some_and(|to| {
                self.stores.get(&to.name).is_some_and(|store| store.by_id(&to, id).is_some())
            });
            if !known {
                let message = "invalid cross reference id";
                return Err(Fault::new("INVALID_CROSS_REFERENCE_KEY", message, &[name]));
            }
        }
        Ok(())
    }

    /// Deletes; a record that is not there is a fault.
    pub(super) fn delete(
        &mut self,
        object: &Object,
        id: &str,
        for_good: bool,
    ) -> Result<String, Fault> {
        let store = self.stores.entry(object.name.clone()).or_default();
        let place = store.place(object, id);
        match place.filter(|place| !store.records[*place].deleted) {
            Some(place) => {
                store.delete(place, for_good);
                Ok(store.id(object, place))
            }
            None => Err(lost(id, place.is_some())),
        }
    }
}

fn lost(id: &str, in_bin: bool) -> Fault {
    match in_bin {
        true => Fault::new("ENTITY_IS_DELETED", "entity is deleted", &[]),
        false if super::id::is_id(id) => {
            Fault::new("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", &[])
        }
        false => Fault::new("MALFORMED_ID", format!("malformed id {id}"), &["Id"]),
    }
}

fn check_unique(
    object: &Object,
    store: &Store,
    values: &Changes,
    own: Option<usize>,
) -> Result<(), Fault> {
    for (place, value) in values {
        let (field, Some(value)) = (&object.fields[*place], value) else { continue };
        if !field.unique {
            continue;
        }
        let holders = store.holders(*place, &value.text());
        if let Some(other) = holders.iter().find(|holder| Some(**holder as usize) != own) {
            let message = format!(
                "duplicate value found: {} duplicates value on record with id: {}",
                field.name,
                store.id(object, *other as usize)
            );
            return Err(Fault::new("DUPLICATE_VALUE", message, &[]));
        }
    }
    Ok(())
}

/// The external id field of a path.
pub(super) fn finding_field(object: &Object, name: &str) -> Result<usize, Problem> {
    match object.find(name) {
        Some((place, field)) if field.finds() => Ok(place),
        Some(_) => {
            let message = format!(
                "Field name provided, {name} is not an External ID or indexed field for {}",
                object.name
            );
            Err(Problem::bad("INVALID_FIELD", message))
        }
        None => Err(Problem::not_found()),
    }
}
