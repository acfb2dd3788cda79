//! `/import`: events, checked one by one; with `strict=1` the answer names those that were refused.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use simulator::{Call, RowFault};

use super::body::Said;
use super::profiles::NOBODY;
use super::project::{Held, Project};

const EVENTS_MAX: usize = 2000;
const BYTES_MAX: usize = 10 << 20;
const EVENT_BYTES_MAX: usize = 1 << 20;
const PROPERTIES_MAX: usize = 255;
const TEXT_BYTES_MAX: usize = 255;
/// 1971-01-01 in milliseconds.
const EARLIEST_MS: i64 = 31_536_000_000;
const HOUR_MS: i64 = 3_600_000;
/// Per second.
const RATE_MAX: usize = 30_000;

/// Why an event is refused: the field and a sentence.
type Fault = (&'static str, String);

/// An event that may be taken.
struct Event {
    /// Name, time, person, insert id.
    identity: (String, i64, String, String),
    properties: Map<String, Value>,
}

pub(super) async fn import(
    State(project): State<Arc<Project>>,
    Extension(call): Extension<Call>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let said = Said::read(&uri, &headers, &body);
    let account = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .and_then(|text| super::body::base64_decoded(text.strip_prefix("Basic ")?))
        .is_some_and(|pair| !pair.ends_with(b":"));
    if account && said.value("project_id").is_none_or(str::is_empty) {
        return refused(StatusCode::BAD_REQUEST, "project_id is required with a service account");
    }
    if body.len() > BYTES_MAX {
        return refused(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request exceeds max limit of 10485760 bytes",
        );
    }
    let Some(Value::Array(events)) = &said.data else {
        return refused(StatusCode::BAD_REQUEST, "unable to parse the request body as JSON");
    };
    call.set_rows(events.len());
    if events.is_empty() || events.len() > EVENTS_MAX {
        return refused(StatusCode::BAD_REQUEST, "1 to 2000 events in a request");
    }
    let mut held = project.held();
    let now = call.arrived();
    if project.options.limited && !room(&mut held, now.since_start_us, events.len()) {
        let words =
            "project exceeded rate limits, please retry the request with exponential backoff";
        return refused(StatusCode::TOO_MANY_REQUESTS, words);
    }
    let mut failed = Vec::new();
    for (index, event) in events.iter().enumerate() {
        let value =
            |name: &str| event["properties"][name].as_str().or_else(|| event[name].as_str());
        match call.row_fault(value) {
            Some(RowFault::Poison(status)) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
                return refused(status, "refused by the script");
            }
            Some(RowFault::Reject { message, .. }) => {
                failed.push(fault(
                    index,
                    event,
                    &("event", message.unwrap_or_else(|| "refused".to_owned())),
                ));
                continue;
            }
            None => {}
        }
        match read(event, now.unix_ms) {
            Err(reason) => failed.push(fault(index, event, &reason)),
            Ok(Event { identity, properties }) => {
                let name = identity.0.clone();
                if held.seen.insert(identity) {
                    held.events.push(json!({ "event": name, "properties": properties }));
                }
            }
        }
    }
    drop(held);
    answer(&call, &said, events.len(), failed)
}

fn answer(call: &Call, said: &Said, events: usize, mut failed: Vec<Value>) -> Response {
    let taken = events - failed.len();
    let shape = call.shape();
    if let Some(status) = shape.empty {
        return (StatusCode::from_u16(status).unwrap_or_default(), Json(json!({}))).into_response();
    }
    if !said.is_on("strict") {
        // What was refused is dropped without a word.
        let words = if said.is_on("verbose") {
            json!({ "status": 1, "error": null }).to_string()
        } else {
            "1".to_owned()
        };
        return words.into_response();
    }
    if failed.is_empty() {
        return Json(json!({ "code": 200, "num_records_imported": taken, "status": "OK" }))
            .into_response();
    }
    if shape.reorder {
        failed.reverse();
    }
    failed.truncate(failed.len().saturating_sub(shape.drop_rows));
    let body = json!({
        "code": 400,
        "error": "some data points in the request failed validation",
        "failed_records": failed,
        "num_records_imported": taken,
        "status": "Bad Request",
    });
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

fn refused(status: StatusCode, error: &str) -> Response {
    let body =
        json!({ "code": status.as_u16(), "error": error, "status": status.canonical_reason() });
    (status, Json(body)).into_response()
}

/// Whether so many more events fit the last second; then they are counted.
fn room(held: &mut Held, now_us: u64, events: usize) -> bool {
    while held.recent.front().is_some_and(|(at, _)| now_us.saturating_sub(*at) >= 1_000_000) {
        held.recent.pop_front();
    }
    let recent: usize = held.recent.iter().map(|(_, events)| events).sum();
    let fits = recent + events <= RATE_MAX;
    if fits {
        held.recent.push_back((now_us, events));
    }
    fits
}

fn fault(index: usize, event: &Value, (field, message): &Fault) -> Value {
    let insert_id = event["properties"]["$insert_id"].as_str().unwrap_or_default();
    json!({ "index": index, "insert_id": insert_id, "field": field, "message": message })
}

fn read(event: &Value, now_ms: i64) -> Result<Event, Fault> {
    let wrong = |field: &'static str, words: &str| Err((field, words.to_owned()));
    if event.to_string().len() > EVENT_BYTES_MAX {
        return wrong("event", "the event is larger than 1 MB");
    }
    let Some(name) =
        event["event"].as_str().filter(|name| !name.is_empty() && name.len() <= TEXT_BYTES_MAX)
    else {
        return wrong("event", "'event' is missing or not a name");
    };
    let Some(properties) = event["properties"].as_object() else {
        return wrong("properties", "'properties' is missing");
    };
    if properties.len() >= PROPERTIES_MAX {
        return wrong("properties", "too many properties");
    }
    let Some(time) = properties.get("time").and_then(Value::as_i64) else {
        return wrong(
            "properties.time",
            "'properties.time' is invalid: must be specified as seconds or milliseconds since epoch",
        );
    };
    // Seconds until the year 5138, milliseconds from then on.
    let time_ms = if time.abs() < 100_000_000_000 { time * 1000 } else { time };
    if time_ms < EARLIEST_MS || time_ms > now_ms + HOUR_MS {
        return wrong(
            "properties.time",
            "'properties.time' is invalid: must be after 1971 and not in the future",
        );
    }
    let Some(person) = properties.get("distinct_id").and_then(Value::as_str) else {
        return wrong("properties.distinct_id", "'properties.distinct_id' is missing");
    };
    if NOBODY.contains(&person.trim().to_lowercase().as_str()) {
        return wrong(
            "properties.distinct_id",
            "'properties.distinct_id' is invalid: one of the reserved values",
        );
    }
    let fits = |id: &&str| {
        (1..=36).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let Some(id) = properties.get("$insert_id").and_then(Value::as_str).filter(fits) else {
        return wrong("properties.$insert_id", "'properties.$insert_id' is missing or invalid");
    };
    let identity = (name.to_owned(), time_ms, person.to_owned(), id.to_owned());
    Ok(Event { identity, properties: cut(properties) })
}

/// Texts are cut at 255 bytes, without a word.
fn cut(properties: &Map<String, Value>) -> Map<String, Value> {
    let text = |text: &str| {
        let mut end = text.len().min(TEXT_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Value::from(&text[..end])
    };
    properties
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().map_or_else(|| value.clone(), text)))
        .collect()
}
