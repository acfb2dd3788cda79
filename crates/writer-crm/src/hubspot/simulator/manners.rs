//! How HubSpot says no: credentials, scopes, rate limits and broken servers, with its headers.

use std::sync::Arc;

use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use simulator::{Level, Manners, Operation, Refusal, Span};

use super::object::Object;
use super::portal::Portal;
use super::reply::Problem;

/// The manners of one account.
#[derive(Debug, Clone)]
pub(super) struct HubSpot(pub(super) Arc<Portal>);

const fn read(name: &'static str) -> Operation {
    Operation { name, write: false }
}

const fn write(name: &'static str) -> Operation {
    Operation { name, write: true }
}

/// A path cut at its slashes, without the part that names the version.
fn parts(path: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    if parts.len() > 2 && parts[0] == "crm" {
        match parts[1] {
            "v3" | "v4" => _ = parts.remove(1),
            _ if parts[2].starts_with("20") => _ = parts.remove(2),
            _ => {}
        }
    }
    parts
}

impl Manners for HubSpot {
    fn operation(&self, method: &Method, path: &str) -> Operation {
        match (method.as_str(), parts(path).as_slice()) {
            ("POST", ["crm", "objects", _, "batch", verb]) => match *verb {
                "upsert" => write("batch_upsert"),
                "create" => write("batch_create"),
                "update" => write("batch_update"),
                "archive" => write("batch_archive"),
                "read" => read("batch_read"),
                _ => read("unknown"),
            },
            ("POST", ["crm", "objects", _, "search"]) => read("search"),
            ("GET", ["crm", "objects", _]) => read("list"),
            ("POST", ["crm", "objects", _]) => write("create"),
            ("GET", ["crm", "objects", _, _]) => read("get"),
            ("PATCH", ["crm", "objects", _, _]) => write("update"),
            ("DELETE", ["crm", "objects", _, _]) => write("archive"),
            ("GET", ["crm", "properties", ..]) => read("properties"),
            ("POST", ["crm", "properties", ..]) => write("property_create"),
            ("GET", ["crm", "associations", ..] | ["crm", "objects", _, _, "associations", ..])
            | ("POST", ["crm", "associations", _, _, "batch", "read"]) => read("associations"),
            ("POST", ["crm", "associations", _, _, "batch", "archive" | "labels", ..])
            | ("DELETE", ["crm", "objects", _, _, "associations", ..]) => {
                write("association_archive")
            }
            ("POST", ["crm", "associations", _, _, "labels"]) => write("label_create"),
            ("GET", ["crm-object-schemas", ..]) => read("schemas"),
            ("POST", ["crm", "associations", ..])
            | ("PUT", ["crm", "objects", _, _, "associations", ..]) => write("association_create"),
            ("GET", ["account-info", ..]) => read("account"),
            _ => read("unknown"),
        }
    }

    fn admit(&self, request: &Parts, operation: Operation) -> Result<(), Response> {
        let header = request.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|text| text.strip_prefix("Bearer ")).map(str::trim);
        let options = &self.0.options;
        let known = match (&options.token, token) {
            (_, None | Some("")) => false,
            (Some(only), Some(token)) => only == token,
            (None, Some(_)) => true,
        };
        if !known {
            return Err(self.refuse(&Refusal { status: 401, ..Refusal::default() }));
        }
        let Some(scopes) = &options.scopes else { return Ok(()) };
        match scope(request.uri.path(), operation, &self.0.objects) {
            Some(scope) if !scopes.contains(&scope) => Err(missing_scope(&scope)),
            _ => Ok(()),
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        let status = refusal.status;
        let (category, message) = words(status);
        let mut problem = Problem::new(status, category, message);
        if status == 429 {
            let policy = refusal.policy.as_deref().unwrap_or("TEN_SECONDLY_ROLLING");
            problem.message = format!("You have reached your {} limit.", policy.to_lowercase());
            problem = problem.with(json!({ "errorType": "RATE_LIMIT", "policyName": policy }));
        }
        if let Some(message) = &refusal.message {
            problem.message.clone_from(message);
        }
        if let Some(category) = &refusal.category {
            problem.category.clone_from(category);
        }
        let mut answer = problem.into_response();
        if let Some(wait_ms) = refusal.wait_ms.filter(|_| self.0.options.retry_after) {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait_ms.div_ceil(1_000)));
        }
        answer
    }

    fn stamp(&self, operation: Operation, levels: &[Level], headers: &mut HeaderMap) {
        if operation.name == "search" {
            return;
        }
        let mut set = |name: &'static str, value: u64| {
            headers.insert(name, HeaderValue::from(value));
        };
        for level in levels {
            match level.span {
                Span::Day => {
                    set("x-hubspot-ratelimit-daily", level.calls_max);
                    set("x-hubspot-ratelimit-daily-remaining", level.remaining);
                }
                Span::Rolling(length) => {
                    let interval = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
                    let secondly = level.calls_max / 10;
                    set("x-hubspot-ratelimit-interval-milliseconds", interval);
                    set("x-hubspot-ratelimit-max", level.calls_max);
                    set("x-hubspot-ratelimit-remaining", level.remaining);
                    set("x-hubspot-ratelimit-secondly", secondly);
                    set("x-hubspot-ratelimit-secondly-remaining", level.remaining.min(secondly));
                }
            }
        }
    }
}

fn words(status: u16) -> (&'static str, &'static str) {
    match status {
        400 => ("VALIDATION_ERROR", "Invalid input"),
        401 => (
            "INVALID_AUTHENTICATION",
            "Authentication credentials not found. This API supports OAuth 2.0 authentication and \
             you can find more details at \
             https://developers.hubspot.com/docs/methods/auth/oauth-overview",
        ),
        403 => ("MISSING_SCOPES", "This app hasn't been granted all required scopes."),
        404 => ("OBJECT_NOT_FOUND", "resource not found"),
        405 => ("METHOD_NOT_ALLOWED", "HTTP 405 Method Not Allowed"),
        409 => ("CONFLICT", "The request conflicts with another one"),
        413 => ("REQUEST_TOO_LARGE", "HTTP 413 Request Entity Too Large"),
        414 => ("IDENTITY_LIMIT", "Cannot have more than 250 identities on a profile"),
        423 => ("LOCKED", "The resource is locked; wait at least 2 seconds"),
        429 => ("RATE_LIMITS", ""),
        477 => ("MIGRATION_IN_PROGRESS", "The account is being moved; try again later"),
        502..=504 | 521..=524 => ("GATEWAY_ERROR", "The service did not answer in time"),
        500.. => ("INTERNAL_ERROR", "internal error"),
        _ => ("ERROR", "The request was refused"),
    }
}

/// The scope an operation needs; none where the double does not know one.
fn scope(path: &str, operation: Operation, all: &[Object]) -> Option<String> {
    match parts(path).as_slice() {
        ["crm", "objects", name, ..] => Some(Object::parse(name, all)?.scope(operation.write)),
        ["crm", "properties", name, ..] => {
            let verb = if operation.write { "write" } else { "read" };
            match Object::parse(name, all)? {
                Object::Custom(_) => Some(format!("crm.schemas.custom.{verb}")),
                Object::Tickets => Some("tickets".to_owned()),
                object => Some(format!("crm.schemas.{}.{verb}", object.name())),
            }
        }
        ["crm", "associations", from, ..] => Some(Object::parse(from, all)?.scope(operation.write)),
        ["crm-object-schemas", ..] => Some("crm.schemas.custom.read".to_owned()),
        _ => None,
    }
}

fn missing_scope(scope: &str) -> Response {
    let message = "This app hasn't been granted all required scopes to make this call. Read more \
                   about required scopes here: https://developers.hubspot.com/scopes.";
    let more = json!({
        "errors": [{
            "message": "One or more of the following scopes are required.",
            "context": { "requiredGranularScopes": [scope] },
        }],
        "links": { "scopes": "https://developers.hubspot.com/scopes" },
    });
    Problem::new(403, "MISSING_SCOPES", message).with(more).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_do_not_change_what_a_path_means() {
        for path in
            ["/crm/v3/objects/contacts/batch/upsert", "/crm/objects/2026-03/contacts/batch/upsert"]
        {
            assert_eq!(parts(path), ["crm", "objects", "contacts", "batch", "upsert"]);
        }
        let dated = parts("/crm/associations/2026-03/deals/contacts/labels");
        assert_eq!(dated, ["crm", "associations", "deals", "contacts", "labels"]);
    }
}
