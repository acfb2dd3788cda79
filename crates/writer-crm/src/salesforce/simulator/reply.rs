//! Answers: JSON, and errors as the list Salesforce makes of them.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// An answer, or a refusal of the whole call.
pub(super) type Answer = Result<Response, Problem>;

/// A refusal of a whole call.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
}

impl Problem {
    pub(super) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into() }
    }

    pub(super) fn bad(code: &str, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }

    pub(super) fn not_found() -> Self {
        Self::new(404, "NOT_FOUND", "The requested resource does not exist")
    }

    pub(super) fn method() -> Self {
        Self::new(405, "METHOD_NOT_ALLOWED", "HTTP Method not allowed. Check the allowed methods.")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!([{ "message": self.message, "errorCode": self.code }]);
        answer(self.status, &body)
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::bad(&fault.code, fault.message)
    }
}

/// What is wrong with one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) fields: Vec<String>,
}

impl Fault {
    pub(super) fn new(code: &str, message: impl Into<String>, fields: &[&str]) -> Self {
        let fields = fields.iter().map(|field| (*field).to_owned()).collect();
        Self { code: code.to_owned(), message: message.into(), fields }
    }

    pub(super) fn json(&self) -> Value {
        json!({ "statusCode": self.code, "message": self.message, "fields": self.fields })
    }

    /// As the result of a job writes it.
    pub(super) fn job_text(&self) -> String {
        format!("{}:{}:{} --", self.code, self.message, self.fields.join(","))
    }
}

pub(super) fn answer(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(body)).into_response()
}

pub(super) fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// `2026-01-05T10:00:02.000+0000`.
pub(super) fn moment(unix_ms: i64) -> String {
    let at = chrono::DateTime::from_timestamp_millis(unix_ms).unwrap_or_default();
    at.format("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string()
}
