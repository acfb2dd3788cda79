//! What Mixpanel drops without a word is refused here, row by row, before anything is sent.

use flow::{Code, Outcome};

use super::codes::{R260_ID, R261_VALUE};

/// Ids that Mixpanel takes for a mistake and ignores
/// (<https://docs.mixpanel.com/docs/tracking-methods/id-management>).
const PLACEHOLDERS: [&str; 21] = [
    "00000000-0000-0000-0000-000000000000",
    "anon",
    "anonymous",
    "nil",
    "none",
    "null",
    "n/a",
    "na",
    "undefined",
    "unknown",
    "<nil>",
    "0",
    "-1",
    "true",
    "false",
    "[]",
    "{}",
    "lmy47d",
    "got url:",
    "nan",
    "(null)",
];
/// Longest id, property name, and text of an event, in bytes.
pub(super) const BYTES_MAX: usize = 255;

/// An id of a profile, a group or a person.
pub(super) fn id(field: &str, id: &str) -> Result<(), Outcome> {
    let known = id.trim();
    if known.is_empty() {
        return Err(refused(&R260_ID, "an empty id names nobody", field));
    }
    placeholder(field, known)?;
    length(field, id)
}

/// An id that may be empty, but not stand for nobody in another way.
pub(super) fn placeholder(field: &str, id: &str) -> Result<(), Outcome> {
    if PLACEHOLDERS.iter().any(|known| known.eq_ignore_ascii_case(id.trim())) {
        return Err(refused(
            &R260_ID,
            "Mixpanel takes this id for a mistake and ignores the record",
            field,
        ));
    }
    Ok(())
}

/// A text that Mixpanel would cut.
pub(super) fn length(field: &str, text: &str) -> Result<(), Outcome> {
    if text.len() > BYTES_MAX {
        let message = format!("the text has {} bytes; Mixpanel cuts it at {BYTES_MAX}", text.len());
        return Err(refused(&R261_VALUE, &message, field));
    }
    Ok(())
}

/// An event's own id.
pub(super) fn insert_id(id: &str) -> Result<(), Outcome> {
    let fits = (1..=36).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if fits {
        return Ok(());
    }
    let message = "an event's id has 1 to 36 letters, digits and hyphens; a uuid fits, and so does `transform: [sha256, { truncate: 36 }]`";
    Err(refused(&R261_VALUE, message, "insert_id"))
}

pub(super) fn refused(code: &'static Code, message: &str, field: &str) -> Outcome {
    Outcome::Rejected { code, message: message.to_owned(), field: Some(field.to_owned()) }
}
