//! What an error of the driver or the server means: one place that turns SQLSTATEs into documented codes.
//!
//! Messages never hold row values: the server's own text is quoted only where it speaks about names.

use std::error::Error as _;

use flow::{Code, Error, Retry};
use tokio_postgres::error::{DbError, ErrorPosition};

use crate::codes;

/// A wrong option of the connection `name`; `why` holds no secret.
pub(super) fn options_error(name: &str, why: &str) -> Error {
    Error::new(&codes::E1001_OPTIONS, format!("connection `{name}`: {why}"))
}

/// What a failed call to the server means, while `doing` ("reading table t").
pub(super) fn classify(error: &tokio_postgres::Error, doing: &str) -> Error {
    if let Some(db) = error.as_db_error() {
        return server_error(db, doing);
    }
    if !error.is_closed()
        && !error.source().is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
    {
        let message = format!("while {doing}: {}", causes(error));
        return Error::new(&codes::E1024_PROTOCOL, message);
    }
    let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    Error::new(&codes::E1005_CUT, format!("the connection was lost while {doing}: {cause}"))
        .with_retry(Retry::Backoff)
}

/// What a failed connection attempt to `place` (host and port) means.
pub(super) fn classify_connect(error: &tokio_postgres::Error, place: &str) -> Error {
    if let Some(db) = error.as_db_error() {
        return match db.code().code() {
            // During the login these say that the login is wrong.
            "28000" | "28P01" | "3D000" | "42501" => {
                Error::new(&codes::E1003_CREDENTIALS, format!("{place}: {}", names_only(db)))
            }
            _ => server_error(db, &format!("connecting to {place}")),
        };
    }
    let causes = causes(error);
    let text = error.to_string();
    if text.contains("TLS handshake") || causes.contains("certificate") {
        let why = tls_reason(&causes);
        return Error::new(&codes::E1004_TLS, format!("{place}: {why}"));
    }
    if text.contains("authentication error") || text.contains("invalid configuration") {
        return Error::new(&codes::E1003_CREDENTIALS, format!("{place}: {causes}"));
    }
    Error::new(&codes::E1002_UNREACHABLE, format!("{place}: {causes}")).with_retry(Retry::Backoff)
}

/// The driver's own text and that of everything below it.
fn causes(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

fn tls_reason(causes: &str) -> String {
    let why = match causes {
        text if text.contains("not valid for name") => "the certificate is for another host",
        text if text.contains("UnknownIssuer") || text.contains("BadSignature") => {
            "the certificate's issuer is not trusted here"
        }
        text if text.contains("expired") => "the certificate has expired",
        text if text.contains("does not support TLS") => "the server offers no TLS",
        _ => return causes.to_owned(),
    };
    format!("{why} ({causes})")
}

fn server_error(db: &DbError, doing: &str) -> Error {
    let state = db.code().code();
    // Redshift says in the detail what it means.
    let (code, retry) =
        code_of(state, &format!("{} {}", db.message(), db.detail().unwrap_or_default()));
    let place = position(db);
    let said = if says_names_only(state) { names_only(db) } else { without_values(db.message()) };
    Error::new(code, format!("while {doing}: {said}{place} (SQLSTATE {state})")).with_retry(retry)
}

/// SQLSTATE to code and retry. The class of two characters decides where no exact state is listed.
fn code_of(state: &str, message: &str) -> (&'static Code, Retry) {
    let (code, again) = match state {
        "57014" => (&codes::E1007_STATEMENT_TIMEOUT, false),
        "55P03" => (&codes::E1008_LOCK_TIMEOUT, true),
        "57P01" | "57P02" | "57P05" | "25P03" => (&codes::E1005_CUT, true),
        "57P03" | "53300" => (&codes::E1009_BUSY, true),
        "40001" | "40P01" => (&codes::E1021_CONFLICT, true),
        "42501" => (&codes::E1012_PERMISSION, false),
        "42P01" | "3F000" | "42602" => (&codes::E1010_NO_RELATION, false),
        "42703" => (&codes::E1011_NO_COLUMN, false),
        "25006" | "25001" => (&codes::E1014_WRITES, false),
        _ if message.contains("erializable isolation violation") => (&codes::E1021_CONFLICT, true),
        "0A000" if message.contains("data-modifying") => (&codes::E1014_WRITES, false),
        _ => match state.get(..2).unwrap_or_default() {
            "08" => (&codes::E1005_CUT, true),
            "28" => (&codes::E1003_CREDENTIALS, false),
            "53" => (&codes::E1009_BUSY, true),
            "22" | "P0" => (&codes::E1022_VALUE, false),
            "42" | "0A" | "54" => (&codes::E1013_SQL, false),
            "40" => (&codes::E1021_CONFLICT, true),
            _ => (&codes::E1023_SERVER, false),
        },
    };
    (code, if again { Retry::Backoff } else { Retry::Never })
}

/// Whether messages of this SQLSTATE speak about names and SQL, never about stored values.
fn says_names_only(state: &str) -> bool {
    matches!(
        state.get(..2),
        Some("42" | "57" | "53" | "55" | "25" | "0A" | "28" | "3F" | "3D" | "54")
    )
}

fn names_only(db: &DbError) -> String {
    match db.hint() {
        Some(hint) => format!("{} ({hint})", db.message()),
        None => db.message().to_owned(),
    }
}

/// The message up to the first quote or colon, where values begin.
fn without_values(message: &str) -> String {
    let end = message.find(['"', '\'', ':', '(', '=']).unwrap_or(message.len());
    message[..end].trim().to_owned()
}

fn position(db: &DbError) -> String {
    match db.position() {
        Some(ErrorPosition::Original(at)) => format!(" at character {at}"),
        _ => String::new(),
    }
}

/// As [`classify`], for text the user wrote: says the line and column in it.
pub(super) fn classify_sql(error: &tokio_postgres::Error, doing: &str, sql: &str) -> Error {
    let classified = classify(error, doing);
    let Some(db) = error.as_db_error() else { return classified };
    let Some(ErrorPosition::Original(at)) = db.position() else { return classified };
    let (state, retry) = (db.code().code(), classified.retry());
    let (line, column) = line_and_column(sql, *at as usize);
    let message = format!(
        "while {doing}, at line {line}, column {column}: {} (SQLSTATE {state})",
        if says_names_only(state) { names_only(db) } else { without_values(db.message()) }
    );
    Error::new(classified.code(), message).with_retry(retry)
}

/// Line and column, both from 1, of the character with this number, from 1.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before: String = text.chars().take(at.saturating_sub(1)).collect();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_become_codes_and_retries() {
        for (state, id, retry) in [
            ("57014", "E1007", Retry::Never),
            ("55P03", "E1008", Retry::Backoff),
            ("40001", "E1021", Retry::Backoff),
            ("53300", "E1009", Retry::Backoff),
            ("53200", "E1009", Retry::Backoff),
            ("57P03", "E1009", Retry::Backoff),
            ("57P01", "E1005", Retry::Backoff),
            ("08006", "E1005", Retry::Backoff),
            ("42501", "E1012", Retry::Never),
            ("42P01", "E1010", Retry::Never),
            ("42703", "E1011", Retry::Never),
            ("28P01", "E1003", Retry::Never),
            ("22021", "E1022", Retry::Never),
            ("22012", "E1022", Retry::Never),
            ("25006", "E1014", Retry::Never),
            ("42601", "E1013", Retry::Never),
            ("XX000", "E1023", Retry::Never),
        ] {
            let (code, again) = code_of(state, "");
            assert_eq!((code.id, again), (id, retry), "{state}");
        }
        let redshift = code_of("XX000", "1023 Serializable isolation violation on table - 1");
        assert_eq!((redshift.0.id, redshift.1), ("E1021", Retry::Backoff));
    }

    #[test]
    fn values_are_cut_off_and_places_are_counted() {
        let text = "invalid input syntax for type integer: \"ada@x.io\"";
        assert_eq!(without_values(text), "invalid input syntax for type integer");
        assert_eq!(line_and_column("SELECT a,\n  b\nFROM t", 13), (2, 3));
    }
}
