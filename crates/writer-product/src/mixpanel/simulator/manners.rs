//! How Mixpanel says no before it looks at the data.

use std::sync::Arc;

use axum::Json;
use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use simulator::{Level, Manners, Operation, Refusal};

use super::body::base64_decoded;
use super::project::Project;

pub(super) struct House(pub(super) Arc<Project>);

impl Manners for House {
    fn operation(&self, method: &Method, path: &str) -> Operation {
        let write = |name| Operation { name, write: true };
        match (method.as_str(), path) {
            ("POST" | "GET", "/engage") => write("engage"),
            ("POST" | "GET", "/groups") => write("groups"),
            ("POST", "/import") => write("import"),
            ("GET", path) if path.ends_with("/schemas") => {
                Operation { name: "schemas", write: false }
            }
            _ => Operation { name: "unknown", write: false },
        }
    }

    fn admit(&self, request: &Parts, operation: Operation) -> Result<(), Response> {
        // Profiles are written under the token in the data; nobody is asked who he is.
        if !matches!(operation.name, "import" | "schemas") {
            return Ok(());
        }
        let header = request.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let pair = header
            .and_then(|text| text.strip_prefix("Basic "))
            .and_then(base64_decoded)
            .and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = pair.as_deref().and_then(|pair| pair.split_once(':'));
        let (user, secret) = pair.unwrap_or_default();
        // A project secret comes as the user, without a password.
        let known = match (&self.0.options.secret, secret) {
            (_, _) if user.is_empty() => false,
            (None, _) => true,
            (Some(only), "") => only == user,
            (Some(only), secret) => only == secret,
        };
        if known {
            return Ok(());
        }
        Err(self.refuse(&Refusal { status: 401, ..Refusal::default() }))
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
        let words = refusal.message.clone().unwrap_or_else(|| match refusal.status {
            401 => "Invalid credentials".to_owned(),
            413 => "request exceeds max limit of 10485760 bytes".to_owned(),
            429 => {
                "project exceeded rate limits, please retry the request with exponential backoff"
                    .to_owned()
            }
            _ => status.canonical_reason().unwrap_or("error").to_owned(),
        });
        let body =
            json!({ "code": refusal.status, "error": words, "status": status.canonical_reason() });
        let mut answer = (status, Json(body)).into_response();
        if let Some(wait_ms) = refusal.wait_ms {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait_ms.div_ceil(1000)));
        }
        answer
    }

    fn stamp(&self, _: Operation, _: &[Level], _: &mut HeaderMap) {}
}
