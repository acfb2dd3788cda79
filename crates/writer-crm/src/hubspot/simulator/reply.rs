//! Answers in HubSpot's shapes: errors with a correlation id, records, and lists of both.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// An answer that says no to the whole call.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub(super) status: u16,
    pub(super) category: String,
    pub(super) message: String,
    /// Further members of the body, such as `context` and `errors`.
    pub(super) more: Option<Box<Value>>,
}

impl Problem {
    pub(super) fn new(status: u16, category: &str, message: impl Into<String>) -> Self {
        let category = category.to_owned();
        Self { status, category, message: message.into(), more: None }
    }

    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "VALIDATION_ERROR", message)
    }

    pub(super) fn not_found() -> Self {
        Self::new(404, "OBJECT_NOT_FOUND", "resource not found")
    }

    pub(super) fn with(mut self, more: Value) -> Self {
        self.more = Some(Box::new(more));
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "status": "error",
            "message": self.message,
            "correlationId": correlation_id(),
            "category": self.category,
        });
        if let (Value::Object(body), Some(Value::Object(more))) =
            (&mut body, self.more.map(|more| *more))
        {
            body.extend(more);
        }
        json_response(self.status, body.to_string().into_bytes())
    }
}

/// The answer of a handler.
pub(super) type Answer = Result<Response, Problem>;

/// A body of JSON as HubSpot labels it.
pub(super) fn json_response(status: u16, body: Vec<u8>) -> Response {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let json = HeaderValue::from_static("application/json;charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}

/// An answer without a body.
pub(super) fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// A new id in the form of a UUID; unique within the process.
pub(super) fn correlation_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let (high, low) = (mixed >> 32, mixed & 0xFFFF_FFFF);
    let (first, second) = (low >> 16, high & 0xFFF);
    format!("{high:08x}-{first:04x}-4{second:03x}-8{second:03x}-{number:012x}")
}

/// Appends text as a JSON string.
pub(super) fn push_text(out: &mut Vec<u8>, text: &str) {
    // Writing to memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

/// Appends `"name":"value",`; an absent value is null.
pub(super) fn push_pair(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    push_text(out, name);
    out.push(b':');
    match value {
        Some(value) => push_text(out, value),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b',');
}

/// Takes back the comma after the last member.
pub(super) fn drop_comma(out: &mut Vec<u8>) {
    if out.last() == Some(&b',') {
        out.pop();
    }
}

/// The frame around the results of a batch call.
pub(super) struct Frame<'a> {
    pub(super) status: u16,
    pub(super) started: &'a str,
    pub(super) completed: &'a str,
    pub(super) errors: Option<&'a [Value]>,
}

/// Finishes a batch answer whose results, each followed by a comma, are in `out` already.
pub(super) fn close_batch(mut out: Vec<u8>, frame: &Frame<'_>) -> Response {
    drop_comma(&mut out);
    let _ = write!(out, r#"],"startedAt":"{}","completedAt":"{}""#, frame.started, frame.completed);
    if let Some(errors) = frame.errors {
        let _ = write!(out, r#","numErrors":{},"errors":"#, errors.len());
        let _ = serde_json::to_writer(&mut out, errors);
    }
    out.push(b'}');
    json_response(frame.status, out)
}

/// The beginning of a batch answer.
pub(super) fn open_batch(results: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(128 + results * 400);
    out.extend_from_slice(br#"{"status":"COMPLETE","results":["#);
    out
}

/// One entry of the `errors` of a 207.
pub(super) fn row_error(category: &str, message: &str, context: Value) -> Value {
    json!({
        "status": "error",
        "category": category,
        "message": message,
        "context": context,
        "errors": [],
        "links": {},
    })
}
