//! What a driver's error means.

use adbc_core::error::Status;
use flow::{Code, Error, Retry};

use crate::codes;

/// Characters of a driver's words that are shown.
const CHARS_MAX: usize = 300;

/// An error of a call that has seen no row: its words can be shown.
pub(super) fn described(
    error: &adbc_core::error::Error,
    code: &'static Code,
    doing: &str,
) -> Error {
    let line = error.message.split_whitespace().collect::<Vec<_>>().join(" ");
    let words: String = line.chars().take(CHARS_MAX).collect();
    let (code, retry) = kind(error.status, code);
    Error::new(code, format!("while {doing}: {words}")).with_retry(retry)
}

/// An error of a call that may have seen rows: its words may hold a value, and are not shown (X1).
pub(super) fn unspoken(error: &adbc_core::error::Error, doing: &str) -> Error {
    let (code, retry) = kind(error.status, &codes::E1121_DRIVER);
    let state: String = error
        .sqlstate
        .iter()
        .filter_map(|byte| u8::try_from(*byte).ok())
        .filter(u8::is_ascii_alphanumeric)
        .map(char::from)
        .collect();
    let message = format!("while {doing}: {:?}, SQLSTATE {state}", error.status);
    Error::new(code, message).with_retry(retry)
}

fn kind(status: Status, otherwise: &'static Code) -> (&'static Code, Retry) {
    match status {
        Status::Unauthenticated | Status::Unauthorized => (&codes::E1122_REFUSED, Retry::Never),
        Status::IO | Status::Timeout => (&codes::E1123_UNREACHABLE, Retry::Backoff),
        _ => (otherwise, Retry::Never),
    }
}
