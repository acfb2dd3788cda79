//! An HTTP API with one strict table, as somebody in the house would write it: rows by name, in lists, each with an answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use simulator::{
    Call, Double, Level, Manners, Operation, RecordQuery, Records, Refusal, RowFault, Settings,
};

const ROWS_MAX: usize = 50;
const NOTE_MAX: usize = 1 << 19;
const TIERS: [&str; 2] = ["gold", "silver"];

type Rows = BTreeMap<String, Map<String, Value>>;

#[derive(Default)]
struct Table(Mutex<Rows>);

impl Table {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().expect("nothing panics under the lock")
    }
}

/// Builds the table's router.
pub(crate) fn build(settings: &Settings) -> Result<Router, String> {
    let table = Arc::new(Table::default());
    let items = post(upsert).patch(update).delete(delete);
    let routes = Router::new()
        .route("/items", items)
        .route("/me", get(|| std::future::ready(Json(json!({ "name": "sync" })))))
        .with_state(Arc::clone(&table));
    let double = Double {
        routes,
        admin: Router::new(),
        quotas: Vec::new(),
        manners: Arc::new(House),
        records: table,
    };
    simulator::assemble(double, settings)
}

fn refused(status: u16, why: &str) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    (status, Json(json!({ "error": why }))).into_response()
}

async fn upsert(
    State(table): State<Arc<Table>>,
    Extension(call): Extension<Call>,
    body: Bytes,
) -> Response {
    write(&table, &call, &body, true)
}

async fn update(
    State(table): State<Arc<Table>>,
    Extension(call): Extension<Call>,
    body: Bytes,
) -> Response {
    write(&table, &call, &body, false)
}

async fn delete(
    State(table): State<Arc<Table>>,
    Extension(call): Extension<Call>,
    body: Bytes,
) -> Response {
    let names: Option<Vec<String>> = serde_json::from_slice::<Value>(&body)
        .ok()
        .and_then(|body| serde_json::from_value(body["names"].clone()).ok());
    let Some(names) = names.filter(|names| names.len() <= ROWS_MAX) else {
        return refused(400, "names is a list");
    };
    let mut rows = table.rows();
    let results = names.iter().map(|name| {
        rows.remove(name);
        json!({ "name": name })
    });
    answer(&call, results.collect())
}

fn write(table: &Table, call: &Call, body: &[u8], creates: bool) -> Response {
    let items: Option<Vec<Map<String, Value>>> = serde_json::from_slice::<Value>(body)
        .ok()
        .and_then(|body| serde_json::from_value(body["items"].clone()).ok());
    let Some(items) = items.filter(|items| (1..=ROWS_MAX).contains(&items.len())) else {
        return refused(400, "items is a list of 50 objects at most");
    };
    call.set_rows(items.len());
    let name = |item: &Map<String, Value>| item.get("name")?.as_str().map(str::to_owned);
    let names: Option<Vec<String>> = items.iter().map(name).collect();
    let Some(names) = names else { return refused(400, "an item has no name") };
    let faults: Vec<Option<RowFault>> = items
        .iter()
        .map(|item| call.row_fault(|field| item.get(field).and_then(Value::as_str)))
        .collect();
    if let Some(RowFault::Poison(status)) =
        faults.iter().flatten().find(|fault| matches!(fault, RowFault::Poison(_)))
    {
        return refused(*status, "one of the items is refused");
    }
    let mut rows = table.rows();
    let results = items.into_iter().zip(&names).zip(faults).map(|((item, name), fault)| {
        if fault.is_some() {
            return json!({ "name": name, "error": "refused by the script" });
        }
        if let Some((field, why)) = wrong(&item) {
            return json!({ "name": name, "error": why, "field": field });
        }
        let created = !rows.contains_key(name);
        if created && !creates {
            return json!({ "name": name, "error": "there is no such item" });
        }
        rows.entry(name.clone()).or_default().extend(item);
        json!({ "name": name, "created": created })
    });
    answer(call, results.collect())
}

/// The field that is wrong, and why. Nothing that is not a field is taken.
fn wrong(item: &Map<String, Value>) -> Option<(&str, &'static str)> {
    item.iter().find_map(|(field, value)| {
        let why = match (field.as_str(), value) {
            ("name", Value::String(name)) if !name.is_empty() => return None,
            ("note" | "tier", Value::Null) => return None,
            ("note", Value::String(note)) if note.len() <= NOTE_MAX => return None,
            ("note", Value::String(_)) => "it is too long",
            ("tier", Value::String(tier)) if TIERS.contains(&tier.as_str()) => return None,
            ("tier", _) => "it is neither gold nor silver",
            _ => "there is no such field",
        };
        Some((field.as_str(), why))
    })
}

fn answer(call: &Call, mut results: Vec<Value>) -> Response {
    let shape = call.shape();
    results.truncate(results.len().saturating_sub(shape.drop_rows));
    results.extend_from_within(..shape.duplicate_rows.min(results.len()));
    if shape.reorder {
        results.reverse();
    }
    if shape.empty.is_some() {
        results.clear();
    }
    Json(json!({ "results": results })).into_response()
}

struct House;

impl Manners for House {
    fn operation(&self, method: &Method, path: &str) -> Operation {
        match path {
            "/items" => Operation { name: "items", write: *method != Method::GET },
            "/me" => Operation { name: "me", write: false },
            _ => Operation { name: "unknown", write: false },
        }
    }

    fn admit(&self, request: &Parts, _: Operation) -> Result<(), Response> {
        match request
            .headers
            .get(AUTHORIZATION)
            .is_some_and(|header| header == "Bearer conformance-secret")
        {
            true => Ok(()),
            false => Err(refused(401, "who are you?")),
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        let mut answer = refused(refusal.status, refusal.message.as_deref().unwrap_or("no"));
        if let Some(wait_ms) = refusal.wait_ms {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait_ms.div_ceil(1000)));
        }
        answer
    }

    fn stamp(&self, _: Operation, _: &[Level], _: &mut HeaderMap) {}
}

impl Records for Table {
    fn page(&self, object: &str, query: &RecordQuery) -> Option<(Vec<String>, u64)> {
        let rows = self.rows();
        let from = usize::try_from(query.from).ok()?;
        let page: Vec<String> = rows
            .values()
            .skip(from)
            .take(1_000)
            .map(|row| Value::Object(row.clone()).to_string())
            .collect();
        let next = query.from + page.len() as u64;
        (object == "items").then_some((page, next))
    }

    fn stats(&self) -> Value {
        json!({ "items": self.rows().len() })
    }

    fn reset(&self) {
        self.rows().clear();
    }
}
