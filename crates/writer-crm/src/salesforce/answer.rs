//! What Salesforce answers, read leniently: a member of another type is as if it were not there.

use serde::Deserialize;
use serde_json::Value;
use writer::Reply;

/// Largest error page that is worth reading.
const ERROR_BYTES_MAX: usize = 1024 * 1024;
/// Longest record id that is kept; Salesforce's have 15 or 18 characters.
const ID_CHARS: [usize; 2] = [15, 18];

/// One thing Salesforce finds wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Complaint {
    /// Salesforce's word for it, for example `REQUIRED_FIELD_MISSING`.
    pub(super) code: String,
    pub(super) message: String,
    /// The fields at fault.
    pub(super) fields: Vec<String>,
}

impl Complaint {
    /// The errors in a body; none where it is no error of Salesforce's, as in an HTML page.
    pub(super) fn all(reply: &Reply) -> Vec<Self> {
        if reply.body.len() > ERROR_BYTES_MAX {
            return Vec::new();
        }
        match serde_json::from_slice(&reply.body) {
            Ok(Value::Array(items)) => items.iter().filter_map(Self::read).collect(),
            Ok(one) => Self::read(&one).into_iter().collect(),
            Err(_) => Vec::new(),
        }
    }

    /// An error of the API (`errorCode`, of a row `statusCode`) or of the token endpoint (`error`).
    fn read(value: &Value) -> Option<Self> {
        let text = |names: &[&str]| -> String {
            let found = names.iter().find_map(|name| value.get(*name)?.as_str());
            found.unwrap_or_default().to_owned()
        };
        let complaint = Self {
            code: text(&["errorCode", "statusCode", "error"]),
            message: text(&["message", "error_description"]),
            fields: value
                .get("fields")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|field| field.as_str().map(str::to_owned))
                .collect(),
        };
        (complaint != Self::default()).then_some(complaint)
    }

    /// The text of `sf__Error`: `CODE:message:FIELD --`, with several fields joined by commas, or none.
    pub(super) fn of_job_row(text: &str) -> Self {
        let (code, rest) = text.split_once(':').unwrap_or(("", text));
        let rest = rest.trim_end().strip_suffix("--").unwrap_or(rest).trim_end();
        let named = rest.rsplit_once(':').filter(|(_, fields)| {
            fields.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_., ".contains(&byte))
                && !fields.trim().contains(' ')
        });
        let (message, fields) = named.unwrap_or((rest, ""));
        let fields = fields.split(',').map(str::trim).filter(|field| !field.is_empty());
        Self {
            code: code.trim().to_owned(),
            message: message.to_owned(),
            fields: fields.map(str::to_owned).collect(),
        }
    }
}

/// One row of the answer to an sObject Collections call.
#[derive(Debug)]
pub(super) struct SaveResult {
    pub(super) id: Option<String>,
    pub(super) success: Option<bool>,
    pub(super) created: Option<bool>,
    pub(super) errors: Vec<Complaint>,
}

impl SaveResult {
    /// The rows of an answer; `None` where it is no list.
    pub(super) fn all(reply: &Reply) -> Option<Vec<Self>> {
        let rows: Vec<Value> = serde_json::from_slice(&reply.body).ok()?;
        Some(rows.iter().map(Self::read).collect())
    }

    fn read(row: &Value) -> Self {
        let errors = row.get("errors").and_then(Value::as_array);
        Self {
            id: row.get("id").and_then(Value::as_str).and_then(record_id),
            success: row.get("success").and_then(Value::as_bool),
            created: row.get("created").and_then(Value::as_bool),
            errors: errors.into_iter().flatten().filter_map(Complaint::read).collect(),
        }
    }
}

/// A record id, where it looks like one.
pub(super) fn record_id(text: &str) -> Option<String> {
    let fits = ID_CHARS.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
    fits.then(|| text.to_owned())
}

/// Whether two ids name one record: the last three of 18 characters only repeat the letter case of the others.
pub(super) fn same_id(a: &str, b: &str) -> bool {
    a.len() >= 15 && b.len() >= 15 && a.as_bytes()[..15] == b.as_bytes()[..15]
}

/// A Bulk API 2.0 job, as the API tells about it. What an answer leaves out is empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) state: String,
    pub(super) object: String,
    pub(super) operation: String,
    pub(super) created_by_id: String,
    pub(super) created_date: String,
    pub(super) external_id_field_name: Option<String>,
    pub(super) error_message: Option<String>,
    pub(super) number_records_processed: u64,
    pub(super) number_records_failed: u64,
}

impl Job {
    pub(super) fn read(reply: &Reply) -> Option<Self> {
        let job: Self = serde_json::from_slice(&reply.body).ok()?;
        (is_job_id(&job.id) && !job.state.is_empty()).then_some(job)
    }
}

/// A page of the list of jobs.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct JobList {
    pub(super) done: bool,
    pub(super) records: Vec<Job>,
    pub(super) next_records_url: Option<String>,
}

/// Whether a text can be a job's id, and so part of a path.
pub(super) fn is_job_id(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_job_row_is_taken_apart() {
        let read = |text| {
            let found = Complaint::of_job_row(text);
            (found.code, found.message, found.fields.join("+"))
        };
        let is = |code: &str, message: &str, fields: &str| {
            (code.to_owned(), message.to_owned(), fields.to_owned())
        };
        assert_eq!(
            read("REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --"),
            is("REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]", "LastName")
        );
        assert_eq!(
            read(
                "DUPLICATE_VALUE:duplicate value found: A__c duplicates value on record with id: 003x:--"
            ),
            is(
                "DUPLICATE_VALUE",
                "duplicate value found: A__c duplicates value on record with id: 003x",
                ""
            )
        );
        assert_eq!(
            read("STRING_TOO_LONG:Too long:A__c,B__c --"),
            is("STRING_TOO_LONG", "Too long", "A__c+B__c")
        );
        assert_eq!(read("what is this"), is("", "what is this", ""));
        assert_eq!(read(""), is("", "", ""));
    }

    #[test]
    fn ids_are_compared_by_what_tells_records_apart() {
        assert!(same_id("003000000000001AAA", "003000000000001"));
        assert!(!same_id("003000000000001AAA", "003000000000002AAA"));
        assert!(!same_id("", ""));
        assert_eq!(record_id("003000000000001AAA").as_deref(), Some("003000000000001AAA"));
        for odd in ["", "003", "003000000000001/..", "../../etc/passwd00"] {
            assert_eq!(record_id(odd), None, "{odd}");
        }
    }
}
