//! How Salesforce says no: sessions, quotas and broken servers, with its header.

use std::sync::Arc;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use simulator::{Level, Manners, Operation, Refusal};

use super::org::Org;
use super::reply::Problem;

/// Longest path with its query.
const URI_BYTES_MAX: usize = 16_384;

/// The manners of one org.
#[derive(Debug, Clone)]
pub(super) struct Manner(pub(super) Arc<Org>);

const fn read(name: &'static str) -> Operation {
    Operation { name, write: false }
}

const fn write(name: &'static str) -> Operation {
    Operation { name, write: true }
}

impl Manners for Manner {
    fn operation(&self, method: &Method, path: &str) -> Operation {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match (method.as_str(), parts.as_slice()) {
            (_, ["services", "oauth2", "token"]) => read("token"),
            (_, ["services", "oauth2", "userinfo"] | ["id", ..] | ["services", "data"]) => {
                read("identity")
            }
            (method, ["services", "data", _, rest @ ..]) => resource(method, rest),
            _ => read("unknown"),
        }
    }

    fn admit(&self, request: &Parts, operation: Operation) -> Result<(), Response> {
        if operation.name == "token" {
            return Ok(());
        }
        let header = request.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header
            .and_then(|text| text.strip_prefix("Bearer ").or_else(|| text.strip_prefix("OAuth ")));
        if !token.is_some_and(|token| self.0.admits(token.trim())) {
            return Err(self.refuse(&Refusal { status: 401, ..Refusal::default() }));
        }
        let length = request.uri.path_and_query().map_or(0, |uri| uri.as_str().len());
        match length > URI_BYTES_MAX {
            true => Err(self.refuse(&Refusal { status: 414, ..Refusal::default() })),
            false => Ok(()),
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        if let Some(policy) = &refusal.policy {
            let message = format!("{policy} Limit exceeded.");
            return Problem::new(403, "REQUEST_LIMIT_EXCEEDED", message).into_response();
        }
        let (code, message) = words(refusal.status);
        let code = refusal.category.as_deref().unwrap_or(code);
        let message = refusal.message.as_deref().unwrap_or(message);
        Problem::new(refusal.status, code, message).into_response()
    }

    fn stamp(&self, operation: Operation, levels: &[Level], headers: &mut HeaderMap) {
        if operation.name == "token" {
            return;
        }
        if let Some(level) = levels.first() {
            let used = level.calls_max - level.remaining;
            let usage = format!("api-usage={used}/{}", level.calls_max);
            if let Ok(value) = HeaderValue::try_from(usage) {
                headers.insert("sforce-limit-info", value);
            }
        }
        let json = HeaderValue::from_static("application/json;charset=UTF-8");
        if headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json") {
            headers.insert(CONTENT_TYPE, json);
        }
    }
}

fn resource(method: &str, rest: &[&str]) -> Operation {
    match (method, rest) {
        ("GET", []) => read("identity"),
        ("PATCH", ["composite", "sobjects", _, _]) => write("collection_upsert"),
        ("POST", ["composite", "sobjects"]) => write("collection_create"),
        ("PATCH", ["composite", "sobjects"]) => write("collection_update"),
        ("DELETE", ["composite", "sobjects"]) => write("collection_delete"),
        (_, ["composite", "sobjects", _]) => read("collection_read"),
        ("GET", ["sobjects"] | ["sobjects", _] | ["sobjects", _, "describe"]) => read("describe"),
        ("GET", ["sobjects", ..]) => read("get"),
        ("POST", ["sobjects", _]) => write("create"),
        ("PATCH", ["sobjects", _, _]) => write("update"),
        ("PATCH", ["sobjects", _, _, _]) => write("upsert"),
        ("DELETE", ["sobjects", ..]) => write("delete"),
        ("GET", ["query", ..]) => read("query"),
        ("GET", ["limits"]) => read("limits"),
        ("POST", ["jobs", "ingest"]) => read("job_create"),
        ("GET", ["jobs", "ingest"]) => read("job_list"),
        ("PUT", ["jobs", "ingest", _, "batches"]) => write("job_upload"),
        ("PATCH", ["jobs", "ingest", _]) => read("job_state"),
        ("DELETE", ["jobs", "ingest", _]) => read("job_delete"),
        ("GET", ["jobs", "ingest", _]) => read("job_get"),
        ("GET", ["jobs", "ingest", _, _]) => read("job_results"),
        _ => read("unknown"),
    }
}

fn words(status: u16) -> (&'static str, &'static str) {
    match status {
        400 => ("JSON_PARSER_ERROR", "The request is not valid"),
        401 => ("INVALID_SESSION_ID", "Session expired or invalid"),
        403 => ("API_CURRENTLY_DISABLED", "API is disabled for this User"),
        404 => ("NOT_FOUND", "The requested resource does not exist"),
        413 => ("REQUEST_ENTITY_TOO_LARGE", "The request is too large"),
        414 => ("URI_TOO_LONG", "The length of the URI exceeds the 16,384 byte limit"),
        429 => ("TOO_MANY_REQUESTS", "Too many requests"),
        503 => ("SERVER_UNAVAILABLE", "Server is currently unavailable, please try again later"),
        _ => ("UNKNOWN_EXCEPTION", "An unexpected error occurred. Please include this ErrorId"),
    }
}
