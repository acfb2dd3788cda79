//! How Zendesk says no: credentials, rate limits and broken servers, with its headers.

use std::sync::Arc;

use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::response::Response;
use serde_json::{Value, json};
use simulator::{Level, Manners, Operation, Refusal};

use super::account::Account;
use super::reply::answer;

/// The manners of one account.
#[derive(Debug, Clone)]
pub(super) struct Zendesk(pub(super) Arc<Account>);

const fn read(name: &'static str) -> Operation {
    Operation { name, write: false }
}

const fn write(name: &'static str) -> Operation {
    Operation { name, write: true }
}

/// A path cut at its slashes, without `/api/v2` and `.json`.
pub(super) fn parts(path: &str) -> Vec<&str> {
    let path = path.strip_suffix(".json").unwrap_or(path);
    let path = path.strip_prefix("/api/v2/").unwrap_or("");
    path.split('/').filter(|part| !part.is_empty()).collect()
}

impl Manners for Zendesk {
    fn operation(&self, method: &Method, path: &str) -> Operation {
        match (method.as_str(), parts(path).as_slice()) {
            ("POST", [_, "create_or_update_many"]) => write("create_or_update_many"),
            ("POST", [_, "create_many"]) => write("create_many"),
            ("PUT", [_, "update_many"]) => write("update_many"),
            ("DELETE", [_, "destroy_many"]) => write("destroy_many"),
            ("POST", [_, "create_or_update"]) => write("create_or_update"),
            ("POST", ["custom_objects", _, "jobs"]) => write("custom_object_job"),
            ("GET", ["job_statuses", ..]) => read("job_statuses"),
            (
                "GET",
                ["user_fields" | "organization_fields" | "ticket_fields"]
                | ["custom_objects", _, "fields"],
            ) => read("fields"),
            ("GET", [_, "show_many"]) => read("show_many"),
            ("GET", [_, "search"]) => read("search"),
            ("GET", [_, _, "identities"]) => read("identities"),
            ("GET", ["users" | "organizations" | "tickets"] | ["custom_objects", _, "records"]) => {
                read("list")
            }
            ("GET", ["users" | "organizations" | "tickets", _]) => read("show"),
            ("PUT", [.., "make_primary"]) => write("make_primary"),
            ("POST", ["users" | "organizations" | "tickets"]) => write("create"),
            ("PUT", ["users" | "organizations" | "tickets", _]) => write("update"),
            (
                "DELETE",
                ["users" | "organizations" | "tickets" | "deleted_users" | "deleted_tickets", _],
            ) => write("delete"),
            _ => read("unknown"),
        }
    }

    fn admit(&self, request: &Parts, _operation: Operation) -> Result<(), Response> {
        let header = request.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|header| match header.split_once(' ') {
            Some(("Bearer", token)) => Some(token.trim().to_owned()),
            // `email/token:TOKEN`; a password instead of a token is refused since 2024.
            Some(("Basic", coded)) => {
                let pair = String::from_utf8(decoded(coded.trim())?).ok()?;
                let (name, token) = pair.split_once(':')?;
                name.ends_with("/token").then(|| token.to_owned())
            }
            _ => None,
        });
        let known = match (&self.0.options.token, token) {
            (_, None) => false,
            (Some(only), Some(token)) => *only == token,
            (None, Some(token)) => !token.is_empty(),
        };
        if known {
            Ok(())
        } else {
            Err(self.refuse(&Refusal { status: 401, ..Refusal::default() }))
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        let status = refusal.status;
        let body: Value = match status {
            401 => json!({ "error": "Couldn't authenticate you" }),
            403 => {
                json!({ "error": { "title": "Forbidden", "message": "You do not have access to this page. Please contact the account owner of this help desk for further help." } })
            }
            404 => json!({ "error": "RecordNotFound", "description": "Not found" }),
            409 => {
                json!({ "error": "Conflict", "description": "The record was changed by somebody else" })
            }
            413 => json!({ "error": "PayloadTooLarge", "description": "The request is too large" }),
            429 => {
                json!({ "error": "TooManyRequests", "description": "Number of allowed API requests per minute exceeded" })
            }
            503 => {
                json!({ "error": "ServiceUnavailable", "description": "Please try again in a moment" })
            }
            500.. => json!({ "error": "InternalError", "description": "Something went wrong" }),
            _ => {
                json!({ "error": "RecordInvalid", "description": "Record validation errors", "details": {} })
            }
        };
        let mut body = body;
        if let Some(category) = &refusal.category {
            body["error"] = json!(category);
        }
        if let Some(message) = &refusal.message {
            body["description"] = json!(message);
        }
        let mut answer = answer(status, &body);
        if let Some(wait_ms) = refusal.wait_ms {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait_ms.div_ceil(1_000)));
        }
        answer
    }

    fn stamp(&self, operation: Operation, levels: &[Level], headers: &mut HeaderMap) {
        let mut set = |name: &'static str, value: u64| {
            headers.insert(name, HeaderValue::from(value));
        };
        for level in levels {
            set("x-rate-limit", level.calls_max);
            set("x-rate-limit-remaining", level.remaining);
            set("ratelimit-limit", level.calls_max);
            set("ratelimit-remaining", level.remaining);
            set("ratelimit-reset", level.wait_ms.div_ceil(1_000).max(1));
        }
        if operation.name == "list" {
            let own = HeaderValue::from_static("total=100; remaining=99; resets=41");
            headers.insert("zendesk-ratelimit-tickets-index", own);
        }
    }
}

fn decoded(coded: &str) -> Option<Vec<u8>> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for digit in coded.trim_end_matches('=').bytes() {
        let value = DIGITS.iter().position(|known| *known == digit)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 255).ok()?);
        }
    }
    Some(bytes)
}
