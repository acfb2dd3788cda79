//! How Intercom says no: credentials, rate limits and broken servers, with its headers.

use std::sync::Arc;

use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::response::Response;
use simulator::{Level, Manners, Operation, Refusal};

use super::reply::Problem;
use super::workspace::Workspace;

/// The manners of one workspace.
#[derive(Debug, Clone)]
pub(super) struct Intercom(pub(super) Arc<Workspace>);

const fn read(name: &'static str) -> Operation {
    Operation { name, write: false }
}

const fn write(name: &'static str) -> Operation {
    Operation { name, write: true }
}

impl Manners for Intercom {
    fn operation(&self, method: &Method, path: &str) -> Operation {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        match (method.as_str(), parts.as_slice()) {
            ("POST", ["contacts", "search"]) => read("search"),
            ("POST", ["contacts"]) => write("create"),
            ("PUT", ["contacts", _]) => write("update"),
            ("DELETE", [_, _]) => write("delete"),
            ("POST", ["contacts", _, "archive"]) => write("archive"),
            ("POST", ["contacts", _, "unarchive"]) => write("unarchive"),
            ("POST", ["contacts", _, "companies" | "tags"]) | ("DELETE", ["contacts", _, _, _]) => {
                write("associate")
            }
            ("GET", ["contacts", "find_by_external_id", _]) => read("find_by_external_id"),
            ("GET", ["contacts", _]) => read("show"),
            ("GET", ["contacts"]) => read("list"),
            ("POST", ["companies"]) => write("company_upsert"),
            ("PUT", ["companies", _]) => write("company_update"),
            ("GET" | "POST", ["companies", ..]) => read("companies"),
            ("GET", ["data_attributes"]) => read("data_attributes"),
            ("POST", ["data_attributes"]) => write("data_attribute_create"),
            ("POST", ["tags"]) => write("tag_upsert"),
            ("GET", ["tags"]) => read("tags"),
            ("GET", ["me"]) => read("me"),
            _ => read("unknown"),
        }
    }

    fn admit(&self, request: &Parts, _operation: Operation) -> Result<(), Response> {
        let header = request.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|text| text.strip_prefix("Bearer ")).map(str::trim);
        let known = match (&self.0.options.token, token) {
            (_, None | Some("")) => false,
            (Some(only), Some(token)) => only == token,
            (None, Some(_)) => true,
        };
        if !known {
            return Err(self.refuse(&Refusal { status: 401, ..Refusal::default() }));
        }
        let version =
            request.headers.get("intercom-version").map(|value| value.to_str().unwrap_or(""));
        match version {
            None | Some("Unstable") => Ok(()),
            Some(version) if version.starts_with("2.") && version.len() <= 4 => Ok(()),
            Some(_) => Err(Problem::new(
                400,
                "intercom_version_invalid",
                "The requested version could not be found",
            )
            .answer()),
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        let status = refusal.status;
        let (code, message) = match status {
            401 => ("unauthorized", "Access Token Invalid"),
            403 => ("api_plan_restricted", "Active subscription needed."),
            404 => ("not_found", "Resource Not Found"),
            406 => (
                "media_type_not_acceptable",
                "The Accept header should send a media type of application/json",
            ),
            408 => ("request_timeout", "The request timed out"),
            409 => ("conflict", "Multiple requests conflict"),
            413 => ("request_too_large", "The request is too large"),
            422 => ("parameter_invalid", "The request is not valid"),
            429 => ("rate_limit_exceeded", ""),
            503 => ("service_unavailable", "Sorry, the API service is temporarily unavailable"),
            504 => ("server_timeout", "The server timed out"),
            500.. => ("server_error", "Internal server error"),
            _ => ("bad_request", "bad 'Content-Type' header value"),
        };
        let message = match status {
            429 => format!("Exceeded rate limit of {} in 10_seconds", self.0.options.calls_in_10s),
            _ => message.to_owned(),
        };
        let code = refusal.category.as_deref().unwrap_or(code);
        let mut answer =
            Problem::new(status, code, refusal.message.clone().unwrap_or(message)).answer();
        if let Some(wait_ms) = refusal.wait_ms {
            self.reset(wait_ms, answer.headers_mut());
        }
        answer
    }

    fn stamp(&self, operation: Operation, levels: &[Level], headers: &mut HeaderMap) {
        // Whoever is refused for its token is told nothing.
        if operation.name == "unknown" {
            return;
        }
        for level in levels {
            headers.insert("x-ratelimit-limit", HeaderValue::from(level.calls_max));
            headers.insert("x-ratelimit-remaining", HeaderValue::from(level.remaining));
            if !headers.contains_key("x-ratelimit-reset") {
                self.reset(10_000, headers);
            }
        }
    }
}

impl Intercom {
    /// The moment the window begins anew, in seconds since 1970.
    fn reset(&self, wait_ms: u64, headers: &mut HeaderMap) {
        let wait_ms = i64::try_from(wait_ms).unwrap_or(0);
        let at = (self.0.now_ms() + wait_ms).div_euclid(1_000) + 1;
        headers.insert("x-ratelimit-reset", HeaderValue::from(at));
    }
}
