//! The routes of Bulk API 2.0 ingest, and the double's own about jobs.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Value, json};
use simulator::{Call, RowFault};

use super::csv;
use super::job::{Done, Job, Order, State as Stage};
use super::org::Org;
use super::reply::{Answer, Fault, Problem, answer, no_content};
use super::save::finding_field;
use super::sobjects::reject;

/// Largest file: 150 MB when it is encoded as base64.
const FILE_BYTES_MAX: usize = 112_500_000;
/// Jobs of a page of the list.
const PAGE: usize = 1_000;

const DELIMITERS: [(&str, char); 6] = [
    ("COMMA", ','),
    ("TAB", '\t'),
    ("SEMICOLON", ';'),
    ("PIPE", '|'),
    ("CARET", '^'),
    ("BACKQUOTE", '`'),
];
const LINE_ENDINGS: [(&str, &str); 2] = [("LF", "\n"), ("CRLF", "\r\n")];
const OPERATIONS: [&str; 5] = ["insert", "update", "upsert", "delete", "hardDelete"];

fn invalid(message: impl Into<String>) -> Problem {
    Problem::bad("INVALIDJOB", format!("InvalidJob : {}", message.into()))
}

fn wrong_state(job: &Job, to: &str) -> Problem {
    let message = format!("Job in state {} cannot be {to}", job.state.name());
    Problem::bad("INVALIDJOBSTATE", message)
}

fn no_job() -> Problem {
    Problem::new(404, "NOT_FOUND", "The requested resource does not exist")
}

pub(super) async fn create(
    State(org): State<Arc<Org>>,
    Extension(call): Extension<Call>,
    bytes: Bytes,
) -> Answer {
    let body: Value = serde_json::from_slice(&bytes)
        .map_err(|error| Problem::bad("JSON_PARSER_ERROR", error.to_string()))?;
    let order = order(&org, &body)?;
    let now = call.arrived();
    let mut jobs = org.jobs(now);
    let job = jobs.create(order, now);
    let mut told = job.full();
    // A new job has no type, no counts and no times.
    let extras = ["jobType", "numberRecordsProcessed", "numberRecordsFailed", "retries"];
    let times = ["totalProcessingTime", "apiActiveProcessingTime", "apexProcessingTime"];
    for name in extras.iter().chain(&times) {
        told.as_object_mut().map(|told| told.shift_remove(*name));
    }
    Ok(answer(200, &told))
}

fn order(org: &Org, body: &Value) -> Result<Order, Problem> {
    const KNOWN: [&str; 7] = [
        "object",
        "operation",
        "externalIdFieldName",
        "contentType",
        "columnDelimiter",
        "lineEnding",
        "assignmentRuleId",
    ];
    let members = body.as_object().ok_or_else(|| invalid("the body is no object"))?;
    if let Some(odd) = members.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(Problem::bad("JSON_PARSER_ERROR", format!("Unrecognized field \"{odd}\"")));
    }
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let object = text("object").ok_or_else(|| invalid("object is missing"))?;
    let object =
        org.find(object).ok_or_else(|| invalid(format!("Unable to find object: {object}")))?;
    let operation = text("operation").ok_or_else(|| invalid("operation is missing"))?;
    if !OPERATIONS.contains(&operation) {
        return Err(invalid(format!("no operation {operation}")));
    }
    if text("contentType").is_some_and(|kind| kind != "CSV") {
        return Err(invalid("contentType is CSV"));
    }
    let external = match (operation, text("externalIdFieldName")) {
        ("upsert", Some(name)) => {
            finding_field(&object, name)
                .map_err(|_| invalid(format!("{name} is no external id")))?;
            Some(name.to_owned())
        }
        ("upsert", None) => return Err(invalid("External ID was blank for an upsert")),
        _ => None,
    };
    let delimiter = text("columnDelimiter").unwrap_or("COMMA");
    let delimiter = DELIMITERS.into_iter().find(|(name, _)| *name == delimiter);
    let line_ending = text("lineEnding").unwrap_or("LF");
    let line_ending = LINE_ENDINGS.into_iter().find(|(name, _)| *name == line_ending);
    Ok(Order {
        object: object.name,
        operation: operation.to_owned(),
        external,
        delimiter: delimiter.ok_or_else(|| invalid("no such columnDelimiter"))?,
        line_ending: line_ending.ok_or_else(|| invalid("no such lineEnding"))?,
    })
}

pub(super) async fn upload(
    State(org): State<Arc<Org>>,
    Path((_, id)): Path<(String, String)>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let mut jobs = org.jobs(call.arrived());
    let job = jobs.get(&id).ok_or_else(no_job)?;
    if !kind.eq_ignore_ascii_case("text/csv") {
        let message = format!("Media type '{kind}' is not supported; send text/csv");
        return Err(Problem::new(415, "UNSUPPORTED_MEDIA_TYPE", message));
    }
    if job.state != Stage::Open || job.file.is_some() {
        return Err(wrong_state(job, "uploaded to"));
    }
    if bytes.len() > FILE_BYTES_MAX {
        return Err(Problem::new(413, "REQUEST_ENTITY_TOO_LARGE", "the file is too large"));
    }
    job.file = Some(bytes);
    // What cannot be read fails the job later, when it is worked on.
    if job.read().is_ok() {
        call.set_rows(job.rows.len());
        script(job, &call);
    }
    Ok(StatusCode::CREATED.into_response())
}

/// Notes the rows the script refuses.
fn script(job: &mut Job, call: &Call) {
    if !call.has_row_faults() {
        return;
    }
    let key = job.order.external.clone().unwrap_or_else(|| "Id".to_owned());
    let place = |name: &str| job.header.iter().position(|known| known.eq_ignore_ascii_case(name));
    let mut scripted: HashMap<usize, Fault> = HashMap::new();
    for (row, cells) in job.rows.iter().enumerate() {
        let Ok(cells) = cells else { continue };
        let value = |name: &str| {
            let name = if name == "id" { key.as_str() } else { name };
            place(name).map(|place| cells[place].as_str())
        };
        if let Some(RowFault::Reject { category, message }) = call.row_fault(value) {
            scripted.insert(row, reject(category, message));
        }
    }
    job.scripted = scripted;
}

pub(super) async fn patch(
    State(org): State<Arc<Org>>,
    Path((_, id)): Path<(String, String)>,
    Extension(call): Extension<Call>,
    bytes: Bytes,
) -> Answer {
    let body: Value = serde_json::from_slice(&bytes)
        .map_err(|error| Problem::bad("JSON_PARSER_ERROR", error.to_string()))?;
    let now = call.arrived();
    let mut jobs = org.jobs(now);
    let job = jobs.get(&id).ok_or_else(no_job)?;
    match body.get("state").and_then(Value::as_str) {
        Some("UploadComplete") if job.state != Stage::Open => {
            return Err(wrong_state(job, "closed"));
        }
        Some("UploadComplete") if job.file.is_none() => {
            return Err(Problem::bad("INVALIDJOBSTATE", "no data was uploaded to the job"));
        }
        Some("UploadComplete") => jobs.close(&org, &id, now),
        Some("Aborted") if job.state.is_ended() => return Err(wrong_state(job, "aborted")),
        Some("Aborted") => {
            job.state = Stage::Aborted;
            job.done = vec![Done::Unprocessed; job.rows.len()];
            job.file = None;
        }
        _ => return Err(invalid("state is UploadComplete or Aborted")),
    }
    let job = jobs.get(&id).ok_or_else(no_job)?;
    Ok(answer(200, &job.brief()))
}

pub(super) async fn get(
    State(org): State<Arc<Org>>,
    Path((_, id)): Path<(String, String)>,
    Extension(call): Extension<Call>,
) -> Answer {
    let mut jobs = org.jobs(call.arrived());
    let job = jobs.get(&id).ok_or_else(no_job)?;
    Ok(answer(200, &job.full()))
}

pub(super) async fn delete(
    State(org): State<Arc<Org>>,
    Path((_, id)): Path<(String, String)>,
    Extension(call): Extension<Call>,
) -> Answer {
    let mut jobs = org.jobs(call.arrived());
    let job = jobs.get(&id).ok_or_else(no_job)?;
    if matches!(job.state, Stage::Open | Stage::InProgress) {
        return Err(wrong_state(job, "deleted"));
    }
    let id = job.id.clone();
    // Ids are counted by place, so the job stays and is only forgotten by name.
    if let Some(job) = jobs.all.iter_mut().find(|job| job.id == id) {
        job.id = format!("-{id}");
    }
    Ok(no_content())
}

pub(super) async fn list(
    State(org): State<Arc<Org>>,
    Query(query): Query<HashMap<String, String>>,
    Extension(call): Extension<Call>,
) -> Answer {
    let jobs = org.jobs(call.arrived());
    let from: usize = query.get("queryLocator").and_then(|text| text.parse().ok()).unwrap_or(0);
    let live: Vec<&Job> = jobs.all.iter().filter(|job| !job.id.starts_with('-')).collect();
    let shown = live.iter().skip(from).take(PAGE);
    let records: Vec<Value> = shown
        .map(|job| {
            let mut told = job.brief();
            told["jobType"] = "V2Ingest".into();
            told["contentUrl"] = job.content_url().into();
            told
        })
        .collect();
    let next = from + records.len();
    let url = (next < live.len())
        .then(|| format!("/services/data/v62.0/jobs/ingest?jobType=V2Ingest&queryLocator={next}"));
    Ok(answer(200, &json!({ "done": url.is_none(), "records": records, "nextRecordsUrl": url })))
}

pub(super) async fn results(
    State(org): State<Arc<Org>>,
    Path((_, id, which)): Path<(String, String, String)>,
    Extension(call): Extension<Call>,
) -> Answer {
    let mut jobs = org.jobs(call.arrived());
    let job = jobs.get(&id).ok_or_else(no_job)?;
    if !job.state.is_ended() {
        return Err(wrong_state(job, "asked for results"));
    }
    let file = match which.as_str() {
        "successfulResults" => File::Successful,
        "failedResults" => File::Failed,
        "unprocessedrecords" | "unprocessedRecords" => File::Unprocessed,
        _ => return Err(Problem::not_found()),
    };
    Ok(text(written(job, file, &call)))
}

#[derive(Clone, Copy, PartialEq)]
enum File {
    Successful,
    Failed,
    Unprocessed,
}

/// One result file; its rows come in no order.
fn written(job: &Job, file: File, call: &Call) -> Vec<u8> {
    let own: &[&str] = match file {
        File::Successful => &["sf__Id", "sf__Created"],
        File::Failed => &["sf__Id", "sf__Error"],
        File::Unprocessed => &[],
    };
    let header: Vec<&str> =
        own.iter().copied().chain(job.header.iter().map(String::as_str)).collect();
    let mut rows: Vec<usize> =
        (0..job.done.len()).filter(|row| file_of(&job.done[*row]) == file).collect();
    call.dice().shuffle(&mut rows);
    let shape = call.shape();
    rows.truncate(rows.len().saturating_sub(shape.drop_rows));
    rows.extend_from_within(..shape.duplicate_rows.min(rows.len()));
    let mut out = Vec::new();
    csv::push(&mut out, &header);
    for row in rows.into_iter().filter(|_| shape.empty.is_none()) {
        let nothing = vec![String::new(); job.header.len()];
        let cells = job.rows[row].as_ref().unwrap_or(&nothing);
        let error = match &job.done[row] {
            Done::Refused { fault, .. } => fault.job_text(),
            Done::Broken(why) => format!("{why}:--"),
            _ => String::new(),
        };
        let told: Vec<&str> = match &job.done[row] {
            Done::Saved { id, created } => vec![id, if *created { "true" } else { "false" }],
            Done::Refused { id, .. } => vec![id.as_deref().unwrap_or(""), &error],
            Done::Broken(_) => vec!["", &error],
            Done::Unprocessed => Vec::new(),
        };
        let cells: Vec<&str> = told.into_iter().chain(cells.iter().map(String::as_str)).collect();
        csv::push(&mut out, &cells);
    }
    out
}

fn file_of(done: &Done) -> File {
    match done {
        Done::Saved { .. } => File::Successful,
        Done::Refused { .. } | Done::Broken(_) => File::Failed,
        Done::Unprocessed => File::Unprocessed,
    }
}

fn text(bytes: Vec<u8>) -> Response {
    let mut answer = Response::new(Body::from(bytes));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/csv"));
    answer
}

/// `GET /_sim/jobs`: every job with its state and its counts.
pub(super) async fn admin_list(State(org): State<Arc<Org>>) -> Answer {
    let jobs = org.known_jobs();
    Ok(answer(200, &jobs.all.iter().map(Job::full).collect()))
}

/// `POST /_sim/jobs?take=MS&fail_after=ROWS`: how long jobs that are closed from now on take; after how many rows the
/// next one fails.
pub(super) async fn admin_set(
    State(org): State<Arc<Org>>,
    Query(query): Query<HashMap<String, u64>>,
) -> Answer {
    let mut jobs = org.known_jobs();
    if let Some(millis) = query.get("take") {
        jobs.takes_us = Some(millis.saturating_mul(1_000));
    }
    if let Some(rows) = query.get("fail_after") {
        jobs.fail_next = usize::try_from(*rows).ok();
    }
    Ok(answer(200, &json!({ "status": "ok" })))
}
