//! The simulator's own routes below `/_sim`; they are neither counted, limited nor journalled.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use futures::stream;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::FaultRule;
use crate::front::Desk;
use crate::manners::RecordQuery;

/// The routes, relative to `/_sim`.
pub(crate) fn routes(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/health", get(|| std::future::ready(Json(json!({ "status": "ok" })))))
        .route("/journal", get(journal))
        .route("/stats", get(stats))
        .route("/records/{object}", get(records))
        .route("/faults", get(faults).post(add_faults).delete(clear_faults))
        .route("/reset", post(reset))
        .route("/advance", post(advance))
        .with_state(desk)
}

fn bad_request(message: String) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": message }))).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JournalQuery {
    #[serde(default)]
    after: u64,
    #[serde(default = "usize_max")]
    limit: usize,
}

fn usize_max() -> usize {
    usize::MAX
}

async fn journal(State(desk): State<Arc<Desk>>, Query(query): Query<JournalQuery>) -> Response {
    Json(desk.journal.entries(query.after, query.limit)).into_response()
}

async fn stats(State(desk): State<Arc<Desk>>) -> Response {
    let mut stats = serde_json::to_value(desk.journal.stats()).unwrap_or_default();
    if let Value::Object(map) = &mut stats {
        map.insert("vendor".into(), desk.records.stats());
    }
    Json(stats).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordsQuery {
    #[serde(default)]
    archived: bool,
}

/// A JSON array with one record a line, made page by page, so that its size does not matter.
async fn records(
    State(desk): State<Arc<Desk>>,
    Path(object): Path<String>,
    Query(query): Query<RecordsQuery>,
) -> Response {
    let first = RecordQuery { from: 0, archived: query.archived };
    if desk.records.page(&object, &first).is_none() {
        let error = json!({ "error": format!("no object `{object}`") });
        return (StatusCode::NOT_FOUND, Json(error)).into_response();
    }
    let pages = stream::unfold(Some(first), move |state| {
        let next = state.map(|query| page(&desk, &object, query));
        std::future::ready(next)
    });
    let mut answer = Response::new(Body::from_stream(pages));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn page(desk: &Desk, object: &str, query: RecordQuery) -> (io::Result<Bytes>, Option<RecordQuery>) {
    let (lines, next) = desk.records.page(object, &query).unwrap_or_default();
    let at_start = query.from == 0;
    let mut text = String::new();
    if at_start {
        text.push('[');
    }
    for (index, line) in lines.iter().enumerate() {
        text.push_str(if at_start && index == 0 { "\n" } else { ",\n" });
        text.push_str(line);
    }
    let more = !lines.is_empty();
    if !more {
        text.push_str("\n]\n");
    }
    (Ok(text.into()), more.then_some(RecordQuery { from: next, ..query }))
}

async fn faults(State(desk): State<Arc<Desk>>) -> Response {
    let list: Vec<Value> = desk
        .script
        .rules()
        .iter()
        .map(|armed| {
            let (matched, fired) = armed.counts();
            let rule = &armed.rule;
            let action = rule.action.name();
            json!({ "rule": rule.text, "action": action, "matched": matched, "fired": fired })
        })
        .collect();
    Json(list).into_response()
}

/// One rule a line; or a JSON list of rules.
async fn add_faults(State(desk): State<Arc<Desk>>, body: String) -> Response {
    let texts: Vec<String> = match serde_json::from_str(&body) {
        Ok(texts) => texts,
        Err(_) => body.lines().map(str::trim).map(str::to_owned).collect(),
    };
    let rules: Result<Vec<FaultRule>, String> =
        texts.iter().filter(|text| !text.is_empty()).map(|text| text.parse()).collect();
    match rules {
        Ok(rules) => {
            let added = rules.len();
            desk.script.add(rules);
            Json(json!({ "added": added })).into_response()
        }
        Err(error) => bad_request(error),
    }
}

async fn clear_faults(State(desk): State<Arc<Desk>>) -> Response {
    desk.script.clear();
    Json(json!({ "status": "ok" })).into_response()
}

/// Forgets everything, or only the parts that `?only=journal,faults,limits,records` names.
async fn reset(
    State(desk): State<Arc<Desk>>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    const PARTS: [&str; 4] = ["journal", "faults", "limits", "records"];
    let only = query.get("only").map_or(PARTS.join(","), Clone::clone);
    let parts: Vec<&str> = only.split(',').map(str::trim).collect();
    if let Some(unknown) = parts.iter().find(|part| !PARTS.contains(part)) {
        return bad_request(format!("no part `{unknown}`; known: {}", PARTS.join(", ")));
    }
    for part in parts {
        match part {
            "journal" => desk.journal.reset(),
            "faults" => desk.script.clear(),
            "limits" => desk.windows.lock().unwrap_or_else(PoisonError::into_inner).reset(),
            _ => desk.records.reset(),
        }
    }
    Json(json!({ "status": "ok" })).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdvanceQuery {
    seconds: f64,
}

async fn advance(State(desk): State<Arc<Desk>>, Query(query): Query<AdvanceQuery>) -> Response {
    match Duration::try_from_secs_f64(query.seconds) {
        Ok(time) => {
            desk.clock.advance(time);
            Json(json!({ "unix_ms": desk.clock.now().unix_ms })).into_response()
        }
        Err(_) => bad_request("time goes forward only".into()),
    }
}
