//! `/engage` and `/groups`: one operator per object; what is not valid is dropped without a word.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use simulator::{Call, RowFault};

use super::body::Said;
use super::project::{Project, Properties};

const OBJECTS_MAX: usize = 2000;
const PROPERTIES_MAX: usize = 2000;
const NAME_MAX: usize = 255;
const OPERATORS: [&str; 9] = [
    "$set",
    "$set_once",
    "$add",
    "$union",
    "$append",
    "$remove",
    "$unset",
    "$delete",
    "$increment",
];
/// Ids that Mixpanel ignores.
pub(super) const NOBODY: [&str; 18] = [
    "anon",
    "anonymous",
    "nil",
    "none",
    "null",
    "n/a",
    "na",
    "undefined",
    "unknown",
    "0",
    "-1",
    "00000000-0000-0000-0000-000000000000",
    "true",
    "false",
    "[]",
    "{}",
    "lmy47d",
    "got url:",
];

pub(super) async fn engage(
    State(project): State<Arc<Project>>,
    Extension(call): Extension<Call>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(&project, &call, &Said::read(&uri, &headers, &body), |object| {
        let id = object.get("$distinct_id").and_then(scalar).filter(|id| names_somebody(id))?;
        Some(Place::Profile(id))
    })
}

pub(super) async fn groups(
    State(project): State<Arc<Project>>,
    Extension(call): Extension<Call>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(&project, &call, &Said::read(&uri, &headers, &body), |object| {
        let key = object.get("$group_key").and_then(scalar).filter(|key| !key.is_empty())?;
        let id = object.get("$group_id").and_then(scalar).filter(|id| names_somebody(id))?;
        Some(Place::Group(key, id))
    })
}

enum Place {
    Profile(String),
    Group(String, String),
}

fn answer(
    project: &Project,
    call: &Call,
    said: &Said,
    place: impl Fn(&Map<String, Value>) -> Option<Place>,
) -> Response {
    let verbose = said.is_on("verbose");
    let Some(Value::Array(objects)) = &said.data else {
        return verdict(verbose, Err("data, missing or empty"));
    };
    call.set_rows(objects.len());
    if objects.is_empty() {
        return verdict(verbose, Err("data, missing or empty"));
    }
    if objects.len() > OBJECTS_MAX {
        return verdict(verbose, Err("too many objects in the batch"));
    }
    for object in objects {
        let value = |name: &str| object_value(object, name);
        if let Some(RowFault::Poison(status)) = call.row_fault(value) {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
            return (status, Json(json!({ "status": 0, "error": "refused by the script" })))
                .into_response();
        }
    }
    let mut valid = 0;
    let mut held = project.held();
    for object in objects {
        let value = |name: &str| object_value(object, name);
        let refused = matches!(call.row_fault(value), Some(RowFault::Reject { .. }));
        let known = object.as_object().filter(|_| !refused).and_then(|object| {
            Some((place(object)?, operation(object)?, object.get("$token")?.as_str()?))
        });
        let Some((place, (operator, operand), token)) = known else {
            held.dropped += 1;
            continue;
        };
        valid += 1;
        // A wrong token is no error; the data goes nowhere.
        if project.options.token.as_ref().is_some_and(|only| only != token) {
            held.dropped += 1;
            continue;
        }
        match (place, operator) {
            (Place::Profile(id), "$delete") => _ = held.profiles.remove(&id),
            (Place::Group(key, id), "$delete") => _ = held.groups.remove(&(key, id)),
            (Place::Profile(id), operator) => {
                apply(held.profiles.entry(id).or_default(), operator, operand);
            }
            (Place::Group(key, id), operator) => {
                apply(held.groups.entry((key, id)).or_default(), operator, operand);
            }
        }
    }
    drop(held);
    if let Some(status) = call.shape().empty {
        return StatusCode::from_u16(status).unwrap_or_default().into_response();
    }
    verdict(verbose, if valid > 0 { Ok(()) } else { Err("no valid object in the batch") })
}

/// A member of an object or of what it sets, for the script.
fn object_value<'o>(object: &'o Value, name: &str) -> Option<&'o str> {
    let name = if matches!(name, "distinct_id" | "id") { "$distinct_id" } else { name };
    object.get(name).or_else(|| object.get("$set")?.get(name)).and_then(Value::as_str)
}

fn verdict(verbose: bool, said: Result<(), &str>) -> Response {
    match (verbose, said) {
        (true, Ok(())) => Json(json!({ "status": 1, "error": null })).into_response(),
        (true, Err(error)) => Json(json!({ "status": 0, "error": error })).into_response(),
        (false, Ok(())) => "1".into_response(),
        (false, Err(_)) => "0".into_response(),
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

pub(super) fn names_somebody(id: &str) -> bool {
    !id.trim().is_empty()
        && id.len() <= NAME_MAX
        && !NOBODY.contains(&id.trim().to_lowercase().as_str())
}

/// The only operator of an object, and what it is given.
fn operation(object: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut operators = object.iter().filter(|(name, _)| OPERATORS.contains(&name.as_str()));
    let (name, operand) = operators.next()?;
    if operators.next().is_some() {
        return None;
    }
    let fits = match (name.as_str(), operand) {
        ("$delete", _) => true,
        ("$unset", Value::Array(names)) => names.iter().all(Value::is_string),
        ("$unset", _) => false,
        ("$add", Value::Object(members)) => members.values().all(Value::is_number),
        (_, Value::Object(members)) => {
            members.len() <= PROPERTIES_MAX
                && members.keys().all(|name| !name.is_empty() && name.len() <= NAME_MAX)
        }
        _ => false,
    };
    fits.then_some((name.as_str(), operand))
}

fn apply(properties: &mut Properties, operator: &str, operand: &Value) {
    let members = || operand.as_object().into_iter().flatten();
    match operator {
        "$set" => properties.extend(members().map(|(name, value)| (name.clone(), value.clone()))),
        "$set_once" => {
            for (name, value) in members() {
                properties.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        "$unset" => {
            for name in operand.as_array().into_iter().flatten().filter_map(Value::as_str) {
                properties.remove(name);
            }
        }
        "$add" | "$increment" => {
            for (name, value) in members() {
                let sum = properties.get(name).and_then(Value::as_f64).unwrap_or(0.0)
                    + value.as_f64().unwrap_or(0.0);
                properties.insert(name.clone(), json!(sum));
            }
        }
        "$append" | "$union" => {
            for (name, value) in members() {
                let more = if operator == "$union" {
                    value.as_array().cloned().unwrap_or_default()
                } else {
                    vec![value.clone()]
                };
                let list = properties.entry(name.clone()).or_insert_with(|| json!([]));
                let Some(list) = list.as_array_mut() else { continue };
                for item in more {
                    if operator == "$append" || !list.contains(&item) {
                        list.push(item);
                    }
                }
            }
        }
        "$remove" => {
            for (name, value) in members() {
                if let Some(list) = properties.get_mut(name).and_then(Value::as_array_mut) {
                    list.retain(|item| item != value);
                }
            }
        }
        _ => {}
    }
}
