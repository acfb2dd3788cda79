//! What SQLite and the operating system say, as errors of ours.

use std::io;

use flow::{Code, Error, Retry};
use rusqlite::ErrorCode;

use crate::codes;

/// The error of one of our statements. `doing` completes "while ...".
pub(crate) fn of_sqlite(doing: &str, error: rusqlite::Error) -> Error {
    let code = code_of(&error);
    // Our statements are constant and their values are bound, so SQLite's text holds no row value.
    let failed =
        Error::new(code, format!("{} while {doing}: {error}.", plain(code))).with_source(error);
    if code == &codes::E3015_BUSY { failed.with_retry(Retry::Backoff) } else { failed }
}

/// The error of a file operation. `doing` completes "while ...".
pub(crate) fn of_io(doing: &str, error: io::Error) -> Error {
    let code = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => &codes::E3013_DISK_FULL,
        _ => &codes::E3001_DIRECTORY,
    };
    Error::new(code, format!("{} while {doing}: {error}.", plain(code))).with_source(error)
}

/// A title without its full stop, to begin a longer sentence.
fn plain(code: &'static Code) -> &'static str {
    code.title.trim_end_matches('.')
}

fn code_of(error: &rusqlite::Error) -> &'static Code {
    match error {
        // Our own tables never hold another type than the one we ask for.
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..) => return &codes::E3004_DAMAGED,
        _ => {}
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => &codes::E3004_DAMAGED,
        Some(ErrorCode::DiskFull) => &codes::E3013_DISK_FULL,
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::CannotOpen
            | ErrorCode::FileLockingProtocolFailed,
        ) => &codes::E3014_DISK,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => &codes::E3015_BUSY,
        _ => &codes::E3099_UNEXPECTED,
    }
}

/// Says what a statement was for, so that its error can.
pub(crate) trait While<T> {
    /// Turns SQLite's error into ours. `doing` completes "while ...".
    fn during(self, doing: &str) -> flow::Result<T>;
}

impl<T> While<T> for rusqlite::Result<T> {
    fn during(self, doing: &str) -> flow::Result<T> {
        self.map_err(|error| of_sqlite(doing, error))
    }
}

impl<T> While<T> for io::Result<T> {
    fn during(self, doing: &str) -> flow::Result<T> {
        self.map_err(|error| of_io(doing, error))
    }
}
