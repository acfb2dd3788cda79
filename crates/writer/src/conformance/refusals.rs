//! Answers made by hand, and the table every destination has of those that say no: what was answered, and what the
//! engine is told.

use std::time::Duration;

use bytes::Bytes;
use flow::{Error, Kind, Retry};
use reqwest::header::{HeaderName, HeaderValue};

use crate::Reply;

/// A body's words that a message must not repeat.
const PRIVATE: &str = "secret row value";

/// Again never.
pub const NEVER: Retry = Retry::Never;
/// Again after a pause of our own.
pub const BACKOFF: Retry = Retry::Backoff;

/// Again after what was asked for.
pub const fn after(seconds: u64) -> Retry {
    Retry::After(Duration::from_secs(seconds))
}

/// Status, headers, body; then code, kind, retry, whether the call may have been applied, and a part of the message.
pub type Case<B = &'static str> = (
    u16,
    &'static [(&'static str, &'static str)],
    B,
    (&'static str, Kind, Retry, bool, &'static str),
);

/// A whole answer.
///
/// # Panics
/// When a header cannot be one.
pub fn reply(status: u16, headers: &[(&'static str, &str)], body: impl AsRef<[u8]>) -> Reply {
    let headers = headers.iter().map(|(name, value)| {
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("a value");
        (HeaderName::from_static(name), value)
    });
    Reply {
        status,
        headers: headers.collect(),
        body: Bytes::copy_from_slice(body.as_ref()),
        fault: None,
    }
}

/// Checks what `judged` makes of each answer.
///
/// # Panics
/// When it is something else, tells nothing to do, or repeats what is private.
#[track_caller]
pub fn check<B: AsRef<str>>(judged: impl Fn(&Reply) -> Error, cases: &[Case<B>]) {
    for (status, headers, body, (code, kind, retry, ambiguous, part)) in cases {
        let body = body.as_ref();
        let error = judged(&reply(*status, headers, body));
        let found = (error.code().id, error.kind(), error.retry(), error.is_ambiguous());
        assert_eq!(found, (*code, *kind, *retry, *ambiguous), "{status} {headers:?} {body}");
        assert!(error.message().contains(part), "{status} {body}: {error}");
        assert!(!error.message().contains(PRIVATE), "{error}");
        assert!(!error.remedy().is_empty(), "{error}");
    }
}
