//! What the server says, as errors of ours. Its texts are shown only where they can hold no key.

use flow::{Code, Error, Retry};
use tokio_postgres::error::SqlState;

use crate::codes;

/// The error of one of our statements. `doing` completes "while ...".
pub(super) fn of_postgres(doing: &str, error: tokio_postgres::Error) -> Error {
    let code = code_of(&error);
    let plain = code.title.trim_end_matches('.');
    // The message names tables and settings of ours; the detail may hold a key, and is left out.
    let said = match error.as_db_error() {
        Some(said) => format!(": {} ({})", said.message(), said.code().code()),
        None => cause(&error).map(|cause| format!(": {cause}")).unwrap_or_default(),
    };
    let failed = Error::new(code, format!("{plain} while {doing}{said}."));
    let passes = [&codes::E3040_UNREACHABLE, &codes::E3046_BUSY, &codes::E3047_LOST];
    if passes.contains(&code) { failed.with_retry(Retry::Backoff) } else { failed }
}

/// The error of connecting to `place`.
pub(super) fn of_connecting(place: &str, error: &tokio_postgres::Error) -> Error {
    let code = match error.as_db_error() {
        Some(_) => match code_of(error) {
            code if code == &codes::E3047_LOST => &codes::E3040_UNREACHABLE,
            code => code,
        },
        None => match cause(error) {
            Some(cause) if is_tls(&cause) => &codes::E3042_TLS,
            _ => &codes::E3040_UNREACHABLE,
        },
    };
    let plain = code.title.trim_end_matches('.');
    let said = match error.as_db_error() {
        Some(said) => format!(": {} ({})", said.message(), said.code().code()),
        None => cause(error).map(|cause| format!(": {cause}")).unwrap_or_default(),
    };
    Error::new(code, format!("{plain}: {place}{said}."))
}

fn is_tls(cause: &str) -> bool {
    ["certificate", "TLS", "tls", "handshake"].iter().any(|word| cause.contains(word))
}

/// The innermost reason, which says most.
fn cause(error: &tokio_postgres::Error) -> Option<String> {
    let mut inner = std::error::Error::source(error)?;
    while let Some(deeper) = inner.source() {
        inner = deeper;
    }
    Some(inner.to_string().trim_end_matches('.').to_owned())
}

fn code_of(error: &tokio_postgres::Error) -> &'static Code {
    let Some(state) = error.code() else {
        return match error.is_closed() || std::error::Error::source(error).is_some() {
            true => &codes::E3047_LOST,
            false => &codes::E3048_UNEXPECTED,
        };
    };
    match *state {
        SqlState::DISK_FULL | SqlState::OUT_OF_MEMORY => &codes::E3049_FULL,
        SqlState::INSUFFICIENT_PRIVILEGE | SqlState::READ_ONLY_SQL_TRANSACTION => {
            &codes::E3043_PERMISSION
        }
        SqlState::INVALID_PASSWORD
        | SqlState::INVALID_AUTHORIZATION_SPECIFICATION
        | SqlState::INVALID_CATALOG_NAME => &codes::E3041_LOGIN,
        SqlState::LOCK_NOT_AVAILABLE
        | SqlState::T_R_DEADLOCK_DETECTED
        | SqlState::T_R_SERIALIZATION_FAILURE
        | SqlState::QUERY_CANCELED => &codes::E3046_BUSY,
        SqlState::ADMIN_SHUTDOWN
        | SqlState::CRASH_SHUTDOWN
        | SqlState::CANNOT_CONNECT_NOW
        | SqlState::TOO_MANY_CONNECTIONS
        | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => &codes::E3047_LOST,
        SqlState::UNDEFINED_TABLE | SqlState::UNDEFINED_COLUMN => &codes::E3044_NOT_STATE,
        SqlState::DATA_CORRUPTED | SqlState::INDEX_CORRUPTED => &codes::E3007_CHECKSUM,
        _ => &codes::E3048_UNEXPECTED,
    }
}

/// Says what a statement was for, so that its error can.
pub(super) trait During<T> {
    /// Turns the driver's error into ours. `doing` completes "while ...".
    fn during(self, doing: &str) -> flow::Result<T>;
}

impl<T> During<T> for Result<T, tokio_postgres::Error> {
    fn during(self, doing: &str) -> flow::Result<T> {
        self.map_err(|error| of_postgres(doing, error))
    }
}
