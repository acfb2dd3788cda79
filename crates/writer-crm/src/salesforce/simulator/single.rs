//! One record a call, by its id or by a field records are found by.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use simulator::Call;

use super::org::{Org, members};
use super::reply::{Answer, Fault, Problem, answer, no_content};
use super::save::{Saving, Verb, cells, finding_field, parse};
use super::schema::Object;

type ById = Path<(String, String, String)>;
type ByValue = Path<(String, String, String, String)>;

fn body(bytes: &[u8]) -> Result<Map<String, Value>, Problem> {
    serde_json::from_slice(bytes)
        .map_err(|error| Problem::bad("JSON_PARSER_ERROR", error.to_string()))
}

fn refuse(fault: Fault) -> Problem {
    let gone = matches!(fault.code.as_str(), "ENTITY_IS_DELETED" | "INVALID_CROSS_REFERENCE_KEY")
        && fault.fields.is_empty();
    match gone {
        true => Problem::new(404, &fault.code, fault.message),
        false => fault.into(),
    }
}

fn save(
    org: &Org,
    call: &Call,
    (object, verb): (&Object, Verb),
    bytes: &[u8],
) -> Result<(String, bool), Problem> {
    call.set_rows(1);
    let record = body(bytes)?;
    save_record(org, call, (object, verb), &record)
}

fn save_record(
    org: &Org,
    call: &Call,
    (object, verb): (&Object, Verb),
    record: &Map<String, Value>,
) -> Result<(String, bool), Problem> {
    let creates = matches!(verb, Verb::Create);
    let parsed = parse(org, object, &cells(record), (creates, None))?;
    let mut stores = org.stores();
    let mut saving = Saving { org, stores: &mut stores, now_ms: call.arrived().unix_ms };
    let saved = saving.save(object, &verb, parsed).map_err(refuse)?;
    Ok((saved.id, saved.created))
}

pub(super) async fn create(
    State(org): State<Arc<Org>>,
    Path((_, object)): Path<(String, String)>,
    Extension(call): Extension<Call>,
    bytes: Bytes,
) -> Answer {
    let object = org.object(&object)?;
    let (id, _) = save(&org, &call, (&object, Verb::Create), &bytes)?;
    Ok(answer(201, &json!({ "id": id, "success": true, "errors": [] })))
}

pub(super) async fn update(
    State(org): State<Arc<Org>>,
    Path((_, object, id)): ById,
    Extension(call): Extension<Call>,
    bytes: Bytes,
) -> Answer {
    let object = org.object(&object)?;
    save(&org, &call, (&object, Verb::Update { id }), &bytes)?;
    Ok(no_content())
}

pub(super) async fn get(State(org): State<Arc<Org>>, Path((_, object, id)): ById) -> Answer {
    let object = org.object(&object)?;
    let stores = org.stores();
    let store = stores.get(&object.name).ok_or_else(Problem::not_found)?;
    let place = store.by_id(&object, &id).ok_or_else(Problem::not_found)?;
    Ok(shown(&object, members(&object, store, place)))
}

fn shown(object: &Object, mut members: Map<String, Value>) -> axum::response::Response {
    for field in &object.fields {
        members.entry(field.name.clone()).or_insert(Value::Null);
    }
    members.insert("attributes".to_owned(), json!({ "type": object.name }));
    answer(200, &Value::Object(members))
}

pub(super) async fn delete(
    State(org): State<Arc<Org>>,
    Path((_, object, id)): ById,
    Extension(call): Extension<Call>,
) -> Answer {
    let object = org.object(&object)?;
    let mut stores = org.stores();
    let mut saving = Saving { org: &org, stores: &mut stores, now_ms: call.arrived().unix_ms };
    saving.delete(&object, &id, false).map_err(refuse)?;
    Ok(no_content())
}

/// The records that hold a value: one, or the list of them, which is answered with 300.
enum Held {
    One(usize),
    Several(Value),
}

fn held(org: &Org, object: &Object, field: usize, value: &str) -> Result<Held, Problem> {
    let stores = org.stores();
    let store = stores.get(&object.name);
    let holders = store.map_or(&[][..], |store| store.holders(field, value));
    match (holders, store) {
        ([place], _) => Ok(Held::One(*place as usize)),
        ([], _) | (_, None) => Err(Problem::not_found()),
        (many, Some(store)) => {
            let url = |place: &u32| {
                let id = store.id(object, *place as usize);
                format!("/services/data/v62.0/sobjects/{}/{id}", object.name)
            };
            Ok(Held::Several(many.iter().map(url).collect()))
        }
    }
}

pub(super) async fn upsert(
    State(org): State<Arc<Org>>,
    Path((_, object, field, value)): ByValue,
    Extension(call): Extension<Call>,
    bytes: Bytes,
) -> Answer {
    call.set_rows(1);
    let object = org.object(&object)?;
    let field = finding_field(&object, &field)?;
    if let Ok(Held::Several(several)) = held(&org, &object, field, &value) {
        return Ok(answer(300, &several));
    }
    let mut record = body(&bytes)?;
    let name = object.fields[field].name.clone();
    if record.keys().any(|key| key.eq_ignore_ascii_case(&name)) {
        let message = format!("The {name} field should not be specified in the sobject data.");
        return Err(Problem::bad("INVALID_FIELD", message));
    }
    let number = matches!(object.fields[field].kind, super::schema::Kind::Number(_));
    let number = number.then(|| serde_json::from_str(&value).ok()).flatten();
    record.insert(name, number.unwrap_or(Value::String(value)));
    let (id, created) = save_record(&org, &call, (&object, Verb::Upsert { field }), &record)?;
    let status = if created { 201 } else { 200 };
    Ok(answer(status, &json!({ "id": id, "success": true, "errors": [], "created": created })))
}

pub(super) async fn get_by_value(
    State(org): State<Arc<Org>>,
    Path((_, object, field, value)): ByValue,
) -> Answer {
    let object = org.object(&object)?;
    let field = finding_field(&object, &field)?;
    match held(&org, &object, field, &value)? {
        Held::One(place) => {
            let stores = org.stores();
            let store = stores.get(&object.name).ok_or_else(Problem::not_found)?;
            Ok(shown(&object, members(&object, store, place)))
        }
        Held::Several(several) => Ok(answer(300, &several)),
    }
}

pub(super) async fn delete_by_value(
    State(org): State<Arc<Org>>,
    Path((_, object, field, value)): ByValue,
) -> Answer {
    let object = org.object(&object)?;
    let field = finding_field(&object, &field)?;
    match held(&org, &object, field, &value)? {
        Held::One(place) => {
            if let Some(store) = org.stores().get_mut(&object.name) {
                store.delete(place, false);
            }
            Ok(no_content())
        }
        Held::Several(several) => Ok(answer(300, &several)),
    }
}
