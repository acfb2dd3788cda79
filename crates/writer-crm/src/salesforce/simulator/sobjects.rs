//! sObject Collections: up to 200 records a call, answered in the order of the request.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use simulator::{Call, RowFault};

use super::org::{Org, members};
use super::reply::{Answer, Fault, Problem, answer};
use super::save::{Parsed, Saved, Saving, Verb, cells, finding_field, parse};
use super::schema::Object;

/// Records a call may write.
const ROWS_MAX: usize = 200;
/// Records a call may read.
const READ_MAX: usize = 2_000;
/// Records a call may read with its ids in the path.
const READ_BY_PATH_MAX: usize = 800;

type Record = Map<String, Value>;

struct Body {
    records: Vec<Record>,
}

impl Body {
    fn read(call: &Call, bytes: &[u8]) -> Result<Self, Problem> {
        let wrong = |message: &str| Problem::bad("JSON_PARSER_ERROR", message);
        let body: Value =
            serde_json::from_slice(bytes).map_err(|error| wrong(&error.to_string()))?;
        let Value::Object(body) = body else { return Err(wrong("the body is no object")) };
        if let Some(odd) = body.keys().find(|key| !matches!(key.as_str(), "allOrNone" | "records"))
        {
            return Err(wrong(&format!("Unrecognized field \"{odd}\"")));
        }
        if body.get("allOrNone").is_some_and(|flag| flag != &Value::Bool(false)) {
            return Err(wrong("allOrNone is not part of this double"));
        }
        let Some(Value::Array(items)) = body.get("records") else {
            return Err(wrong("records is missing"));
        };
        call.set_rows(items.len());
        if items.len() > ROWS_MAX {
            let message = "record limit reached. cannot submit more than 200 records in this call";
            return Err(Problem::bad("EXCEEDED_ID_LIMIT", message));
        }
        let records: Option<Vec<Record>> =
            items.iter().map(|item| item.as_object().cloned()).collect();
        let records = records.ok_or_else(|| wrong("a record is no object"))?;
        if records.is_empty() {
            return Err(Problem::bad("REQUIRED_FIELD_MISSING", "records is empty"));
        }
        Ok(Self { records })
    }
}

/// The object a record says it is.
fn type_of(org: &Org, record: &Record) -> Result<Object, Problem> {
    let name = record.get("attributes").and_then(|attributes| attributes.get("type"));
    let name = name.and_then(Value::as_str).ok_or_else(|| {
        Problem::bad("INVALID_INPUT", "The type attribute is missing on a record")
    })?;
    org.find(name).ok_or_else(|| {
        Problem::bad("INVALID_TYPE", format!("sObject type '{name}' is not supported."))
    })
}

pub(super) async fn upsert(
    State(org): State<Arc<Org>>,
    Path((_, object, field)): Path<(String, String, String)>,
    Extension(call): Extension<Call>,
    bytes: Bytes,
) -> Answer {
    let object = org.object(&object)?;
    let field = finding_field(&object, &field)?;
    let body = Body::read(&call, &bytes)?;
    let key = object.fields[field].name.clone();
    let mut rows = Vec::with_capacity(body.records.len());
    for record in &body.records {
        if type_of(&org, record)?.name != object.name {
            return Err(Problem::bad("INVALID_TYPE", "all records of an upsert have one type"));
        }
        if record.keys().any(|name| name.eq_ignore_ascii_case("id")) {
            let message = "The Id field should not be specified in the sobject data.";
            return Err(Problem::bad("INVALID_FIELD", message));
        }
        let parsed = parse(&org, &object, &cells(record), (true, Some(field)))?;
        rows.push((object.clone(), Verb::Upsert { field }, parsed));
    }
    let twice = twice(&rows, field);
    write(&org, (&call, &body, Some(&key)), rows, &twice)
}

/// Values that more than one row of the call has in the field records are found by.
fn twice(rows: &[(Object, Verb, Parsed)], field: usize) -> Vec<bool> {
    let keys: Vec<Option<String>> = rows
        .iter()
        .map(|row| row.2.value(field).map(|value| value.text().to_lowercase()))
        .collect();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for key in keys.iter().flatten() {
        *counts.entry(key).or_default() += 1;
    }
    keys.iter().map(|key| key.as_deref().is_some_and(|key| counts[key] > 1)).collect()
}

pub(super) async fn create(
    State(org): State<Arc<Org>>,
    Extension(call): Extension<Call>,
    bytes: Bytes,
) -> Answer {
    let body = Body::read(&call, &bytes)?;
    let mut rows = Vec::with_capacity(body.records.len());
    for record in &body.records {
        let object = type_of(&org, record)?;
        if record.keys().any(|name| name.eq_ignore_ascii_case("id")) {
            return Err(Problem::bad("INVALID_FIELD", "cannot specify Id in an insert call"));
        }
        let parsed = parse(&org, &object, &cells(record), (true, None))?;
        rows.push((object, Verb::Create, parsed));
    }
    write(&org, (&call, &body, None), rows, &[])
}

pub(super) async fn update(
    State(org): State<Arc<Org>>,
    Extension(call): Extension<Call>,
    bytes: Bytes,
) -> Answer {
    let body = Body::read(&call, &bytes)?;
    let mut rows = Vec::with_capacity(body.records.len());
    for record in &body.records {
        let object = type_of(&org, record)?;
        let id = record.get("id").or_else(|| record.get("Id")).and_then(Value::as_str);
        let id = id.unwrap_or_default().to_owned();
        let fields: Record = record
            .iter()
            .filter(|(name, _)| *name != "Id")
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect();
        let parsed = parse(&org, &object, &cells(&fields), (false, None))?;
        rows.push((object, Verb::Update { id }, parsed));
    }
    write(&org, (&call, &body, None), rows, &[])
}

/// Saves the rows and answers for each. `key` is the field rows are known by in fault rules; else their id.
fn write(
    org: &Org,
    (call, body, key): (&Call, &Body, Option<&str>),
    rows: Vec<(Object, Verb, Parsed)>,
    twice: &[bool],
) -> Answer {
    let faults = scripted(call, &body.records, key)?;
    let mut stores = org.stores();
    let mut saving = Saving { org, stores: &mut stores, now_ms: call.arrived().unix_ms };
    let mut results: Vec<Result<Saved, Fault>> = Vec::with_capacity(rows.len());
    for (place, ((object, verb, parsed), fault)) in rows.into_iter().zip(faults).enumerate() {
        results.push(match fault {
            Some(fault) => Err(fault),
            None if twice.get(place).copied().unwrap_or(false) => {
                Err(Fault::new("DUPLICATE_VALUE", "Duplicate external id specified", &[]))
            }
            None => saving.save(&object, &verb, parsed),
        });
    }
    drop(stores);
    let upserts = key.is_some();
    Ok(bent(call, results.iter().map(|result| line(result, upserts)).collect()))
}

fn line(result: &Result<Saved, Fault>, upserts: bool) -> Value {
    match result {
        Ok(saved) if upserts => {
            json!({ "id": saved.id, "success": true, "errors": [], "created": saved.created })
        }
        Ok(saved) => json!({ "id": saved.id, "success": true, "errors": [] }),
        Err(fault) => json!({ "success": false, "errors": [fault.json()] }),
    }
}

/// What the script does to rows; a poisoned one refuses the whole call.
fn scripted(
    call: &Call,
    records: &[Record],
    key: Option<&str>,
) -> Result<Vec<Option<Fault>>, Problem> {
    if !call.has_row_faults() {
        return Ok(vec![None; records.len()]);
    }
    let fault = |record: &Record| {
        let value = |name: &str| -> Option<&str> {
            match (name, key) {
                ("id", Some(key)) => record.get(key)?.as_str(),
                _ => record.get(name)?.as_str(),
            }
        };
        match call.row_fault(value) {
            None => Ok(None),
            Some(RowFault::Reject { category, message }) => Ok(Some(reject(category, message))),
            Some(RowFault::Poison(status)) => {
                Err(Problem::new(status, "JSON_PARSER_ERROR", "a row of the call is poison"))
            }
        }
    };
    records.iter().map(fault).collect()
}

/// The fault of a row the script refuses.
pub(super) fn reject(category: Option<String>, message: Option<String>) -> Fault {
    let code = category.unwrap_or_else(|| "FIELD_CUSTOM_VALIDATION_EXCEPTION".to_owned());
    let usual = match code.as_str() {
        "UNABLE_TO_LOCK_ROW" => "unable to obtain exclusive access to this record",
        _ => "refused by the script",
    };
    Fault::new(&code, message.unwrap_or_else(|| usual.to_owned()), &[])
}

/// The list of results, bent as the script wants.
fn bent(call: &Call, mut lines: Vec<Value>) -> Response {
    let shape = call.shape();
    if shape.reorder {
        lines.reverse();
    }
    lines.truncate(lines.len().saturating_sub(shape.drop_rows));
    lines.extend_from_within(..shape.duplicate_rows.min(lines.len()));
    match shape.empty {
        Some(status) => answer(status, &json!([])),
        None => answer(200, &Value::Array(lines)),
    }
}

pub(super) async fn delete(
    State(org): State<Arc<Org>>,
    Query(query): Query<HashMap<String, String>>,
    Extension(call): Extension<Call>,
) -> Answer {
    let ids = query.get("ids").map_or("", String::as_str);
    let ids: Vec<&str> = ids.split(',').filter(|id| !id.is_empty()).collect();
    call.set_rows(ids.len());
    if ids.is_empty() || ids.len() > ROWS_MAX {
        return Err(Problem::bad(
            "EXCEEDED_ID_LIMIT",
            "between 1 and 200 ids are deleted in a call",
        ));
    }
    let objects = org.all_objects();
    let mut stores = org.stores();
    let mut saving = Saving { org: &org, stores: &mut stores, now_ms: call.arrived().unix_ms };
    let lines = ids
        .iter()
        .map(|id| {
            let scripted = call.row_fault(|name| (name == "id").then_some(*id));
            let object = objects.iter().find(|object| id.starts_with(&object.prefix));
            let done = match (scripted, object) {
                (Some(RowFault::Reject { category, message }), _) => Err(reject(category, message)),
                (_, Some(object)) => saving.delete(object, id, false),
                (_, None) => Err(Fault::new("MALFORMED_ID", format!("malformed id {id}"), &[])),
            };
            match done {
                Ok(id) => json!({ "id": id, "success": true, "errors": [] }),
                Err(fault) => json!({ "id": id, "success": false, "errors": [fault.json()] }),
            }
        })
        .collect();
    Ok(bent(&call, lines))
}

pub(super) async fn read(
    State(org): State<Arc<Org>>,
    Path((_, object)): Path<(String, String)>,
    Extension(call): Extension<Call>,
    bytes: Bytes,
) -> Answer {
    let wrong = |message: String| Problem::bad("JSON_PARSER_ERROR", message);
    let body: Value = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    let list = |name: &str| -> Option<Vec<String>> {
        let items = body.get(name)?.as_array()?.iter();
        items.map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let (Some(ids), Some(fields)) = (list("ids"), list("fields")) else {
        return Err(wrong("ids and fields are lists of text".to_owned()));
    };
    call.set_rows(ids.len());
    retrieve(&org, &object, (&ids, READ_MAX), &fields)
}

pub(super) async fn read_few(
    State(org): State<Arc<Org>>,
    Path((_, object)): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let list = |name: &str| -> Vec<String> {
        let text = query.get(name).map_or("", String::as_str);
        text.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    retrieve(&org, &object, (&list("ids"), READ_BY_PATH_MAX), &list("fields"))
}

/// Records in the order of their ids; null for those that are not there.
fn retrieve(org: &Org, object: &str, (ids, most): (&[String], usize), fields: &[String]) -> Answer {
    let object = org.object(object)?;
    if ids.len() > most {
        return Err(Problem::bad("EXCEEDED_ID_LIMIT", format!("at most {most} ids in this call")));
    }
    for field in fields {
        if !field.eq_ignore_ascii_case("Id") && object.find(field).is_none() {
            return Err(super::save::unknown(&object, field).into());
        }
    }
    let stores = org.stores();
    let line = |id: &String| -> Value {
        let Some(store) = stores.get(&object.name) else { return Value::Null };
        let Some(place) = store.by_id(&object, id) else { return Value::Null };
        let all = members(&object, store, place);
        let mut shown = Map::new();
        let url =
            format!("/services/data/v62.0/sobjects/{}/{}", object.name, store.id(&object, place));
        shown.insert("attributes".to_owned(), json!({ "type": object.name, "url": url }));
        for field in fields {
            let name = object.find(field).map_or("Id", |(_, field)| field.name.as_str());
            shown.insert(name.to_owned(), all.get(name).cloned().unwrap_or(Value::Null));
        }
        Value::Object(shown)
    };
    Ok(answer(200, &ids.iter().map(line).collect()))
}
