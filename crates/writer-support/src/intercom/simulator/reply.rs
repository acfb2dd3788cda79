//! Answers in Intercom's shapes: error lists with a request id, records, and lists with cursors.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

/// A body of JSON as Intercom labels it.
pub(super) fn answer(status: u16, body: &Value) -> Response {
    let mut answer = Response::new(body.to_string().into());
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}

/// A refusal.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) field: Option<String>,
}

impl Problem {
    pub(super) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), field: None }
    }

    pub(super) fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), ..Self::new(400, "parameter_invalid", message) }
    }

    pub(super) fn not_found(what: &str) -> Self {
        let code = if what == "Company" { "company_not_found" } else { "not_found" };
        Self::new(404, code, format!("{what} Not Found"))
    }

    pub(super) fn answer(&self) -> Response {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(field) = &self.field {
            error["field"] = json!(field);
        }
        let body = json!({
            "type": "error.list",
            "request_id": format!("00000000-0000-4000-8000-{number:012x}"),
            "errors": [error],
        });
        answer(self.status, &body)
    }
}
